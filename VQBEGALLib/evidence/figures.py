"""What a strategy saw and what the codebook does: scores over the pool, entries in use. Numbers in, pictures out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from VQBEGALLib.evidence.plotting import (
    LIGHT,
    MODALITY_COLOURS,
    PURPLE,
    ROLE_COLOURS,
    ROLE_WORDS,
    Picture,
    drawing,
    finished,
    new_figure,
    shortened,
)

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

ROLE_MARKERS = {"decoder": "^", "encoder": "v", "all": "o"}
PANELS = 24
"""Cases that the figure of scores shows."""


@dataclass(frozen=True)
class ScoredSlice:
    """A slice of the pool with its score; ``height`` is 0 at the feet's end of the volume and 1 at the head's."""

    height: float
    score: float
    role: str = ""


def scores_along_body(cases: Mapping[str, Sequence[ScoredSlice]], *, what: str) -> Picture:
    """Draw the score of every slice of the pool along the body, a panel a case, the chosen ones marked by role."""
    with drawing():
        names = list(cases)[:PANELS]
        columns = min(4, len(names))
        rows = math.ceil(len(names) / columns)
        figure = new_figure(max(440, 250 * columns), 175 * rows + 70)
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for axes, name in zip(panels.flat, names, strict=False):
            _panel(axes, cases[name])
            axes.set_title(shortened(name, 28), fontsize=10)
        for place, axes in enumerate(panels.flat):
            axes.set_visible(place < len(names))
            axes.tick_params(labelbottom=place + columns >= len(names))
        panels[0, 0].set(xlim=(-3, 103))
        handles: dict[str, Artist] = {}
        for axes in panels.flat:
            handles |= {label: line for line, label in zip(*axes.get_legend_handles_labels(), strict=True)}
        figure.legend(list(handles.values()), list(handles), loc="outside upper center", ncols=4)
        figure.supxlabel("position along the body, % (0 feet, 100 head)", fontsize=10)
        figure.supylabel(what, fontsize=10)
        return finished(figure, "scores", "Charts of the score of each slice along the body, one for each case.")


def _panel(axes: Axes, slices: Sequence[ScoredSlice]) -> None:
    ordered = sorted(slices, key=lambda item: item.height)
    axes.plot(
        [100 * item.height for item in ordered],
        [item.score for item in ordered],
        ".-",
        color="#9AA5B1",
        linewidth=1,
        markersize=3,
        label="slice of the pool",
    )
    for role, marker in ROLE_MARKERS.items():
        chosen = [item for item in ordered if item.role == role]
        if chosen:
            axes.plot(
                [100 * item.height for item in chosen],
                [item.score for item in chosen],
                marker,
                color=ROLE_COLOURS[role],
                markeredgecolor="black",
                markeredgewidth=0.6,
                markersize=8,
                linestyle="none",
                label=f"chosen, {ROLE_WORDS[role]}",
            )


def codebook_use(
    rounds: Mapping[int, Mapping[str, Any]], counts: Mapping[str, Sequence[int]], modalities: Mapping[str, str]
) -> Picture:
    """Draw which entries each modality uses, by round, and how unevenly the last round uses them.

    Args:
        rounds: by round: ``entries``, and entries in use by ``primary``, ``auxiliary`` and both (``shared``).
        counts: positions assigned to each entry in the last round, by ``primary`` and ``auxiliary``.
        modalities: name of the modality behind ``primary`` and ``auxiliary``.
    """
    with drawing():
        figure = new_figure(980, 330)
        left, right = figure.subplots(1, 2)
        _entries(left, rounds, modalities)
        for which, values in counts.items():
            used = np.sort(np.asarray([value for value in values if value > 0], dtype=np.float64))[::-1]
            if len(used):
                shares = 100 * used / used.sum()
                right.plot(
                    np.arange(1, len(used) + 1),
                    shares,
                    "-" if which == "primary" else "--",
                    color=MODALITY_COLOURS[which],
                    linewidth=2,
                    label=f"{modalities[which]}: {len(used)} in use",
                )
        right.set(title="How often each entry is used, last round", xlabel="entries, most used first")
        right.set(ylabel="share of positions, %", yscale="log")
        right.yaxis.set_major_formatter("{x:g}")
        right.yaxis.set_minor_formatter("")
        if right.get_legend_handles_labels()[0]:
            right.legend(loc="upper right")
        return finished(figure, "codebook", "Bars of codebook entries in use by round, and curves of how often.")


def _entries(axes: Axes, rounds: Mapping[int, Mapping[str, Any]], modalities: Mapping[str, str]) -> None:
    positions = list(rounds)
    keys = ("entries", "primary", "auxiliary", "shared")
    found = [{key: int(book.get(key, 0)) for key in keys} for book in rounds.values()]
    parts = [
        (f"{modalities['primary']} only", MODALITY_COLOURS["primary"], [b["primary"] - b["shared"] for b in found]),
        ("both", PURPLE, [b["shared"] for b in found]),
        (
            modalities["auxiliary"] + " only",
            MODALITY_COLOURS["auxiliary"],
            [b["auxiliary"] - b["shared"] for b in found],
        ),
    ]
    start = np.zeros(len(found))
    for label, colour, values in parts:
        axes.bar(positions, values, bottom=start, color=colour, width=0.65, label=label)
        start = start + np.array(values)
    unused = np.array([b["entries"] for b in found]) - start
    axes.bar(positions, unused, bottom=start, color="white", edgecolor=LIGHT, width=0.65, label="unused")
    if len(positions) <= 12:
        axes.set_xticks(positions)
    axes.set_xlim(positions[0] - 0.7, max(positions[-1], positions[0] + 3) + 0.7)
    axes.grid(axis="x", visible=False)
    axes.set(title="Entries in use", xlabel="round", ylabel="codebook entries")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=4, columnspacing=1.0, handlelength=1.2)
