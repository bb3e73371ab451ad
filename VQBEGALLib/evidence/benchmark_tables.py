"""A benchmark's numbers as tables of text: for the report, and as Markdown for a page."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from VQBEGALLib.evidence.numerals import NOTHING, finite, number, p_value, signed
from VQBEGALLib.evidence.tables import Table

Row = Mapping[str, Any]
MARK = "†"
"""Of arms with another network or other slices than ours."""


def spread(mean: float, deviation: float, decimals: int = 3) -> str:
    """Return mean ± standard deviation; the mean alone where there is one seed.

    Examples:
        >>> spread(0.9, 0.01), spread(0.9, float("nan"))
        ('0.900 ± 0.010', '0.900')
    """
    text = finite(mean, decimals)
    return f"{text} ± {finite(deviation, decimals)}" if deviation == deviation else text


def by_budget(
    points: pd.DataFrame, arms: Sequence[str], cell: Callable[[Row], str], *, counted: str = "seeds"
) -> Table:
    """Return one row an arm and one column a budget.

    Args:
        points: a cohort's rows, at most one for an arm and budget; ``seeds`` among the columns.
        arms: in order; those without rows are left out.
        cell: the text of one row.
        counted: what the column of counts is called.
    """
    points = points[points["arm"].isin(arms)]
    budgets = sorted(points["budget"].unique())
    rows = []
    for arm in arms:
        mine = {row["budget"]: row for row in points[points["arm"] == arm].to_dict("records")}
        if mine:
            seeds = [int(row["seeds"]) for row in mine.values()]
            cells = [cell(mine[budget]) if budget in mine else NOTHING for budget in budgets]
            rows.append([arm, _range(seeds), *cells])
    return Table(["arm", counted, *(f"{budget:g}\N{NARROW NO-BREAK SPACE}%" for budget in budgets)], rows)


def _range(counts: Sequence[int]) -> str:
    low, high = min(counts), max(counts)
    return str(low) if low == high else f"{low}–{high}"


def dice_cell(row: Row) -> str:
    """Return Dice, mean ± standard deviation over seeds."""
    return spread(row["dice"], row["dice_sd"])


def median_cell(row: Row) -> str:
    """Return the median patient's Dice."""
    return finite(row["dice_median"])


def distance_cell(row: Row) -> str:
    """Return HD95 in mm, mean ± standard deviation over seeds."""
    return spread(row["hd95"], row["hd95_sd"], 1)


def difference_cell(row: Row) -> str:
    """Return a difference with its corrected p, where there is one."""
    text = signed(row["difference"])
    return text if row["p_holm"] != row["p_holm"] else f"{text} ({p_value(row['p_holm'])})"


def areas(means: pd.DataFrame, tests: pd.DataFrame, arms: Sequence[str], measures: Mapping[str, str]) -> Table:
    """Return the areas under the learning curves and their differences from the reference's.

    Args:
        means: a cohort's rows of :func:`VQBEGALLib.benchmark.statistics.area`.
        tests: a cohort's rows of :func:`VQBEGALLib.benchmark.comparisons.paired_tests` over seeds.
        arms: in order.
        measures: areas and what they are in words.
    """
    compared = {(row["measure"], row["arm"]): row for row in tests.to_dict("records")}
    rows = []
    for row in (
        means.set_index("arm")
        .reindex([arm for arm in arms if arm in set(means["arm"])])
        .reset_index()
        .to_dict("records")
    ):
        cells = [row["arm"], str(int(row["seeds"]))]
        for measure in measures:
            cells.append(spread(row[measure], row[f"{measure}_sd"]))
            cells += _compared(compared.get((measure, row["arm"])))
        rows.append(cells)
    part = ["mean Dice", "difference", "95 % interval", "p"]
    groups = [("", 2), *((words, 4) for words in measures.values())]
    return Table(["arm", "seeds", *part * len(measures)], rows, groups=groups)


def _compared(test: Row | None) -> list[str]:
    if test is None:
        return [NOTHING] * 3
    return [signed(test["difference"]), _interval(test["low"], test["high"], signed), p_value(test["p_holm"])]


def _interval(low: float, high: float, text: Callable[[object], str]) -> str:
    return f"{text(low)} to {text(high)}" if low == low and high == high else NOTHING


def reaching(found: pd.DataFrame, arms: Sequence[str]) -> Table:
    """Return the slices that each arm needs (see :func:`VQBEGALLib.benchmark.comparisons.slices_to_reach`)."""
    lines = {row["arm"]: row for row in found.to_dict("records")}
    rows = [
        [
            arm,
            _slices(line["slices"], line["at_first"]),
            finite(line["budget"], 1),
            finite(line["ratio"], 2) if line["ratio"] == line["ratio"] else _bound(line["ratio_below"]),
            f"{int(line['reached'])} of {int(line['seeds'])}",
            finite(line["median"], 0),
            finite(line["ratio_seeds"], 2),
            _interval(line["ratio_low"], line["ratio_high"], lambda value: finite(value, 2)),
            p_value(line["p_holm"]),
        ]
        for arm, line in lines.items()
        if arm in arms
    ]
    rows.sort(key=lambda row: arms.index(row[0]))
    columns = ["arm", "slices", "% of the pool", "ratio", "reach it", "median slices", "ratio", "95 % interval", "p"]
    return Table(columns, rows, groups=[("", 1), ("curve of the mean", 3), ("seed by seed", 5)])


def _slices(count: float, at_first: bool) -> str:
    return f"{'≤' if at_first else ''}{finite(count, 0)}" if count == count else "not reached"


def _bound(ratio: float) -> str:
    return f"<{finite(ratio, 2)}" if ratio == ratio else NOTHING


def conditions(points: pd.DataFrame, arms: Sequence[str]) -> Table:
    """Return Dice under every condition and level (see :func:`VQBEGALLib.benchmark.statistics.robustness`)."""
    shown = [arm for arm in arms if arm in set(points["arm"])]
    rows = []
    for (name, level), group in points.groupby(["condition", "level"]):
        cells = {row["arm"]: dice_cell(row) for row in group.to_dict("records")}
        rows.append([name, f"{level:g}", *(cells.get(arm, NOTHING) for arm in shown)])
    return Table(["condition", "level", *shown], rows)


def marked(table: Table, arms: Collection[str]) -> Table:
    """Return a table in which these arms, as headings or first in a row, carry :data:`MARK`."""

    def named(text: str) -> str:
        return f"{text} {MARK}" if text in arms else text

    rows = [[named(row[0]), *row[1:]] for row in table.rows]
    return replace(table, columns=[named(text) for text in table.columns], rows=rows)


def markdown(table: Table) -> str:
    """Return a table in GitHub's Markdown; a heading over several columns is put before each of them."""
    columns = list(table.columns)
    if table.groups:
        above = [label for label, span in table.groups for _ in range(span)]
        columns = [": ".join(part for part in pair if part) for pair in zip(above, columns, strict=True)]
    rule = ["---" if place in table.words else "---:" for place in range(len(columns))]
    lines = [columns, rule, *table.rows, *table.foot]
    return "\n".join(f"| {' | '.join(_escaped(text) for text in line)} |" for line in lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def plain(value: object) -> str:
    """Return a value of a plan or of the environment as text."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} = {plain(each)}" for key, each in value.items()) or NOTHING
    if isinstance(value, (list, tuple)):
        return ", ".join(plain(each) for each in value) or NOTHING
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def listing(data: Mapping[str, Any]) -> Table:
    """Return the entries of a mapping, one a row."""
    return Table(["", "value"], [[str(key), plain(value)] for key, value in data.items()], words=frozenset({0, 1}))


def finished_runs(rounds: pd.DataFrame, arms: Sequence[str]) -> Table:
    """Return how many seeds have come to each budget, for one cohort's rows of the table of rounds."""
    counts = rounds.groupby(["arm", "budget"], as_index=False)["seed"].nunique().rename(columns={"seed": "seeds"})
    return by_budget(counts, arms, lambda row: number(int(row["seeds"])))
