"""The gateway's own list of the functions."""

from collections.abc import Iterable
from html import escape

from infra.local.gateway.configuration import Function

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Local functions</title>
<style>
  :root {{ color-scheme: light dark; }}
  body {{ font: 16px/1.6 system-ui, sans-serif; max-width: 44rem; margin: 4rem auto; padding: 0 1.5rem; }}
  table {{ border-collapse: collapse; width: 100%; margin: 1.5rem 0; }}
  th, td {{ text-align: left; padding: .5rem .75rem .5rem 0; border-bottom: 1px solid #8884; }}
  td + td, th + th {{ text-align: right; font-variant-numeric: tabular-nums; }}
  code {{ font-family: ui-monospace, monospace; }}
</style>
<h1>Local functions</h1>
<p>Each answers here as it does behind its AWS Lambda function URL.
<a href="/openapi.json">openapi.json</a> describes them all, and the <a href="/">playground</a> tries them.</p>
<table>
<tr><th>function</th><th>timeout</th><th>memory</th></tr>
{rows}
</table>
</html>
"""
_ROW = '<tr><td><a href="/api/{0}"><code>/api/{0}</code></a></td><td>{1} s</td><td>{2} MB</td></tr>'


def index(functions: Iterable[Function]) -> str:
    """A page that lists and links the functions."""
    rows = (_ROW.format(escape(f.name), f.timeout, f.memory) for f in functions)
    return _PAGE.format(rows="\n".join(rows))
