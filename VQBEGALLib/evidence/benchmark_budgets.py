"""Few budgets side by side: every seed's Dice of each arm, and the paired differences, where a curve shows nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from VQBEGALLib.evidence.benchmark_differences import intervals
from VQBEGALLib.evidence.plotting import BLUE, GREY, VERMILION, Picture, drawing, finished, new_figure, shortened

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

FEW = 3
"""Budgets up to which they are drawn side by side and not as a curve."""
DARK = "#1C2329"


def budget_dots(
    seeds: pd.DataFrame,
    differences: pd.DataFrame,
    arms: Sequence[str],
    *,
    ours: str,
    reference: str,
    title: str,
    name: str,
) -> Picture:
    """Draw Dice by arm, a row of panels a budget: each seed, mean and standard deviation; beside it the differences.

    Args:
        seeds: a cohort's rows of :func:`VQBEGALLib.benchmark.statistics.by_seed`.
        differences: a cohort's rows of :func:`VQBEGALLib.benchmark.comparisons.paired_tests` over seeds.
        arms: from top to bottom.
        ours: the arm that is highlighted.
        reference: the arm that the differences are taken to.
        title: heading.
        name: stem of the file.
    """
    seeds = seeds[seeds["arm"].isin(arms)]
    shown = [arm for arm in arms if arm in set(seeds["arm"])][::-1]
    budgets = sorted(seeds["budget"].unique())
    colours = {ours: BLUE, reference: VERMILION}
    with drawing():
        figure = new_figure(980, 70 + len(budgets) * (90 + 26 * len(shown)))
        grid = figure.subplots(len(budgets), 2, squeeze=False)
        for (left, right), budget in zip(grid, budgets, strict=True):
            for place, arm in enumerate(shown):
                dice = seeds.loc[(seeds["arm"] == arm) & (seeds["budget"] == budget), "dice"].to_numpy()
                _seeds(left, dice, place, colours.get(arm, DARK))
            for axes, text in ((left, "Dice"), (right, f"minus {shortened(reference)}")):
                axes.set_yticks(range(len(shown)), [shortened(arm) for arm in shown])
                axes.set_ylim(-0.6, len(shown) - 0.4)
                axes.set_title(f"{text}, {budget:g}\N{NARROW NO-BREAK SPACE}% of the slices")
            if right is not grid[0, 1]:
                right.sharex(grid[0, 1])  # differences have one scale, Dice its own at each budget
            right.tick_params(labelleft=False)
            rows = differences[(differences["measure"] == "dice") & (differences["budget"] == budget)]
            intervals(right, rows.set_index("arm").reindex(shown), ours)
        figure.suptitle(title)
        alt = "Dots of every seed's Dice by arm and budget, and differences from the reference with intervals."
        return finished(figure, name, alt, vector=True)


def _seeds(axes: Axes, dice: np.ndarray, place: int, colour: str) -> None:
    """Draw the seeds of an arm in one row, small, above them their mean and, from two on, their standard deviation."""
    if not len(dice):
        return
    axes.plot(dice, np.full(len(dice), place - 0.25), "o", color=GREY, markersize=4, alpha=0.7, markeredgewidth=0)
    if len(dice) > 1:
        spread = dice.std(ddof=1)
        axes.plot([dice.mean() - spread, dice.mean() + spread], [place, place], color=colour, linewidth=1.8)
    axes.plot(dice.mean(), place, "D", color=colour, markersize=7)
