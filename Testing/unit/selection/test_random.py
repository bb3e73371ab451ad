"""Uniform picks, and picks of which three quarters show the predicted organ."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from VQBEGALLib.selection import Context, Selection, random, strategy
from VQBEGALLib.training import Role

Bare = Callable[..., Context]


def slices(selection: Selection) -> list[int]:
    return [pick.pair.slice for pick in selection.picks]


@pytest.fixture
def foreground(bare: Bare, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Selection]:
    """Runs random_foreground on given shares of organ instead of a network's."""

    def run(fractions: list[float], budget: int, *, seed: int = 0) -> Selection:
        monkeypatch.setattr(random, "foreground_fraction", lambda context: np.array(fractions, dtype=np.float64))
        return strategy("random_foreground")(bare(len(fractions), budget, seed=seed))

    return run


@pytest.mark.parametrize(("count", "budget"), [(20, 6), (5, 5), (3, 9), (0, 4)])
def test_random_picks_each_pair_at_most_once(bare: Bare, count: int, budget: int) -> None:
    found = slices(strategy("random")(bare(count, budget)))
    assert len(found) == len(set(found)) == min(count, budget)


def test_random_is_uniform_and_seeded(bare: Bare) -> None:
    picks = [slices(strategy("random")(bare(10, 3, seed=seed))) for seed in range(400)]
    assert picks[7] == slices(strategy("random")(bare(10, 3, seed=7)))
    counts = np.bincount(np.concatenate(picks), minlength=10)
    assert abs(counts - 120).max() < 45  # more than four standard deviations
    assert {pick.role for pick in strategy("random")(bare(10, 3)).picks} == {Role.ALL}


@pytest.mark.parametrize(("budget", "outside"), [(4, 1), (8, 2), (12, 3), (1, 0), (10, 2), (6, 2)])
def test_a_quarter_comes_from_slices_without_organ(
    foreground: Callable[..., Selection], budget: int, outside: int
) -> None:
    fractions = [0.1] * 20 + [0.0] * 20
    for seed in range(5):
        found = slices(foreground(fractions, budget, seed=seed))
        assert len(set(found)) == budget
        assert sum(index >= 20 for index in found) == outside


@pytest.mark.parametrize(
    ("inside", "outside", "expected"),
    [(2, 20, (2, 6)), (20, 1, (7, 1)), (20, 0, (8, 0)), (0, 20, (0, 8)), (3, 2, (3, 2))],
)
def test_where_one_group_is_too_small_the_other_fills_up(
    foreground: Callable[..., Selection], inside: int, outside: int, expected: tuple[int, int]
) -> None:
    found = slices(foreground([0.1] * inside + [0.0] * outside, 8))
    assert len(set(found)) == len(found)
    assert (sum(index < inside for index in found), sum(index >= inside for index in found)) == expected


def test_foreground_picks_are_seeded_spread_and_mixed(foreground: Callable[..., Selection]) -> None:
    fractions = [0.1] * 20 + [0.0] * 20
    picks = [slices(foreground(fractions, 8, seed=seed)) for seed in range(150)]
    assert picks[3] == slices(foreground(fractions, 8, seed=3))
    assert {index for found in picks for index in found} == set(range(40))
    places = [place for found in picks for place, index in enumerate(found) if index >= 20]
    assert set(places) == set(range(8))  # an order that does not give the groups away


def test_foreground_picks_carry_their_share(foreground: Callable[..., Selection]) -> None:
    fractions = [0.3, 0.0, 0.2, 0.1]
    found = foreground(fractions, 4)
    assert all(pick.score == fractions[pick.pair.slice] for pick in found.picks)
    assert found.scores.tolist() == fractions
    assert {pick.role for pick in found.picks} == {Role.ALL}


def test_foreground_needs_a_network(make_context: Callable[..., Context]) -> None:
    found = strategy("random_foreground")(make_context(budget=5))
    assert len(found.picks) == 5
    assert found.scores.min() >= 0
    assert found.scores.max() <= 1
