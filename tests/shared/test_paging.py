"""Cursors: what was given out comes back, and nothing else gets in."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import AppError
from shared.paging import cursor_behind, key_behind


def made_up(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


@given(st.integers(0, 2**63 - 1), st.text("abcZ09-:.+ ", max_size=255))
def test_the_key_comes_back(number: int, text: str) -> None:
    assert key_behind("videos", cursor_behind("videos", text, number), str, int) == [text, number]


def test_a_cursor_is_good_for_its_own_list_only() -> None:
    with pytest.raises(AppError, match="invalid_cursor"):
        key_behind("sessions", cursor_behind("videos", 1), int)


NOT_OURS: list[object] = [
    [], {}, None, 3, "videos", ["videos"], ["videos", "1"], ["videos", -1], ["videos", 2**63], ["videos", True],
    ["videos", 1.0], ["videos", None], ["videos", 1, 2], ["videos", [1]],
]  # fmt: skip


@pytest.mark.parametrize("cursor", [*map(made_up, NOT_OURS), "", "?", "é", "\0", "W" * 100_000, made_up([[]])])
def test_a_cursor_that_was_made_up_is_refused(cursor: str) -> None:
    with pytest.raises(AppError, match="invalid_cursor"):
        key_behind("videos", cursor, int)


@pytest.mark.parametrize("text", ["\0", "line\nbreak", "x" * 256, "\ud800"])
def test_a_text_that_no_key_can_be_is_refused(text: str) -> None:
    with pytest.raises(AppError, match="invalid_cursor"):
        key_behind("videos", made_up(["videos", text]), str)


@given(st.text())
def test_any_text_is_a_cursor_or_refused(text: str) -> None:
    try:
        key_behind("videos", text, int)
    except AppError as error:
        assert error.code == "invalid_cursor"
