"""The seed set: even over the patients, or as different as can be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from VQBEGALLib.selection import Context, Selection, strategy
from VQBEGALLib.selection.cold_start import SIGNATURE
from VQBEGALLib.training import Role

Bare = Callable[..., Context]


def picked(selection: Selection) -> list[tuple[str, int]]:
    return [(pick.pair.case, pick.pair.slice) for pick in selection.picks]


@pytest.mark.parametrize("budget", [1, 3, 4, 10, 13, 40, 99])
def test_every_patient_gives_as_evenly_as_it_can(bare: Bare, budget: int) -> None:
    cases = {"a": 30, "b": 30, "c": 2, "d": 7}
    found = picked(strategy("stratified_random")(bare(0, budget, cases=cases)))
    assert len(found) == len(set(found)) == min(budget, 69)
    counts = Counter(case for case, _ in found)
    most = max(counts.values())
    assert all(counts[case] >= min(cases[case], most - 1) for case in cases)


def test_stratified_picks_are_seeded_and_uniform_within_a_patient(bare: Bare) -> None:
    def run(seed: int) -> list[tuple[str, int]]:
        return picked(strategy("stratified_random")(bare(0, 2, seed=seed, cases={"a": 5, "b": 5, "c": 5})))

    assert run(3) == run(3)
    counts = Counter(pick for seed in range(600) for pick in run(seed))
    assert len(counts) == 15
    assert max(abs(count - 80) for count in counts.values()) < 40  # more than four standard deviations


def test_stratified_order_serves_every_patient_before_the_second_slice_of_any(bare: Bare) -> None:
    found = picked(strategy("stratified_random")(bare(0, 9, cases={"a": 5, "b": 5, "c": 5})))
    for turn in range(3):
        assert {case for case, _ in found[3 * turn : 3 * turn + 3]} == {"a", "b", "c"}


def thumbnails(context: Context) -> np.ndarray:
    images = context.reader.read(context.pool).primary
    block = images.shape[1] // SIGNATURE
    small = [
        [
            [image[block * r : block * (r + 1), block * c : block * (c + 1)].mean() for c in range(SIGNATURE)]
            for r in range(SIGNATURE)
        ]
        for image in images
    ]
    return np.array(small).reshape(len(images), -1)


@pytest.mark.parametrize("budget", [1, 2, 6])
def test_diversity_is_greedy_k_centre(make_context: Callable[..., Context], budget: int) -> None:
    context = make_context(budget=budget)
    looks = thumbnails(context)
    found = [context.pool.index(pick.pair) for pick in strategy("diversity")(context).picks]
    assert len(found) == budget
    for step in range(1, budget):
        distances = [
            min(np.linalg.norm(looks[index] - looks[other]) for other in found[:step]) for index in range(len(looks))
        ]
        assert distances[found[step]] == pytest.approx(max(distances), rel=1e-4)


def test_diversity_starts_anywhere_by_seed(make_context: Callable[..., Context]) -> None:
    firsts = [strategy("diversity")(make_context(budget=1, seed=seed)).picks[0].pair for seed in range(12)]
    assert len(set(firsts)) > 3
    assert firsts[5] == strategy("diversity")(make_context(budget=1, seed=5)).picks[0].pair


def test_diversity_takes_slices_that_look_the_same_only_once(make_context: Callable[..., Context]) -> None:
    context = make_context()
    first, second, third = context.pool[:3]
    twins = make_context(pool=[first, second, first, second, third], budget=3)
    assert {pick.pair for pick in strategy("diversity")(twins).picks} == {first, second, third}


@pytest.mark.parametrize("name", ["stratified_random", "diversity"])
def test_a_pool_smaller_than_the_budget_is_taken_whole(make_context: Callable[..., Context], name: str) -> None:
    context = make_context(budget=100)
    found = strategy(name)(context)
    assert sorted(pick.pair for pick in found.picks) == sorted(context.pool)
    assert {pick.role for pick in found.picks} == {Role.ALL}
    assert found.scores is None
    assert strategy(name)(make_context(pool=[])).picks == []


@pytest.mark.parametrize("name", ["stratified_random", "diversity", "exemplar"])
def test_no_network_is_needed(make_context: Callable[..., Context], name: str) -> None:
    context = make_context(budget=2)
    bare = Context(context.pool, [], 2, context.reader, context.config, np.random.default_rng(0))
    assert len(strategy(name)(bare).picks) == 2


@pytest.mark.parametrize("budget", [1, 4, 7, 30, 99])
def test_an_exemplar_is_one_case_evenly_along_the_body(bare: Bare, budget: int) -> None:
    cases = {"a": 30, "b": 13, "c": 30}
    found = picked(strategy("exemplar")(bare(0, budget, cases=cases, seed=budget)))
    case, places = found[0][0], [place for _, place in found]
    assert {name for name, _ in found} == {case}
    assert len(places) == min(budget, cases[case])
    steps = np.diff(places)
    assert len(steps) == 0 or (steps.min() >= 1 and steps.max() - steps.min() <= 1)
    spread = cases[case] / len(places)
    assert places[0] <= spread and cases[case] - 1 - places[-1] <= spread, "no end is left out"


def test_the_exemplar_and_its_phase_are_drawn(bare: Bare) -> None:
    def run(seed: int) -> list[tuple[str, int]]:
        return picked(strategy("exemplar")(bare(0, 1, seed=seed, cases={"a": 5, "b": 5})))

    assert run(3) == run(3)
    assert len({run(seed)[0] for seed in range(200)}) == 10
