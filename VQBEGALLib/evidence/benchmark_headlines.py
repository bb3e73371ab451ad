"""What a benchmark comes to, in a few numbers and sentences that hold whichever way the comparison went."""

from __future__ import annotations

import pandas as pd

from VQBEGALLib.benchmark.comparisons import LEAST
from VQBEGALLib.evidence.benchmark_data import Benchmark
from VQBEGALLib.evidence.benchmark_findings import Findings
from VQBEGALLib.evidence.numerals import counted, finite, p_value, signed

CERTAIN = 0.05
"""p below which a difference counts as shown."""


def design(benchmark: Benchmark) -> str:
    """Return in two sentences what was compared with what."""
    if not benchmark.by_settings:
        return (
            "Each arm trains a network on slices that a strategy chose, with more annotated slices from budget to "
            f"budget; the reference labels answer in a person's place. {benchmark.ours} is put to the test against "
            f"{benchmark.reference}."
        )
    strategy = benchmark.strategies[benchmark.reference]
    same = "the same for all of them at a seed" if strategy == "random" else "for each of them by its own network"
    return (
        f"Each arm trains a network of its own. {strategy} chooses the slices, {same}, with more of them from budget "
        f"to budget; the reference labels answer in a person's place. All are compared with {benchmark.reference}."
    )


def headline(found: Findings, cohort: str) -> list[str]:
    """Return in sentences what a cohort's results say of our arm, or of all methods, ahead or not."""
    benchmark = found.benchmark
    ours, reference = benchmark.ours, benchmark.reference
    tested = [arm for arm in benchmark.rivals(cohort) if arm != reference] if benchmark.by_settings else [ours]
    said = [sentence for arm in tested for sentence in _difference(found, cohort, arm)]
    need = _row(found.reach, cohort, ours)
    if need is not None and need["reference_reached"] == need["reference_reached"]:
        said.append(
            f"{cohort}: to come within one point of the Dice that all slices give ({finite(need['ceiling'])}), on the "
            f"mean curve of {counted(need['seeds'], 'seed')} complete in both arms, {ours} {_needs(need)}; {reference} "
            f"{_needs(need, 'reference_')}.{_ratio(need)}"
        )
    elif not benchmark.by_settings and benchmark.ceiling not in set(
        found.points.loc[found.points["cohort"] == cohort, "arm"]
    ):
        said.append(f"{cohort}: the arm with all slices ({benchmark.ceiling}) is not there, so no ceiling is known.")
    return said + _beyond(found, cohort)


def _difference(found: Findings, cohort: str, arm: str) -> list[str]:
    """Return in one sentence how an arm's mean Dice over the budgets differs from the reference's."""
    measures, budgets = found.measures(cohort), found.budgets.get(cohort, [])
    test = _row(found.tests, cohort, arm, measure=[*measures][-1]) if measures else None
    if test is None:
        return []
    where = f"over the learning curve from {budgets[0]:g} to {budgets[-1]:g} % of the slices"
    where += ", every doubling counting the same"
    if len(measures) == 1:
        where = f"over {budgets[0]:g} and {budgets[1]:g} % of the slices"
    interval = ""
    if test["low"] == test["low"]:
        interval = f" (95 % interval {signed(test['low'])} to {signed(test['high'])}, p {p_value(test['p_holm'])})"
    return [
        f"{cohort}: {where}, the mean Dice of {arm} minus that of {found.benchmark.reference} is "
        f"{signed(test['difference'])}{interval}, on {counted(test['n'], 'seed')}: {_verdict(test)}."
    ]


def _beyond(found: Findings, cohort: str) -> list[str]:
    """Return in sentences that the arm with all slices is no ceiling, and why, where the results show it."""
    best = found.above_ceiling(cohort)
    if best is None:
        return []
    said = (
        f"{cohort}: the network trained on all slices is not the best, and its Dice no upper bound: on "
        f"{counted(best['seeds'], 'common seed')} {best['arm']} has {finite(best['dice'])} at {best['budget']:g} %, "
        f"all slices {finite(best['top'])}."
    )
    known = [found.benchmark.config(cohort, arm) for arm in (best["arm"], found.benchmark.ceiling)]
    shown = [config.training.steps * config.training.batch_size for config in known if config]
    if len(shown) == 2 and shown[0] == shown[1]:
        said += (
            " With the same number of steps it has seen each slice less often: "
            f"{finite(shown[1] / best['top_slices'], 1)} times, not {finite(shown[0] / best['slices'], 1)}."
        )
    return [said]


def _row(table: pd.DataFrame, cohort: str, arm: str, **where: str) -> pd.Series | None:
    """Return the first row of an arm; nothing where there is none."""
    for name, value in {"cohort": cohort, "arm": arm, **where}.items():
        table = table[table[name] == value]
    return None if table.empty else table.iloc[0]


def _verdict(test: pd.Series) -> str:
    if test["p_holm"] != test["p_holm"]:
        return "too few seeds for a test" if test["n"] < LEAST else "the same difference in every seed, no test"
    if test["p_holm"] >= CERTAIN:
        return "no difference shown"
    return "ahead" if test["difference"] > 0 else "behind"


def _needs(row: pd.Series, of: str = "") -> str:
    """Return in words what an arm needs, or the reference beside it."""
    slices, budget = row[f"{of}slices"], row[f"{of}budget"]
    if slices != slices:
        return "needs more than it was given"
    most = "at most " if row[f"{of}at_first"] else ""
    return f"needs {most}{finite(slices, 0)} slices ({finite(budget, 1)} % of the pool)"


def _ratio(row: pd.Series) -> str:
    """Return the seeds' own ratio in a sentence, where all of them have one and they have an interval."""
    if row["ratio_low"] != row["ratio_low"]:
        return ""
    return (
        f" Seed by seed that is {finite(row['ratio_seeds'], 2)} times the reference's slices (95 % interval "
        f"{finite(row['ratio_low'], 2)} to {finite(row['ratio_high'], 2)}, p {p_value(row['p_holm'])})."
    )


def tiles(found: Findings) -> list[tuple[str, str]]:
    """Return the few numbers at the top: value and what it is."""
    benchmark, shown = found.benchmark, []
    if benchmark.by_settings:
        return [tile for cohort in benchmark.cohorts for tile in _gains(found, cohort)]
    for cohort in benchmark.cohorts:
        budget = found.focus(cohort)
        at = found.tests[found.tests["budget"] == budget]
        pair = _row(at, cohort, benchmark.ours, measure="dice")
        if pair is not None:
            value = " : ".join(finite(pair[f"{name}_mean"]) for name in ("arm", "reference"))
            names = f"{benchmark.ours} and {benchmark.reference}"
            words = f"{cohort}: Dice of {names} at {budget:g} %, {counted(pair['n'], 'common seed')}"
            shown.append((value, words))
        need = _row(found.reach, cohort, benchmark.ours)
        if need is not None and need["reference_reached"] == need["reference_reached"]:
            shown.append(_reached(need, cohort, benchmark.ours, benchmark.reference))
    return shown


def _gains(found: Findings, cohort: str) -> list[tuple[str, str]]:
    """Return each method's difference from the reference at one budget."""
    benchmark, budget = found.benchmark, found.focus(cohort)
    at = found.tests[found.tests["budget"] == budget]
    pairs = [(arm, _row(at, cohort, arm, measure="dice")) for arm in benchmark.rivals(cohort)]
    return [
        (
            signed(pair["difference"]),
            f"{cohort}: Dice of {arm} minus {benchmark.reference} at {budget:g} %, {counted(pair['n'], 'common seed')}",
        )
        for arm, pair in pairs
        if pair is not None
    ]


def _reached(need: pd.Series, cohort: str, ours: str, reference: str) -> tuple[str, str]:
    """Return the ratio of slices where it has an interval; else how many seeds come near the ceiling."""
    if need["ratio_low"] == need["ratio_low"]:
        interval = f"95 % interval {finite(need['ratio_low'], 2)} to {finite(need['ratio_high'], 2)}"
        seeds = counted(need["seeds"], "seed")
        return f"{finite(need['ratio_seeds'], 2)} ×", f"{cohort}: slices of {ours} to {reference}, {interval}, {seeds}"
    others = f"{reference}: {int(need['reference_reached'])}"
    value = f"{int(need['reached'])} of {counted(need['seeds'], 'seed')}"
    return value, f"{cohort}: {ours} comes within one point of all slices; {others}"
