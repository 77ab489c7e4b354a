"""Measures what this bundle adds to what it stands on, as ratios within one run: `make bench`.

Contenders take turns, so that both meet the same noise, and medians are compared. Tests assert none of it.
"""

import argparse
import sys
from datetime import UTC, datetime
from typing import Final

from infra.local.bench.report import Report
from infra.local.bench.sections import SECTIONS, measured
from infra.local.state import TOP

FOLDER: Final = TOP / "build"


def main(arguments: list[str] | None = None) -> int:
    """Print the tables, and write them as build/bench.md and build/bench.json."""
    parser = argparse.ArgumentParser(prog="python -m infra.local.bench", description=__doc__)
    parser.add_argument("sections", nargs="*", metavar="section", help=f"all, or some of: {', '.join(SECTIONS)}")
    wanted = parser.parse_args(arguments).sections or list(SECTIONS)
    if unknown := set(wanted) - SECTIONS.keys():
        parser.error(f"no such section: {', '.join(sorted(unknown))}")
    began = datetime.now(UTC)
    report = Report([measured(name) for name in wanted], began)
    print(report.markdown())
    print("Written:", *report.write(FOLDER))
    return 0


if __name__ == "__main__":
    sys.exit(main())
