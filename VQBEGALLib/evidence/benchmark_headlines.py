"""What a benchmark comes to, in a few numbers and sentences that hold whichever way the comparison went."""

from __future__ import annotations

import pandas as pd

from VQBEGALLib.benchmark.comparisons import LEAST
from VQBEGALLib.evidence.benchmark_findings import Findings
from VQBEGALLib.evidence.numerals import finite, p_value, signed

CERTAIN = 0.05
"""p below which a difference counts as shown."""


def headline(found: Findings, cohort: str) -> list[str]:
    """Return in sentences what a cohort's results say of our arm, ahead or not."""
    benchmark = found.benchmark
    ours, reference = benchmark.ours, benchmark.reference
    said = []
    test = _row(found.tests, cohort, ours, measure="area_log2")
    if test is not None:
        interval = ""
        if test["low"] == test["low"]:
            interval = f" (95 % interval {signed(test['low'])} to {signed(test['high'])}, p {p_value(test['p_holm'])})"
        said.append(
            f"{cohort}: over the learning curve from {found.budgets[cohort][0]:g} to {found.budgets[cohort][-1]:g} % "
            f"of the slices, every doubling counting the same, the mean Dice of {ours} minus that of {reference} is "
            f"{signed(test['difference'])}{interval}, on {int(test['n'])} seeds: {_verdict(test)}."
        )
    need, base = (_row(found.reach, cohort, arm) for arm in (ours, reference))
    if need is not None and base is not None:
        said.append(
            f"{cohort}: to come within one point of the Dice that all slices give ({finite(need['ceiling'])}), {ours} "
            f"{_needs(need)}; {reference} {_needs(base)}.{_ratio(need)}"
        )
    elif benchmark.ceiling not in set(found.points.loc[found.points["cohort"] == cohort, "arm"]):
        said.append(f"{cohort}: the arm with all slices ({benchmark.ceiling}) is not there, so no ceiling is known.")
    return said


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


def _needs(row: pd.Series) -> str:
    if row["slices"] != row["slices"]:
        return "needs more than it was given"
    return f"needs {finite(row['slices'], 0)} slices ({finite(row['budget'], 1)} % of the pool)"


def _ratio(row: pd.Series) -> str:
    """Return the seeds' own ratio in a sentence, where all of them have one."""
    if row["ratio_seeds"] != row["ratio_seeds"]:
        return ""
    return (
        f" Seed by seed that is {finite(row['ratio_seeds'], 2)} times the reference's slices (95 % interval "
        f"{finite(row['ratio_low'], 2)} to {finite(row['ratio_high'], 2)}, p {p_value(row['p_holm'])})."
    )


def tiles(found: Findings) -> list[tuple[str, str]]:
    """Return the few numbers at the top: value and what it is."""
    benchmark, shown = found.benchmark, []
    for cohort in benchmark.cohorts:
        budget = found.focus(cohort)
        at = found.points[found.points["budget"] == budget]
        pair = [_row(at, cohort, arm) for arm in (benchmark.ours, benchmark.reference)]
        if pair[0] is not None and pair[1] is not None:
            value = " : ".join(finite(row["dice"]) for row in pair if row is not None)
            shown.append((value, f"{cohort}: Dice of {benchmark.ours} and {benchmark.reference} at {budget:g} %"))
        need = _row(found.reach, cohort, benchmark.ours)
        if need is not None and need["ratio"] == need["ratio"]:
            value = f"{finite(need['ratio'], 2)} ×"
            shown.append((value, f"{cohort}: the slices of {benchmark.reference} that {benchmark.ours} needs"))
    return shown
