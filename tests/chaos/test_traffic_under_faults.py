"""People go on working while one thing after the other fails beneath them: nothing that was promised is lost.

`make chaos SECONDS=600` lets it last longer; it prints the seed of its order, which `SEED` repeats.
"""

import itertools
import os
import random
import time
from collections import Counter

import pytest

from tests.chaos.shaking import ShakenStack, Traffic, broken_promises, told
from tests.running_redis import Redis

SECONDS = float(os.environ.get("SECONDS") or 15)
PEOPLE = 4
FAULT_SECONDS, QUIET_SECONDS = 1.0, 0.6


@pytest.mark.timeout(SECONDS * 3 + 300)
@pytest.mark.usefixtures("service")
def test_what_was_promised_holds_whatever_fails(
    shaken: ShakenStack, redis_of_its_own: Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = int(os.environ.get("SEED") or random.randrange(10_000))
    chance = random.Random(seed)
    faults = shaken.faults(redis_of_its_own, chance)
    order = list(faults)
    chance.shuffle(order)
    traffic = Traffic(shaken, PEOPLE, seed)
    ledger = traffic.ledger
    happened: Counter[str] = Counter()
    try:
        until = time.monotonic() + SECONDS
        for name in itertools.cycle(order):
            time.sleep(QUIET_SECONDS)
            with faults[name]():
                time.sleep(FAULT_SECONDS)
            happened[name] += 1
            if time.monotonic() > until and happened.keys() == faults.keys():
                break
        time.sleep(QUIET_SECONDS)
    finally:
        traffic.end()
    with capsys.disabled():
        print(f"\n{told(seed, ledger, happened)}")
    assert broken_promises(shaken, traffic) == {}
    assert len(ledger.uploads) > PEOPLE
