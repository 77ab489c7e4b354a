"""A machine whose clock is wrong by ten minutes: what is promised holds, and what is refused is refused clearly."""

import base64
import random
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from infra.local.traffic.visits import Person, pictures
from tests.chaos.shaking import ShakenStack, Traffic, unlogged

FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)

pytestmark = pytest.mark.skipif(FAKETIME is None, reason="libfaketime is not installed")


@pytest.fixture(params=["+10m", "-10m"])
def skewed(shaken: ShakenStack, request: pytest.FixtureRequest) -> Iterator[ShakenStack]:
    """The functions' clock differs from everybody else's."""
    shaken.more = {"LD_PRELOAD": str(FAKETIME), "FAKETIME": request.param, "DONT_FAKE_MONOTONIC": "1"}
    shaken.start_child("gateway")
    yield shaken
    shaken.more = {}
    shaken.start_child("gateway")


def test_people_who_are_signed_in_lose_nothing(skewed: ShakenStack) -> None:
    traffic = Traffic(skewed, people=1, seed=3)
    traffic.end()
    person = Person(skewed.info["apiUrl"], traffic.tokens[0], traffic.ledger, random.Random(5))
    for _ in range(3):
        person.upload()
        person.save()
        person.read()
    assert traffic.ledger.wrong == []
    assert traffic.ledger.failures == []
    assert len(traffic.ledger.uploads) >= 3
    assert traffic.lost() == []
    assert unlogged(skewed, traffic.ledger) == []


def test_guests_hear_that_the_service_is_at_fault(skewed: ShakenStack) -> None:
    body = {"imageData": base64.b64encode(pictures()["picture 0"]).decode(), "frameId": 1}
    answer = httpx.post(f"{skewed.info['apiUrl']}/api/upload_image", json=body, timeout=35)
    assert (answer.status_code, answer.json()["code"]) == (503, "not_configured")
    lines = (skewed.folder / "logs" / "gateway.log").read_text(errors="replace").splitlines()
    told = [line for line in lines if answer.json()["requestId"] in line]
    assert any('"own_token_refused"' in line and '"cause": "clock"' in line for line in told)
