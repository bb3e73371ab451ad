"""Top n and bottom n of S against brute force, with the roles of the paper or swapped."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from VQBEGALLib.config import preset
from VQBEGALLib.selection import Context, Selection, strategy, vq_begal
from VQBEGALLib.selection.scoring import modality_entropy
from VQBEGALLib.training import Role

Bare = Callable[..., Context]


@pytest.fixture
def scored(bare: Bare, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Selection]:
    """Runs a strategy on given scores instead of a network's."""

    def run(scores: list[float], budget: int, *, name: str = "vq_begal", seed: int = 0, **changes: object) -> Selection:
        monkeypatch.setattr(vq_begal, "modality_entropy", lambda context: np.array(scores, dtype=np.float64))
        context = bare(len(scores), budget, seed=seed, config=preset("small", {"coverage": 1, **changes}))
        return strategy(name)(context)

    return run


def slices(selection: Selection, role: Role | None = None) -> list[int]:
    return [pick.pair.slice for pick in selection.picks if role is None or pick.role == role]


@pytest.mark.parametrize("count", [4, 9, 30])
@pytest.mark.parametrize("budget", [1, 2, 3, 4, 7, 8])
def test_top_and_bottom_against_brute_force(scored: Callable[..., Selection], count: int, budget: int) -> None:
    scores = np.random.default_rng(count).uniform(0, 0.69, count).tolist()
    found = scored(scores, budget)
    taken = min(budget, count)
    descending = sorted(range(count), key=lambda index: -scores[index])
    assert slices(found, Role.DECODER) == descending[: taken - taken // 2]
    assert slices(found, Role.ENCODER) == descending[::-1][: taken // 2]
    assert len(set(slices(found))) == len(found.picks) == taken
    assert [pick.score for pick in found.picks] == [scores[index] for index in slices(found)]
    assert found.scores.tolist() == scores


def test_roles_swapped(scored: Callable[..., Selection]) -> None:
    scores = [0.1, 0.5, 0.3, 0.6, 0.2]
    assert slices(scored(scores, 4, roles="swapped"), Role.ENCODER) == [3, 1]
    assert slices(scored(scores, 4, roles="swapped"), Role.DECODER) == [0, 4]
    assert slices(scored(scores, 4, roles="paper")) == slices(scored(scores, 4, roles="swapped"))


@pytest.mark.parametrize("budget", [4, 5])
def test_both_halves_alternate_so_that_part_of_a_round_has_both(scored: Callable[..., Selection], budget: int) -> None:
    roles = [pick.role for pick in scored([0.1, 0.5, 0.3, 0.6, 0.2, 0.4], budget).picks]
    assert roles == [Role.DECODER, Role.ENCODER, Role.DECODER, Role.ENCODER, Role.DECODER][:budget]


def test_a_pool_smaller_than_the_budget_is_taken_half_and_half(scored: Callable[..., Selection]) -> None:
    found = scored([0.3, 0.1, 0.2], 10)
    assert slices(found, Role.DECODER) == [0, 2]
    assert slices(found, Role.ENCODER) == [1]
    assert scored([], 10).picks == []
    assert slices(scored([0.3], 10), Role.DECODER) == [0]


def test_ties_are_broken_by_the_seed(scored: Callable[..., Selection]) -> None:
    scores = [0.5] * 40
    assert slices(scored(scores, 6, seed=1)) == slices(scored(scores, 6, seed=1))
    assert slices(scored(scores, 6, seed=1)) != slices(scored(scores, 6, seed=2))
    seen = {index for seed in range(60) for index in slices(scored(scores, 6, seed=seed))}
    assert len(seen) == 40


def test_only_ties_are_broken_by_the_seed(scored: Callable[..., Selection]) -> None:
    scores = [0.9, 0.5, 0.5, 0.5, 0.5, 0.1]
    for seed in range(10):
        found = scored(scores, 4, seed=seed)
        assert slices(found, Role.DECODER)[0] == 0
        assert slices(found, Role.ENCODER)[0] == 5
        assert len(set(slices(found))) == 4


def test_differences_of_one_bit_decide(scored: Callable[..., Selection]) -> None:
    scores = [1e-9, np.nextafter(1e-9, 1), np.nextafter(1e-9, 0)]
    for seed in range(5):
        assert slices(scored(scores, 3, seed=seed), Role.DECODER) == [1, 0]


def test_egal_takes_the_largest_and_trains_everything(scored: Callable[..., Selection]) -> None:
    scores = np.random.default_rng(0).uniform(0, 0.69, 20).tolist()
    found = scored(scores, 5, name="egal")
    assert slices(found) == sorted(range(20), key=lambda index: -scores[index])[:5]
    assert {pick.role for pick in found.picks} == {Role.ALL}
    assert found.scores.tolist() == scores


def test_with_a_network_the_scores_are_the_pools_entropies(make_context: Callable[..., Context]) -> None:
    context = make_context(budget=4)
    found = strategy("vq_begal")(context)
    assert found.scores.shape == (len(context.pool),)
    by_pair = dict(zip(context.pool, found.scores, strict=True))
    assert [pick.score for pick in found.picks] == [by_pair[pick.pair] for pick in found.picks]
    assert np.array_equal(found.scores, modality_entropy(context))
    assert found.scores.std() > 0
