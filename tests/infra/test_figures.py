"""How measurements are summed up."""

import pytest

from infra.local.bench.figures import compared, compared_tails, table


def test_ratio_is_the_median_of_the_pairs_not_of_the_sums() -> None:
    figure = compared("upload", "ms", "encoder", [(10, 10), (12, 10), (300, 100)], limit=1.3)
    assert (figure.value, figure.peer_value) == (12, 10)
    assert figure.ratio == pytest.approx(1.2)
    assert figure.met is True
    assert figure.target == "≤ 1.3 ×"


def test_target_that_is_missed_says_so() -> None:
    assert compared("upload", "ms", "encoder", [(14, 10)], limit=1.3).met is False


def test_table_is_aligned_and_leaves_out_what_has_no_target() -> None:
    text = table(
        [compared("a", "ms", "p", [(1, 2)]), compared("a longer name", "ms", "peer", [(1, 1), (3, 1)], limit=2)]
    )
    lines = text.splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[2].rstrip(" |").endswith("-")
    assert "2.00 ×" in lines[3]
    assert "yes" in lines[3]


def test_tails_are_those_of_all_calls_and_one_slow_call_in_many_is_not_lost() -> None:
    pairs = [(1.0, 1.0)] * 98 + [(30.0, 10.0)] * 2
    figure = compared_tails("read", "ms", "peer", pairs, limit=2)
    assert (figure.value, figure.peer_value) == (30, 10)
    assert figure.ratio == pytest.approx(3)
    assert figure.met is False


def test_spread_is_that_of_the_quartiles_and_a_single_turn_has_none() -> None:
    assert compared("a", "ms", "p", [(1, 1), (2, 1), (3, 1)]).spread == pytest.approx(1)
    once = compared("a", "ms", "p", [(2, 1)])
    assert once.spread is None
    assert "once" in table([once])


def test_large_and_small_values_are_written_without_exponents() -> None:
    text = table([compared("a", "ms", "p", [(47_212.4, 0.01234)])])
    assert "| 47,200 ms |" in text
    assert "| 0.0123 ms " in text
