"""What people do is noted as it was answered, and the ledger notices what was promised and is not there."""

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from infra.local.traffic.ledger import Ledger, compared, content_of
from infra.local.traffic.load import knee
from infra.local.traffic.visits import Person, made_unique, pictures
from shared.images import optimise
from tests.receivers import Receiver

Frames = list[dict[str, Any]]


def frames(*descriptions: str) -> Frames:
    return [{"description": one, "imageUrl": f"https://x.example/a/{one}.webp"} for one in descriptions]


def losses(ledger: Ledger, found: Frames | None, image: str = "hash") -> list[str]:
    page = None if found is None else {"session": {"version": 1}, "frames": found}
    return compared(ledger, lambda _: page, lambda _: image, {"picture": "hash"})


@pytest.fixture
def ledger() -> Ledger:
    """One upload, and a session that was saved twice."""
    made = Ledger()
    made.uploaded("https://x.example/1.webp", "picture")
    for version, said in enumerate(("first", "second"), start=1):
        made.saving("session", content_of(frames(said)))
        made.saved("session", content_of(frames(said)), version)
    return made


def test_what_is_there_is_not_lost(ledger: Ledger) -> None:
    assert losses(ledger, frames("second")) == []


@pytest.mark.parametrize("found", [None, [], frames("first"), frames("second", "more")])
def test_a_save_that_is_not_there_as_it_was_is_lost(ledger: Ledger, found: Frames | None) -> None:
    assert len(losses(ledger, found)) == 1


def test_an_image_that_is_another_one_is_lost(ledger: Ledger) -> None:
    assert len(losses(ledger, frames("second"), "other")) == 1


def test_a_save_whose_answer_was_lost_may_be_there_or_not(ledger: Ledger) -> None:
    ledger.saving("session", content_of(frames("third")))
    assert losses(ledger, frames("second")) == losses(ledger, frames("third")) == []
    assert len(losses(ledger, frames("first"))) == 1


def test_a_save_that_was_refused_must_not_be_there(ledger: Ledger) -> None:
    ledger.saving("session", content_of(frames("third")))
    ledger.refused("session", content_of(frames("third")))
    assert len(losses(ledger, frames("third"))) == 1


def test_a_picture_made_unique_is_another_file_of_the_same_picture() -> None:
    for jpeg in pictures().values():
        first, second = made_unique(jpeg), made_unique(jpeg)
        assert len({jpeg, first, second}) == 3
        assert len({optimise(one).image.data for one in (jpeg, first, second)}) == 1


@pytest.fixture
def failing() -> Iterator[Receiver]:
    """What answers as Lambda does for an environment that has died."""
    receiver = Receiver(502, {"x-amzn-requestid": "an-id"}, b"Internal Server Error")
    yield receiver
    receiver.close()


@pytest.fixture
def person(failing: Receiver) -> Person:
    """Somebody who knows of no answers yet."""
    return Person(f"http://127.0.0.1:{failing.port}", "token", Ledger(), random.Random(1))


def test_an_answer_that_is_no_json_counts_by_its_status_and_its_header(person: Person) -> None:
    person.browse()
    assert person.ledger.answers == {"history 502": 1}
    assert person.ledger.failures == [{"function": "history", "status": 502, "requestId": "an-id"}]


def test_an_upload_is_repeated_as_it_was_until_it_is_acknowledged(person: Person, failing: Receiver) -> None:
    person.upload()
    person.upload()
    failing.status, failing.answer_body = 200, json.dumps({"success": True, "imageUrl": "a"}).encode()
    person.upload()
    person.upload()
    first, *again, another = [one.json for one in failing.received]
    assert again == [first, first]
    assert another["imageData"] != first["imageData"]
    assert list(person.ledger.uploads) == ["a"]


def steps(*per_second: float) -> list[dict[str, Any]]:
    return [{"people": 2**number, "perSecond": rate} for number, rate in enumerate(per_second)]


@pytest.mark.parametrize(
    ("rates", "people"), [((10, 19, 30, 31, 32), 4), ((10, 10, 10), 1), ((10, 20, 40, 80), 8), ((30, 20, 60), 1)]
)
def test_the_knee_is_where_more_people_get_no_more_done(rates: tuple[float, ...], people: int) -> None:
    assert knee(steps(*rates))["people"] == people
