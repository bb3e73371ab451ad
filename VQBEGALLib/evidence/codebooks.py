"""Codebook entries in use by modality and by both, over the rounds of every arm."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from VQBEGALLib.evidence.plotting import (
    MODALITY_COLOURS,
    PURPLE,
    Picture,
    drawing,
    finished,
    new_figure,
    panels_of,
    shortened,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = 4


@dataclass(frozen=True)
class CodeUse:
    """Entries in use after one round, means over the seeds.

    Args:
        budget: slices labelled, percent of the training pool.
        primary: entries that primary slices use.
        auxiliary: entries that auxiliary slices use.
        shared: entries that both use.
    """

    budget: float
    primary: float
    auxiliary: float
    shared: float

    @property
    def common(self) -> float:
        """Shared entries as a share of all in use (Jaccard index); NaN where none is."""
        union = self.primary + self.auxiliary - self.shared
        return self.shared / union if union else math.nan


def picture(arms: Mapping[str, Sequence[CodeUse]], modalities: Mapping[str, str], *, name: str = "codes") -> Picture:
    """Draw the entries in use by round, a panel an arm, stacked: primary only, both, auxiliary only."""
    with drawing():
        columns = min(COLUMNS, len(arms))
        rows = math.ceil(len(arms) / columns)
        figure = new_figure(max(480, 240 * columns), 175 * rows + 90)
        panels = panels_of(figure, len(arms), columns, sharey=True)
        for axes, (arm, uses) in zip(panels, arms.items(), strict=True):
            _panel(axes, uses, modalities)
            axes.set_title(shortened(arm, 28), fontsize=10)
        most = max(use.primary + use.auxiliary - use.shared for uses in arms.values() for use in uses)
        panels[0].set_ylim(top=1.08 * most)
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=3)
        figure.supxlabel("labelled slices, % of the training pool", fontsize=10)
        figure.supylabel("codebook entries in use", fontsize=10)
        return finished(
            figure, name, "Stacked bars of codebook entries in use by round, a panel for each arm.", vector=True
        )


def _panel(axes: Axes, uses: Sequence[CodeUse], modalities: Mapping[str, str]) -> None:
    parts = [
        (f"{modalities['primary']} only", MODALITY_COLOURS["primary"], "", [u.primary - u.shared for u in uses]),
        ("both", PURPLE, "", [u.shared for u in uses]),
        (
            f"{modalities['auxiliary']} only",
            MODALITY_COLOURS["auxiliary"],
            "////",
            [u.auxiliary - u.shared for u in uses],
        ),
    ]
    below = np.zeros(len(uses))
    places = np.arange(len(uses))
    for label, colour, hatch, values in parts:
        axes.bar(places, values, 0.7, below, color=colour, hatch=hatch, edgecolor="white", linewidth=0.4, label=label)
        below += values
    axes.set_xticks(places, [f"{use.budget:.3g}" for use in uses])
    axes.grid(axis="x", visible=False)
