"""A benchmark's curves: Dice over the annotated share, differences from the reference, Dice over degradation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from VQBEGALLib.evidence.benchmark_data import Style
from VQBEGALLib.evidence.numerals import number
from VQBEGALLib.evidence.plotting import Picture, drawing, finished, new_figure, shortened

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

DARK = "#1C2329"
COLUMNS = 3
"""Panels of the figure of robustness side by side."""
_LABEL = 30.0
"""CSS pixels that the label of a budget needs."""


def learning_curves(
    points: pd.DataFrame,
    differences: pd.DataFrame,
    panels: Sequence[Mapping[str, Style]],
    *,
    ceiling: str,
    reference: str,
    title: str,
    name: str,
) -> Picture:
    """Draw Dice over the annotated share with bands of one standard deviation, and below the paired differences.

    Args:
        points: a cohort's rows of :func:`VQBEGALLib.benchmark.statistics.curve`.
        differences: a cohort's rows of :func:`VQBEGALLib.benchmark.comparisons.paired_tests` over seeds.
        panels: arms of each panel and their looks.
        ceiling: the arm that is drawn as a line across.
        reference: the arm that the differences are taken to.
        title: heading.
        name: stem of the file.
    """
    with drawing():
        width = 980 if len(panels) > 1 else 640
        most = max(len(panel) for panel in panels)
        legend = 22 * math.ceil((most + 1) / 2)
        figure = new_figure(width, 600 + legend)
        heights = (320, 200, legend)
        grid = figure.subplots(3, len(panels), sharex=True, sharey="row", squeeze=False, height_ratios=heights)
        shown = points[points["arm"] != ceiling]
        for (upper, lower, key), panel in zip(grid.T, panels, strict=True):
            _ceiling(upper, points[points["arm"] == ceiling])
            for arm, style in panel.items():
                _curve(upper, shown[shown["arm"] == arm], style, arm)
                rows = differences[(differences["arm"] == arm) & (differences["measure"] == "dice")]
                _difference(lower, rows, style)
            look = panel.get(reference)
            lower.axhline(0, color=look.colour if look else DARK, linestyle=look.line if look else "-", linewidth=1.5)
            _budgets(lower, shown, width / len(panels) - 80)
            key.axis("off")
            key.legend(*upper.get_legend_handles_labels(), loc="upper center", ncols=2, handlelength=3.2)
        figure.suptitle(title)
        grid[0, 0].set_ylabel("Dice")
        grid[1, 0].set_ylabel(f"Dice minus\n{shortened(reference)}")
        return finished(figure, name, "Line charts of Dice over the share of annotated slices, by arm.", vector=True)


def _ceiling(axes: Axes, rows: pd.DataFrame) -> None:
    """Draw what all slices give, with a band of one standard deviation."""
    if rows.empty:
        return
    top = rows.iloc[-1]
    axes.axhline(top["dice"], color=DARK, linestyle="--", linewidth=1.2, label="all slices annotated")
    if np.isfinite(top["dice_sd"]):
        axes.axhspan(top["dice"] - top["dice_sd"], top["dice"] + top["dice_sd"], color=DARK, alpha=0.1, linewidth=0)


def _curve(axes: Axes, rows: pd.DataFrame, style: Style, label: str) -> None:
    rows = rows.sort_values("budget")
    _line(axes, rows["budget"], rows["dice"], style, shortened(label))
    spread = rows["dice_sd"].fillna(0)
    _band(axes, rows["budget"], rows["dice"] - spread, rows["dice"] + spread, style)


def _difference(axes: Axes, rows: pd.DataFrame, style: Style) -> None:
    rows = rows.sort_values("budget")
    _line(axes, rows["budget"], rows["difference"], style, "_")
    if style.highlighted:
        low, high = (rows[end].fillna(rows["difference"]) for end in ("low", "high"))
        _band(axes, rows["budget"], low, high, style)


def _line(axes: Axes, x: Any, y: Any, style: Style, label: str) -> None:
    axes.plot(
        x,
        y,
        color=style.colour,
        marker=style.marker,
        linestyle=style.line,
        linewidth=style.width,
        markersize=6 if style.highlighted else 5,
        zorder=4 if style.highlighted else 3,
        label=label,
    )


def _band(axes: Axes, x: Any, low: Any, high: Any, style: Style) -> None:
    axes.fill_between(x, low, high, color=style.colour, alpha=0.2 if style.highlighted else 0.1, linewidth=0)


def _budgets(axes: Axes, points: pd.DataFrame, width: float) -> None:
    """Label the horizontal axis with budgets and slices; on ``width`` CSS pixels no two labels may touch."""
    slices = points.groupby("budget")["slices"].mean()
    budgets = [float(budget) for budget in slices.index]
    axes.set_xscale("log", base=2)
    low, high = math.log2(budgets[0]), math.log2(budgets[-1])
    room = width / max(high - low, 1e-9) / 1.1
    kept: list[float] = []
    for budget in reversed(budgets):
        needed = _LABEL + 5 * max(0, len(number(round(slices[budget]))) - 3)
        if not kept or (math.log2(kept[-1]) - math.log2(budget)) * room >= needed:
            kept.append(budget)
    axes.tick_params(labelbottom=True)
    axes.set_xticks(budgets, [f"{each:g}\n{number(round(slices[each]))}" if each in kept else "" for each in budgets])
    axes.minorticks_off()
    margin = 0.05 * (high - low) or 1.0
    axes.set_xlim(2 ** (low - margin), 2 ** (high + margin))
    axes.set_xlabel("share of the training slices that is annotated, %;\nbelow: their number")


def robustness_curves(
    points: pd.DataFrame, panels: Mapping[str, str], styles: Mapping[str, Style], *, title: str, name: str
) -> Picture:
    """Draw Dice over the level of each condition, a panel a condition, with bars of one standard deviation over seeds.

    Args:
        points: rows of :func:`VQBEGALLib.benchmark.statistics.robustness`, one per condition, arm and level.
        panels: conditions and the titles of their panels.
        styles: looks of the arms.
        title: heading.
        name: stem of the file.
    """
    with drawing():
        columns = min(COLUMNS, len(panels))
        rows = math.ceil(len(panels) / columns)
        figure = new_figure(max(420, 327 * columns), 260 * rows + 80)
        grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
        for axes, (condition, heading) in zip(grid.flat, panels.items(), strict=False):
            for arm, style in styles.items():
                line = points[(points["condition"] == condition) & (points["arm"] == arm)].sort_values("level")
                if len(line):
                    _line(axes, line["level"], line["dice"], style, shortened(arm))
                    axes.errorbar(
                        line["level"],
                        line["dice"],
                        line["dice_sd"].fillna(0),
                        fmt="none",
                        ecolor=style.colour,
                        capsize=3,
                    )
            axes.set_title(heading, fontsize=10)
            axes.set_xlabel("level")
        for place, axes in enumerate(grid.flat):
            axes.set_visible(place < len(panels))
        for axes in grid[:, 0]:
            axes.set_ylabel("Dice")
        figure.suptitle(title)
        handles = {
            label: line for axes in grid.flat for line, label in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=4, handlelength=3.2)
        return finished(figure, name, "Line charts of Dice over the level of each degradation, by arm.", vector=True)
