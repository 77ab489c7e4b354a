"""The stand-in answers what a real Supabase answered."""

from collections.abc import Iterator

import pytest

from infra.local.keys import Keys
from infra.local.stack import Stack
from tests.conftest import temporary_state
from tests.contract import recording
from tests.contract.client_calls import CALLS, Clients, outcome, recorded_outcome
from tests.contract.preparation import prepare
from tests.contract.replay import Project, Replay, unequal

LEFT_OUT = {
    "row with metadata null keys": "counts objects that only the exchanges missing from the recording made",
}


@pytest.fixture
def replay() -> Iterator[Replay]:
    """A stack of its own: the recording starts from an empty server."""
    with temporary_state() as state, Stack(state, port=0) as stack:
        keys = Keys.load_or_create(state / "keys.json")
        project = Project(stack.info["supabaseUrl"], keys, stack.info["databaseUrl"], stack.superuser_url)
        replay = Replay(project)
        yield replay
        replay.close()


def test_every_recorded_exchange_and_client_call_ends_as_recorded(replay: Replay) -> None:
    url = replay.project.url
    clients = Clients(url, replay.tokens)
    differences: list[str] = []
    for entry in recording.entries():
        if entry["case"] in LEFT_OUT:
            continue
        prepare(replay, entry)
        differences += replay.differences(entry)
        if call := CALLS.get(entry.get("n", 0)):
            actual = replay.normal(outcome(call, clients))
            differences += [
                f"{entry['n']} by the client: {line}" for line in unequal(recorded_outcome(entry, url), actual)
            ]

    assert not differences, "\n".join(differences)


def test_what_is_left_out_is_in_the_recording() -> None:
    assert LEFT_OUT.keys() <= {entry["case"] for entry in recording.entries()}
