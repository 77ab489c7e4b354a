"""Measures what this bundle adds to what it stands on, as ratios within one run: `make bench`.

Contenders take turns, so that both meet the same noise, and medians are compared. Tests assert none of it.
"""

import os
import sys
import tempfile
from pathlib import Path

from infra.local.bench import clips, cold_starts, images, joining, scale, settings
from infra.local.bench.figures import table
from infra.local.bench.rendering import Rendering
from infra.local.bench.warm_calls import WarmCalls
from infra.local.stack import Stack


def main() -> int:
    """Print the table of figures."""
    with tempfile.TemporaryDirectory(prefix="videomaker-bench-") as folder:
        Path(folder).chmod(0o711)  # PostgreSQL is another user where we are root
        with Stack(Path(folder) / "state", port=0) as stack:
            os.environ.update(stack.function_environment())
            calls = WarmCalls(stack)
            figures = [
                *cold_starts.measure(),
                *calls.reading(),
                calls.saving(),
                *calls.caching(),
                *Rendering(stack).measure(),
            ]
    figures += scale.measure()
    print(table(figures + images.measure() + clips.measure() + joining.measure()), settings.pareto(), sep="\n\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
