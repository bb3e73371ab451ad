"""Several organs: what each arm reaches for each of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pandas as pd

from VQBEGALLib.benchmark import comparisons, statistics
from VQBEGALLib.evidence import benchmark_tables as tables
from VQBEGALLib.evidence.benchmark_findings import Findings
from VQBEGALLib.evidence.benchmark_sections import captioned, of_cohort
from VQBEGALLib.evidence.benchmark_tables import Row
from VQBEGALLib.evidence.numerals import NOTHING
from VQBEGALLib.evidence.section import Section
from VQBEGALLib.evidence.tables import Table

MEAN = "mean"
"""Heading of the mean over the organs."""


def organs(found: Findings) -> list[Section]:
    """Return the results by organ; nothing where there is one."""
    benchmark = found.benchmark
    if benchmark.by_organ.empty:
        return []
    section = Section("By organ")
    section.text.append(
        f"Mean over patients, then over seeds, ± standard deviation over seeds; differences from {benchmark.reference} "
        "on common seeds. p is corrected by Holm's procedure for the arms at a budget, not for the organs."
    )
    for cohort in benchmark.cohorts:
        parts, arms = _parts(found, cohort), benchmark.arms(cohort)
        points = {organ: statistics.curve(part) for organ, part in parts.items()}
        tests = {organ: comparisons.paired_tests(part, reference=benchmark.reference) for organ, part in parts.items()}
        for budget in sorted(points[MEAN]["budget"].unique()):
            where = f"{cohort}, {budget:g}\N{NARROW NO-BREAK SPACE}%"
            reached = {organ: each[each["budget"] == budget] for organ, each in points.items()}
            compared = {organ: each[each["budget"] == budget] for organ, each in tests.items()}
            for words, shown in (
                ("Dice", side_by_side(reached, [*arms, benchmark.ceiling], tables.dice_cell)),
                ("HD95, mm", side_by_side(reached, [*arms, benchmark.ceiling], tables.distance_cell)),
                ("difference of Dice (p)", side_by_side(compared, arms, tables.difference_cell)),
            ):
                place = section.tables if words == "Dice" else section.folded
                place += [captioned(found, cohort, f"{where}: {words}", shown)] if shown.rows else []
    return [section]


def _parts(found: Findings, cohort: str) -> dict[str, pd.DataFrame]:
    """Return the clean evaluations of the mean over the organs and of each organ, by heading."""
    benchmark = found.benchmark
    mine = of_cohort(benchmark.by_organ, cohort)
    how = {"split": benchmark.split, "auxiliary": found.auxiliary}
    each = {organ: statistics.view(mine, organ=organ, **how) for organ in mine["organ"].unique()}
    return {MEAN: of_cohort(found.patients, cohort), **each}


def side_by_side(parts: Mapping[str, pd.DataFrame], arms: Sequence[str], cell: Callable[[Row], str]) -> Table:
    """Return one row an arm and one column a part; arms without rows are left out.

    Args:
        parts: at most one row an arm in each, by heading.
        arms: in order.
        cell: the text of one row.
    """
    found = {heading: {row["arm"]: cell(row) for row in part.to_dict("records")} for heading, part in parts.items()}
    shown = [arm for arm in arms if any(arm in each for each in found.values())]
    rows = [[arm, *(each.get(arm, NOTHING) for each in found.values())] for arm in shown]
    return Table(["arm", *found], rows)
