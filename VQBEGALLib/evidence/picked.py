"""Where along the body each strategy picks, and where the organ is."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from VQBEGALLib.evidence.numerals import percent
from VQBEGALLib.evidence.plotting import (
    GREY,
    LIGHT,
    ROLE_COLOURS,
    ROLE_WORDS,
    Picture,
    drawing,
    finished,
    new_figure,
    panels_of,
    shortened,
)
from VQBEGALLib.evidence.snapshot import Floats
from VQBEGALLib.slices import SliceFrame
from VQBEGALLib.study import Study

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BINS = 20
COLUMNS = 4
HATCHES = {"all": "", "decoder": "", "encoder": "////"}


@dataclass(frozen=True)
class PickedSlice:
    """A slice that a strategy chose: relative height in the volume (0 feet, 1 head), what it trains, organ or not."""

    position: float
    role: str
    foreground: bool


@dataclass(frozen=True, eq=False)
class OrganExtent:
    """Where the organ is in the training pool.

    Args:
        share: share of the slices at each of ``BINS`` heights that show the organ; NaN where there is no slice.
        overall: the same over all slices.
        heights: relative height of every slice, (N,).
    """

    share: Floats
    overall: float
    heights: Floats


def organ_extent(study: Study) -> OrganExtent | None:
    """Return where the organ is in the training cases that have a reference; None where none has."""
    heights: list[float] = []
    shown: list[bool] = []
    for case in study.cases("train"):
        reference = study.reference(case.name)
        if reference is None:
            continue
        frame = SliceFrame.of(reference)
        heights += [frame.height(index) for index in range(frame.count)]
        shown += [bool(plane.any()) for plane in frame.planes(reference.voxels)]
    if not heights:
        return None
    places = np.minimum((BINS * np.array(heights)).astype(int), BINS - 1)
    slices = np.bincount(places, minlength=BINS)
    organ = np.bincount(places, weights=shown, minlength=BINS)
    share = np.divide(organ, slices, out=np.full(BINS, np.nan), where=slices > 0)
    return OrganExtent(share, float(np.mean(shown)), np.array(heights))


def picture(arms: Mapping[str, Sequence[PickedSlice]], extent: OrganExtent | None, *, name: str = "picked") -> Picture:
    """Draw where each arm's picks lie along the body, a panel an arm; grey is the share of slices with organ there."""
    with drawing():
        columns = min(COLUMNS, len(arms))
        rows = math.ceil(len(arms) / columns)
        figure = new_figure(max(480, 240 * columns), 175 * rows + 95)
        panels = panels_of(figure, len(arms), columns, sharex=True, sharey=True)
        for axes in panels[-columns:]:  # the lowest of each column, though a row be short
            axes.tick_params(labelbottom=True)
        for axes, (arm, picks) in zip(panels, arms.items(), strict=True):
            _panel(axes, arm, picks, extent)
        top = panels[0].get_ylim()[1]  # shared by all
        panels[0].set(xlim=(0, 100), xticks=range(20, 81, 20), ylim=(0, 1.05 * top))
        for axes in panels:
            _shade(axes, extent)
        handles = {
            label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        figure.legend(list(handles.values()), list(handles), loc="outside upper center", ncols=3, fontsize=9)
        figure.supxlabel("position along the body, % (0 feet, 100 head)", fontsize=10)
        figure.supylabel("share of the arm's picks, %", fontsize=10)
        return finished(figure, name, "Histograms of the position of each arm's picks along the body.", vector=True)


def _panel(axes: Axes, arm: str, picks: Sequence[PickedSlice], extent: OrganExtent | None) -> None:
    edges = np.linspace(0, 100, BINS + 1)
    by_role: dict[str, list[float]] = defaultdict(list)
    for pick in picks:
        by_role[pick.role].append(100 * pick.position)
    below = np.zeros(BINS)
    for role in (role for role in ROLE_COLOURS if role in by_role):
        shares = 100 * np.histogram(by_role[role], edges)[0] / len(picks)
        axes.bar(
            edges[:-1],
            shares,
            width=100 / BINS,
            bottom=below,
            align="edge",
            color=ROLE_COLOURS[role],
            edgecolor="white",
            linewidth=0.6,
            hatch=HATCHES[role],
            label=f"picked, {ROLE_WORDS[role]}",
        )
        below += shares
    axes.axhline(100 / BINS, color=GREY, linewidth=1, linestyle=":", label="evenly spread")
    organ = percent(sum(pick.foreground for pick in picks), len(picks))
    overall = "" if extent is None else f" (pool {percent(extent.overall, 1)})"
    axes.set_title(f"{shortened(arm, 28)}\nwith organ {organ}{overall}", fontsize=9)


def _shade(axes: Axes, extent: OrganExtent | None) -> None:
    """Fill the panel up to the share of slices with organ: the full height is all of them."""
    if extent is not None:
        height = axes.get_ylim()[1] * np.nan_to_num(extent.share)
        axes.stairs(
            height,
            np.linspace(0, 100, BINS + 1),
            fill=True,
            color=LIGHT,
            alpha=0.55,
            zorder=0.5,
            label="slices with organ (full height: all)",
        )
