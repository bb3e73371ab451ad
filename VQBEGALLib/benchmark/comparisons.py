"""Arms of a benchmark against a reference arm: paired tests, and the slices that each needs to reach the ceiling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from VQBEGALLib.benchmark.statistics import AREAS, areas_under, by_seed, common_budgets, curve

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
    interpolation over the slices between neighbouring budgets: on the mean curve, and on each seed's own. An arm that
    is above the target at its first budget has that budget's slices, which it may not have needed.

    Args:
        patients: rows of one split, auxiliary and condition.
        ceiling: the arm with all slices annotated.
        within: distance from the ceiling that counts as reached, in Dice.
        reference: the arm whose slices the ratios are taken to.
        arms: those that are returned, and that p is corrected for; all by default.

    Returns:
        cohort, arm, ceiling (Dice), target, seeds, reached (by how many of them), slices (mean curve; NaN if never),
        budget (the same in per cent), median (over seeds, a seed that never reaches counts as infinitely many; NaN
        where that is the median), ratio (of ``slices`` to the reference's), ratio_below (of ``slices`` to the most
        that the reference had, where these did not suffice), and ratio_seeds, ratio_low, ratio_high, p, p_holm:
        geometric mean of the common seeds' ratios, its 95 % interval and paired t test on their logarithms, given where
        all of at least three common seeds reach the target in both arms. Empty for cohorts without the ceiling arm.
    """
    means, seeds = curve(patients), by_seed(patients)
    rows = []
    for cohort, points in means.groupby("cohort"):
        top = points.loc[points["arm"] == ceiling, "dice"].max()
        if not np.isfinite(top):
            continue
        target = top - within
        runs = seeds[(seeds["cohort"] == cohort) & (seeds["arm"] != ceiling)]
        per_seed = {key: _first(run, target) for key, run in runs.groupby(["arm", "seed"])}
        base_points = points[points["arm"] == reference]
        base, most = _first(base_points, target)[0], base_points["slices"].max()
        of_reference = {seed: found[0] for (arm, seed), found in per_seed.items() if arm == reference}
        shown = points["arm"] != ceiling if arms is None else points["arm"].isin({*arms} - {ceiling})
        for arm, line in points[shown].groupby("arm"):
            slices, budget = _first(line, target)
            own = {seed: found[0] for (name, seed), found in per_seed.items() if name == arm}
            reached = np.isfinite(list(own.values()))
            median = float(np.median(np.where(reached, list(own.values()), np.inf)))
            row = [cohort, arm, top, target, len(own), int(reached.sum()), slices, budget]
            row += [median if np.isfinite(median) else np.nan, slices / base]
            row.append(np.nan if np.isfinite(base) else slices / most)
            rows.append([*row, *_ratios(own, {} if arm == reference else of_reference)])
    columns = ["cohort", "arm", "ceiling", "target", "seeds", "reached", "slices", "budget", "median", "ratio"]
    columns += ["ratio_below", "ratio_seeds", "ratio_low", "ratio_high", "p"]
    found = pd.DataFrame(rows, columns=columns)
    return found.assign(p_holm=found.groupby("cohort")["p"].transform(holm) if rows else [])


def _first(line: pd.DataFrame, target: float) -> tuple[float, float]:
    """Return slices and budget at which a curve first reaches the target; NaN where it never does."""
    ordered = line.sort_values("budget")
    dice, slices, budgets = (ordered[name].to_numpy(dtype=np.float64) for name in ("dice", "slices", "budget"))
    above = np.flatnonzero(dice >= target)
    if not len(above):
        return np.nan, np.nan
    after = int(above[0])
    if after == 0:
        return float(slices[0]), float(budgets[0])
    before = after - 1
    part = (target - dice[before]) / (dice[after] - dice[before])
    at_slices, at_budget = (float(x[before] + part * (x[after] - x[before])) for x in (slices, budgets))
    return at_slices, at_budget


def _ratios(own: Mapping[int, float], base: Mapping[int, float]) -> tuple[float, float, float, float]:
    """Return the geometric mean of the common seeds' ratios, its interval and p; NaN where a seed never arrives."""
    common = sorted(set(own) & set(base))
    logs = np.log([own[seed] / base[seed] for seed in common])
    if not np.isfinite(logs).all():
        return (np.nan,) * 4
    mean, low, high, p = _test(logs, "seed") if len(logs) >= LEAST else (np.nan,) * 4
    return float(np.exp(mean)), float(np.exp(low)), float(np.exp(high)), p
