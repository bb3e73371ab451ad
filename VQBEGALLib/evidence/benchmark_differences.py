"""A benchmark's comparisons as pictures: differences from the reference with intervals, and every patient's Dice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from VQBEGALLib.evidence.benchmark_data import Style
from VQBEGALLib.evidence.numerals import p_value
from VQBEGALLib.evidence.plotting import BLUE, GREY, LIGHT, Picture, drawing, finished, new_figure, shortened

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

PATIENTS = 60
"""Patients that the figure shows; the worst by the reference come first."""


def forest(
    tests: pd.DataFrame, measures: Mapping[str, str], *, ours: str, reference: str, title: str, name: str
) -> Picture:
    """Draw the differences of the areas under the learning curve from the reference's, with 95 % intervals.

    Args:
        tests: a cohort's rows of :func:`VQBEGALLib.benchmark.comparisons.paired_tests` over seeds.
        measures: of the areas, and the headings of their panels; arms are sorted by the last.
        ours: the arm that is highlighted.
        reference: what zero stands for.
        title: heading.
        name: stem of the file.
    """
    first = tests[tests["measure"] == [*measures][-1]].sort_values("difference")
    arms = list(first["arm"])
    with drawing():
        figure = new_figure(980 if len(measures) > 1 else 640, 140 + 26 * len(arms))
        panels = figure.subplots(1, len(measures), sharey=True, squeeze=False)[0]
        for axes, (measure, heading) in zip(panels, measures.items(), strict=True):
            rows = tests[tests["measure"] == measure].set_index("arm").loc[arms]
            intervals(axes, rows, ours)
            axes.set_title(heading)
        panels[0].set_yticks(range(len(arms)), [shortened(arm) for arm in arms])
        figure.suptitle(title)
        figure.supxlabel(f"mean Dice over the budgets, minus that of {shortened(reference)}", fontsize=10)
        alt = "Differences of the area under the learning curve from the reference's, with 95 % intervals."
        return finished(figure, name, alt, vector=True)


def intervals(axes: Axes, rows: pd.DataFrame, ours: str) -> None:
    """Draw one row an arm, empty for one that is not compared; seeds and p stand on the right.

    Args:
        axes: the panel.
        rows: by arm, from bottom to top; hollow where there are too few seeds for an interval.
        ours: the arm that is highlighted.
    """
    axes.axvline(0, color=GREY, linewidth=1.2)
    for place, (arm, row) in enumerate(rows.iterrows()):
        colour, known = BLUE if arm == ours else "#1C2329", np.isfinite(row["low"])
        if known:
            axes.plot([row["low"], row["high"]], [place, place], color=colour, linewidth=2.6 if arm == ours else 1.6)
        axes.plot(row["difference"], place, "o", color=colour, markerfacecolor=colour if known else "white")
    right = axes.twinx()
    right.set_ylim(-0.6, len(rows) - 0.4)
    axes.set_ylim(-0.6, len(rows) - 0.4)
    words = [
        "" if row["n"] != row["n"] else f"n = {row['n']:g}, p {p_value(row['p_holm'])}" for _, row in rows.iterrows()
    ]
    right.set_yticks(range(len(rows)), words, fontsize=8.5)
    right.tick_params(length=0)
    right.grid(visible=False)
    axes.margins(x=0.08)
    axes.locator_params(axis="x", nbins=5)


def patient_dots(dice: pd.DataFrame, styles: Mapping[str, Style], *, title: str, name: str) -> Picture:
    """Draw every patient's Dice, mean over seeds, at one budget: a row a patient, ours and the reference in front.

    Args:
        dice: one row a patient, one column an arm; ours and the reference are among ``styles``.
        styles: looks of the arms that are told apart; the others become small grey strokes.
        title: heading.
        name: stem of the file.
    """
    front = [arm for arm in styles if arm in dice.columns and styles[arm].highlighted]
    behind = [arm for arm in dice.columns if arm not in front]
    ordered = dice.sort_values(front[-1] if front else dice.columns[0]).head(PATIENTS)[::-1]
    with drawing():
        figure = new_figure(760, 150 + 20 * len(ordered))
        axes = figure.add_subplot()
        places = np.arange(len(ordered))
        if len(front) == 2:
            axes.hlines(places, ordered[front[0]], ordered[front[1]], color=LIGHT, linewidth=3, zorder=1)
        for arm, size, order in zip(front, (6, 9), (4, 3), strict=False):
            style, text = styles[arm], shortened(arm)
            axes.plot(ordered[arm], places, style.marker, color=style.colour, markersize=size, zorder=order, label=text)
        for arm in behind:
            label = "each other arm" if arm == behind[0] else None
            axes.plot(ordered[arm], places, "|", color=GREY, markersize=8, alpha=0.7, label=label)
        axes.set_yticks(places, [shortened(str(patient)) for patient in ordered.index])
        axes.set(xlabel="Dice, mean over seeds", ylim=(-0.7, len(ordered) - 0.3))
        figure.suptitle(title)
        figure.legend(loc="outside lower center", ncols=3)
        return finished(figure, name, "Dots of every patient's Dice, by arm.", vector=True)
