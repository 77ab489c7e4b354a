"""`make simulate`: measure a storyboard on this machine, and simulate a deployment under many of them."""

import sys
import tempfile
from pathlib import Path

from infra.local.simulation.measured import measure
from infra.local.simulation.model import Simulation
from infra.local.simulation.report import costs_table, deployed, memory_gb, outcomes_table, steps_table
from infra.local.stack import Stack

# Storyboards a minute, and for how many minutes they come.
LOADS = ((1, 240), (100, 20), (10_000, 1))


def main() -> int:
    """Print the tables."""
    with tempfile.TemporaryDirectory(prefix="videomaker-simulate-") as folder:
        Path(folder).chmod(0o711)  # PostgreSQL is another user where we are root
        with Stack(Path(folder) / "state", port=0) as stack:
            measured = measure(stack)
    platform = deployed()
    outcomes = [Simulation(measured.costs, platform, load, minutes, seed=1).run() for load, minutes in LOADS]
    print(costs_table(measured.costs, memory_gb()), outcomes_table(outcomes), sep="\n\n", end="\n\n")
    print(steps_table([load for load, _ in LOADS], platform, measured))
    return 0


if __name__ == "__main__":
    sys.exit(main())
