"""Arms of a benchmark against a reference arm: paired tests, and the slices that each needs to reach the ceiling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from VQBEGALLib.benchmark.statistics import AREAS, areas_under, by_seed, common_budgets, complete

REFERENCE = "random_foreground"
CEILING = "all"
LEAST = 3
"""Pairs below which a difference is given without interval and p."""
_EQUAL = 1e-12

Pairing = Literal["seed", "patient"]


def holm(p: Sequence[float] | npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return p values corrected by Holm's step-down procedure; NaN stays NaN and is no test.

    The i-th smallest of m becomes the largest so far of (m − i + 1) p, at most 1 (S. Holm, A simple sequentially
    rejective multiple test procedure, Scand J Statist 6, 1979).

    Examples:
        >>> holm([0.01, 0.04, 0.03]).round(3).tolist()
        [0.03, 0.06, 0.06]
    """
    values = np.asarray(p, dtype=np.float64)
    corrected = np.full(values.shape, np.nan)
    order = np.argsort(values)[: np.isfinite(values).sum()]
    factors = len(order) - np.arange(len(order))
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(factors * values[order]))
    return corrected


def paired_tests(
    patients: pd.DataFrame,
    *,
    reference: str = REFERENCE,
    over: Pairing = "seed",
    arms: Sequence[str] | None = None,
    budgets: Mapping[str, Sequence[float]] | None = None,
) -> pd.DataFrame:
    """Compare every arm with the reference at every budget and by the area under the curve, on their common seeds.

    Over seeds: Student's t test on the differences of the seeds' means over patients, with a 95 % interval. Over
    patients: Wilcoxon's signed-rank test on the patients' means over the common seeds. Both are two-sided, and
    corrected by Holm's procedure for the number of rivals within a cohort and budget (or area). The intervals are not
    corrected. Tests over seeds ask what another run on the same patients would show, tests over patients what other
    patients would.

    Args:
        patients: rows of one split, auxiliary and condition (:func:`~VQBEGALLib.benchmark.statistics.view`).
        reference: the arm that the others are compared with.
        over: what is paired.
        arms: rivals; all by default.
        budgets: of the areas, by cohort; :func:`~VQBEGALLib.benchmark.statistics.common_budgets` by default.

    Returns:
        cohort, measure (dice, area, area_log2), budget (NaN for areas), arm, n (pairs), arm_mean and reference_mean (on
        the pairs), difference, low, high (NaN over patients), p, p_holm. p is NaN for fewer than three pairs, and where
        all differences are equal, as before any slice is chosen.
    """
    grid = common_budgets(patients, reference=reference) if budgets is None else budgets
    values = _measures(patients, grid)
    keys = ["cohort", "measure", "budget", "seed", "patient"]
    base = values[values["arm"] == reference].drop(columns="arm")
    rivals = values[values["arm"] != reference] if arms is None else values[values["arm"].isin({*arms} - {reference})]
    both = rivals.merge(base, on=keys, suffixes=("_arm", "_reference"))
    rows = []
    for names, group in both.groupby(["cohort", "measure", "budget", "arm"], dropna=False, sort=True):
        pairs = group.groupby(over)[["value_arm", "value_reference"]].mean().to_numpy()
        rows.append([*names, len(pairs), *pairs.mean(axis=0), *_test(pairs[:, 0] - pairs[:, 1], over)])
    columns = [
        "cohort",
        "measure",
        "budget",
        "arm",
        "n",
        "arm_mean",
        "reference_mean",
        "difference",
        "low",
        "high",
        "p",
    ]
    found = pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(["budget", *columns[5:]], float))
    family = found.groupby(["cohort", "measure", "budget"], dropna=False)["p"]
    return found.assign(p_holm=family.transform(holm) if len(found) else [])


def _measures(patients: pd.DataFrame, budgets: Mapping[str, Sequence[float]]) -> pd.DataFrame:
    """Return cohort, arm, seed, patient, measure, budget, value: Dice at every budget, and the areas."""
    keys = ["cohort", "arm", "seed", "patient"]
    dice = patients[[*keys, "budget"]].assign(measure="dice", value=patients["dice"])
    areas = areas_under(patients, budgets, keys).melt(keys, list(AREAS), "measure", "value")
    return pd.concat([dice, areas.assign(budget=np.nan)], ignore_index=True) if len(areas) else dice


def _test(differences: npt.NDArray[np.float64], over: Pairing) -> tuple[float, float, float, float]:
    """Return mean difference, the interval's ends and p."""
    mean = float(differences.mean())
    if len(differences) < LEAST or np.ptp(differences) < _EQUAL:
        return mean, np.nan, np.nan, np.nan
    if over == "patient":
        return mean, np.nan, np.nan, float(stats.wilcoxon(differences).pvalue)
    found = stats.ttest_1samp(differences, 0.0)
    interval = found.confidence_interval(0.95)
    return mean, float(interval.low), float(interval.high), float(found.pvalue)


class Crossing(NamedTuple):
    """Where a curve first reaches a target: slices, their share of the pool in per cent, whether at the first budget.

    NaN where it never does. At the first budget fewer slices might have done.
    """

    slices: float
    budget: float
    at_first: bool

    @property
    def between(self) -> float:
        """Slices, where the curve crosses the target between two budgets; NaN else."""
        return np.nan if self.at_first else self.slices


def slices_to_reach(
    patients: pd.DataFrame,
    *,
    ceiling: str = CEILING,
    within: float = 0.01,
    reference: str = REFERENCE,
    arms: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Return the fewest annotated slices with which each arm comes close to what all slices give.

    The first crossing of the target, which is the ceiling arm's mean Dice over its seeds minus ``within``, by linear
    interpolation over the slices between neighbouring budgets: on the mean curve, and on each seed's own. Only seeds
    count that have come to every budget in the arm and in the reference, so that all points of a mean curve rest on
    the same seeds, and the reference is compared on the seeds of the arm. An arm that is above the target at its first
    budget needs at most that budget's slices; no ratio is taken of them.

    Args:
        patients: rows of one split, auxiliary and condition.
        ceiling: the arm with all slices annotated.
        within: distance from the ceiling that counts as reached, in Dice.
        reference: the arm whose slices the ratios are taken to.
        arms: those that are returned, and that p is corrected for; all by default.

    Returns:
        cohort, arm, ceiling (Dice), target, seeds, reached (by how many of them), slices (mean curve; NaN if never),
        budget (the same in per cent), at_first (whether that is the first budget), median (over seeds, a seed that
        never reaches counts as infinitely many; NaN where that is the median), reference_slices, reference_budget,
        reference_at_first and reference_reached (the same of the reference, on the same seeds; the last is NaN where it
        has none of them), ratio (of ``slices`` to the reference's), ratio_below (of ``slices`` to the most that the
        reference had, where these did not suffice), and ratio_seeds, ratio_low, ratio_high, p, p_holm: geometric mean
        of the seeds' ratios, its 95 % interval and paired t test on their logarithms, given where all of at least three
        seeds cross the target after their first budget in both arms. Empty for cohorts without the ceiling arm. An arm
        that shares no seed with the reference stands by itself.
    """
    tops = by_seed(patients[patients["arm"] == ceiling]).groupby(["cohort", "budget"])["dice"].mean()
    tops = tops.groupby("cohort").max()
    rest = by_seed(complete(patients[patients["arm"] != ceiling]))
    rows = []
    for cohort, mine in rest[rest["cohort"].isin(tops.index)].groupby("cohort"):
        target = tops[cohort] - within
        base = mine[mine["arm"] == reference]
        for arm, own in mine[mine["arm"].isin(mine["arm"] if arms is None else arms)].groupby("arm"):
            common = set(own["seed"]) & set(base["seed"])
            kept, against = (part[part["seed"].isin(common or set(own["seed"]))] for part in (own, base))
            rows.append([cohort, arm, tops[cohort], target, *_reaching(kept, against, target, arm == reference)])
    columns = ["cohort", "arm", "ceiling", "target", "seeds", "reached", "slices", "budget", "at_first", "median"]
    columns += [f"reference_{name}" for name in ("slices", "budget", "at_first", "reached")]
    columns += ["ratio", "ratio_below", "ratio_seeds", "ratio_low", "ratio_high", "p"]
    found = pd.DataFrame(rows, columns=columns)
    return found.assign(p_holm=found.groupby("cohort")["p"].transform(holm) if rows else [])


def _reaching(own: pd.DataFrame, base: pd.DataFrame, target: float, itself: bool) -> list[object]:
    """Return the columns of an arm's row from ``seeds`` on, for the same seeds of it and of the reference."""
    line, line_base = (
        _first(part.groupby("budget", as_index=False)[["dice", "slices"]].mean(), target) for part in (own, base)
    )
    seeds, seeds_base = ({int(seed): _first(run, target) for seed, run in part.groupby("seed")} for part in (own, base))
    slices = np.array([each.slices for each in seeds.values()])
    median = float(np.median(np.where(np.isfinite(slices), slices, np.inf)))
    reached, reached_base = (sum(np.isfinite(each.slices) for each in found.values()) for found in (seeds, seeds_base))
    if base.empty:
        reached_base = np.nan
    below = np.nan if np.isfinite(line_base.slices) else line.slices / base["slices"].max()
    return [
        *(len(seeds), reached, *line, median if np.isfinite(median) else np.nan),
        *(*line_base, reached_base, line.between / line_base.between, below),
        *_ratios({} if itself else seeds, seeds_base),
    ]


def _first(line: pd.DataFrame, target: float) -> Crossing:
    """Return where a curve first reaches the target."""
    ordered = line.sort_values("budget")
    dice, slices, budgets = (ordered[name].to_numpy(dtype=np.float64) for name in ("dice", "slices", "budget"))
    above = np.flatnonzero(dice >= target)
    if not len(above):
        return Crossing(np.nan, np.nan, False)
    after = int(above[0])
    if after == 0:
        return Crossing(float(slices[0]), float(budgets[0]), True)
    before = after - 1
    part = (target - dice[before]) / (dice[after] - dice[before])
    at_slices, at_budget = (float(x[before] + part * (x[after] - x[before])) for x in (slices, budgets))
    return Crossing(at_slices, at_budget, False)


def _ratios(own: Mapping[int, Crossing], base: Mapping[int, Crossing]) -> tuple[float, float, float, float]:
    """Return the geometric mean of the seeds' ratios, its interval and p; NaN where a seed has no crossing."""
    logs = np.log([own[seed].between / base[seed].between for seed in sorted(set(own) & set(base))])
    if len(logs) < LEAST or not np.isfinite(logs).all():
        return (np.nan,) * 4
    mean, low, high, p = _test(logs, "seed")
    return float(np.exp(mean)), float(np.exp(low)), float(np.exp(high)), p
