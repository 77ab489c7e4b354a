"""`python -m infra.openapi`: write infra/openapi.json anew from the functions' code."""

from infra.openapi.document import FILE, text

FILE.write_text(text(), encoding="utf-8")
