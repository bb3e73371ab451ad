"""Stochastic batches and power noise against the probabilities that they promise."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from scipy.stats import chisquare

from VQBEGALLib.config import preset
from VQBEGALLib.errors import InputError
from VQBEGALLib.selection import Context, Selection, coverage, names, strategy
from VQBEGALLib.selection.interface import Takes
from VQBEGALLib.selection.wrappers import power, stochastic
from VQBEGALLib.training import Role

Make = Callable[..., Context]
SCORING = ["vq_begal", "egal", "max_entropy", "mc_dropout", "mc_dropout_entropy", "taal", "mvaal"]
SCORES = np.array([0.02, 0.1, 0.2, 0.33, 0.45, 0.6])
LIMIT = math.log(2)
DRAWS = 2000
CONFIG = preset()


@pytest.fixture
def draw(bare: Make) -> Callable[..., Selection]:
    """Runs a wrapper on given scores."""

    def run(wrapper: Callable, takes: Takes, budget: int, *, seed: int = 0, scores: np.ndarray = SCORES) -> Selection:
        context = bare(len(scores), budget, seed=seed, config=CONFIG)
        return wrapper(lambda context: Selection([], scores), takes)(context)

    return run


def slices(selection: Selection, role: Role | None = None) -> list[int]:
    return [pick.pair.slice for pick in selection.picks if role in (None, pick.role)]


def fits(found: Counter, expected: dict) -> bool:
    """Chi-square test of counts against probabilities that sum to one."""
    assert sum(expected.values()) == pytest.approx(1)
    assert set(found) <= set(expected)
    return chisquare([found[key] for key in expected], [found.total() * value for value in expected.values()])[1] > 0.01


def matchings(left: tuple[int, ...]) -> Iterator[list[tuple[int, int]]]:
    """All ways to cut a set into pairs."""
    if not left:
        yield []
    for other in left[1:]:
        rest = tuple(each for each in left[1:] if each != other)
        yield from ([(left[0], other), *more] for more in matchings(rest))


# Names ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrapper", ["stochastic", "power"])
@pytest.mark.parametrize("name", SCORING)
@pytest.mark.parametrize("budget", [1, 5, 99])
def test_wrapped_strategies_keep_to_the_interface(make_context: Make, name: str, wrapper: str, budget: int) -> None:
    def run() -> tuple[Context, Selection]:
        context = make_context(budget=budget, dropout=0.2)
        return context, strategy(f"{name}+{wrapper}")(context)

    context, found = run()
    pairs = [pick.pair for pick in found.picks]
    assert len(set(pairs)) == len(pairs) == context.count
    assert found.scores.tolist() == strategy(name)(make_context(budget=budget, dropout=0.2)).scores.tolist()
    by_pair = dict(zip(context.pool, found.scores.tolist(), strict=True))
    assert [pick.score for pick in found.picks] == [by_pair[pair] for pair in pairs]
    roles = Counter(pick.role for pick in found.picks)
    both = {Role.DECODER: context.count - context.count // 2, Role.ENCODER: context.count // 2}
    assert roles == (Counter(both) if name == "vq_begal" else Counter({Role.ALL: context.count}))
    assert run()[1].picks == found.picks


@pytest.mark.parametrize("wrapper", ["stochastic", "power"])
@pytest.mark.parametrize("name", SCORING)
def test_wrapped_strategies_answer_an_empty_pool_with_nothing(make_context: Make, name: str, wrapper: str) -> None:
    assert strategy(f"{name}+{wrapper}")(make_context(pool=[], dropout=0.2)).picks == []


def test_picks_that_are_dropped_are_not_spread_first(make_context: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    context = make_context()
    assert context.config.rounds.coverage > 1
    spread = []
    monkeypatch.setattr(coverage, "k_centre", lambda *args, **named: spread.append(args))
    assert len(strategy("vq_begal+power")(context).picks) == context.count
    assert spread == []


def test_strategies_that_do_not_pick_by_scores_cannot_be_wrapped() -> None:
    for name, wrapper in itertools.product(set(names()) - set(SCORING), ("stochastic", "power")):
        with pytest.raises(InputError, match=f"^{name} does not pick by scores, which \\+{wrapper} needs") as caught:
            strategy(f"{name}+{wrapper}")
        assert all(other in caught.value.remedy for other in SCORING)
        assert name not in caught.value.remedy.split(", ")


@pytest.mark.parametrize(
    "name", ["egal+", "egal+loud", "+power", "loud+power", "egal+power+stochastic", "egal + power"]
)
def test_a_misspelt_wrapper_is_answered_with_those_there_are(name: str) -> None:
    with pytest.raises(InputError, match="There is no strategy") as caught:
        strategy(name)
    assert "+power or +stochastic" in caught.value.remedy


def test_names_are_those_of_the_strategies_themselves() -> None:
    assert not any("+" in name for name in names())


# Power noise ---------------------------------------------------------------------------------------------------


def test_power_draws_without_replacement_in_proportion_to_the_score(draw: Callable[..., Selection]) -> None:
    found = Counter(tuple(slices(draw(power, "largest", 2, seed=seed))) for seed in range(DRAWS))
    total = SCORES.sum()
    expected = {
        (a, b): SCORES[a] / total * SCORES[b] / (total - SCORES[a]) for a, b in itertools.permutations(range(6), 2)
    }
    assert fits(found, expected)


def test_power_at_both_ends_draws_the_low_half_by_what_the_entropy_misses(draw: Callable[..., Selection]) -> None:
    found = Counter()
    for seed in range(DRAWS):
        picks = draw(power, "ends", 2, seed=seed)
        found[slices(picks, Role.DECODER)[0], slices(picks, Role.ENCODER)[0]] += 1
    missing = LIMIT - SCORES
    expected = {
        (a, b): SCORES[a] / SCORES.sum() * missing[b] / (missing.sum() - missing[a])
        for a, b in itertools.permutations(range(6), 2)
    }
    assert fits(found, expected)


def test_scores_of_zero_come_last_in_any_order(draw: Callable[..., Selection]) -> None:
    scores = np.array([0.0, 0.3, -1e-17, 0.0, 1e-12])
    orders = [slices(draw(power, "largest", 5, seed=seed, scores=scores)) for seed in range(40)]
    assert all(set(order[:2]) == {1, 4} for order in orders)
    assert len({tuple(order[2:]) for order in orders}) == 6


# Stochastic batches --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("takes", ["largest", "ends"])
def test_the_best_of_random_batches_is_taken(draw: Callable[..., Selection], takes: Takes) -> None:
    def value(batch: tuple[int, int]) -> float:
        first, second = SCORES[list(batch)]
        return first + second if takes == "largest" else abs(first - second)

    everything = list(matchings(tuple(range(6))))
    best = Counter(max(cut, key=value) for cut in everything)
    assert len(everything) == 15
    found = Counter(tuple(sorted(slices(draw(stochastic, takes, 2, seed=seed)))) for seed in range(DRAWS))
    assert fits(found, {batch: count / 15 for batch, count in best.items()})


def test_a_batch_comes_largest_score_first(draw: Callable[..., Selection]) -> None:
    for seed in range(20):
        found = slices(draw(stochastic, "largest", 3, seed=seed))
        assert found == sorted(found, reverse=True)
        ends = draw(stochastic, "ends", 3, seed=seed)
        high, low = slices(ends, Role.DECODER), slices(ends, Role.ENCODER)
        assert (len(high), len(low)) == (2, 1)
        assert min(high) > max(low)
        assert high == sorted(high, reverse=True)


@pytest.mark.parametrize("takes", ["largest", "ends"])
def test_a_budget_above_half_the_pool_leaves_one_random_batch(draw: Callable[..., Selection], takes: Takes) -> None:
    counts = Counter(index for seed in range(600) for index in slices(draw(stochastic, takes, 4, seed=seed)))
    assert all(abs(counts[index] - 400) < 60 for index in range(6))  # five standard deviations


def test_many_batches_beat_one(draw: Callable[..., Selection]) -> None:
    scores = np.random.default_rng(0).uniform(0, LIMIT, 200)
    means = [scores[slices(draw(stochastic, "largest", 10, seed=seed, scores=scores))].mean() for seed in range(20)]
    assert scores.mean() < min(means)
    assert max(means) < np.sort(scores)[-10:].mean()
