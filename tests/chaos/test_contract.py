"""Whatever the OpenAPI document allows or forbids is answered as it says, and by no error of the server."""

import os

import pytest

from infra.local.contract_fuzz import fuzz, unlimited
from infra.local.stack import Stack
from tests.conftest import temporary_state

SECONDS = float(os.environ.get("SECONDS") or 40)


@pytest.mark.timeout(SECONDS * 3 + 200)
def test_answers_are_those_of_the_document() -> None:
    with temporary_state() as folder, Stack(folder, port=0) as stack:
        unlimited(stack)
        found = fuzz(stack, SECONDS)
    assert found.returncode == 0, found.stdout
    assert "Stateful" in found.stdout
