"""The report's curves: learning, losses, scores over the pool, use of the codebook. Numbers in, pictures out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from VQBEGALLib.evidence.plotting import (
    GREEN,
    GREY,
    LIGHT,
    MODALITY_COLOURS,
    ORANGE,
    PURPLE,
    ROLE_COLOURS,
    ROLE_WORDS,
    VERMILION,
    Picture,
    drawing,
    finished,
    new_figure,
    shortened,
    whole_numbers,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CERTAIN = math.log(2)
"""Entropy of a coin toss between two modalities, the largest there is."""

ROLE_MARKERS = {"decoder": "^", "encoder": "v", "all": "o"}
PANELS = 24
"""Cases that the figure of scores shows."""


@dataclass(frozen=True)
class CurvePoint:
    """What one trained round reached.

    Args:
        labelled: annotated training slices.
        pool: training slices in all.
        validation: Dice by case.
        test: Dice by case, by what the network was given.
    """

    labelled: int
    pool: int
    validation: Mapping[str, float] = field(default_factory=dict)
    test: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class ScoredSlice:
    """A slice of the pool with its score; ``height`` is 0 at the feet's end of the volume and 1 at the head's."""

    height: float
    score: float
    role: str = ""


def learning_curve(points: Sequence[CurvePoint]) -> Picture:
    """Draw Dice over annotated slices: each validation patient, their mean, and the test patients' mean."""
    with drawing():
        figure = new_figure(860, 400)
        axes = figure.add_subplot()
        _patients(axes, points)
        _means(axes, [(p.labelled, list(p.validation.values())) for p in points], GREEN, "o-", "validation, mean")
        for label, colour, marker in zip(_kinds(points), (ORANGE, VERMILION), ("s--", "D--"), strict=False):
            _means(axes, [(p.labelled, list(p.test.get(label, {}).values())) for p in points], colour, marker, label)
        values = [value for point in points for value in _all_values(point)]
        low = max(0.0, math.floor(20 * min(values) - 0.5) / 20)
        axes.set(xlabel="annotated training slices", ylabel="Dice", ylim=(low, 1.0 + 0.02 * (1 - low)))
        if len({point.labelled for point in points}) == 1:
            axes.set_xlim(0, 2 * points[0].labelled)
        whole_numbers(axes)
        pool = points[-1].pool
        if pool:
            share = axes.secondary_xaxis("top", functions=(lambda x: 100 * x / pool, lambda x: x * pool / 100))
            share.set_xlabel("share of the training slices, %")
        figure.legend(loc="outside right upper")
        return finished(figure, "learning_curve", "Line chart of Dice over the number of annotated slices.")


def _all_values(point: CurvePoint) -> list[float]:
    return [*point.validation.values(), *(value for found in point.test.values() for value in found.values())]


def _kinds(points: Sequence[CurvePoint]) -> list[str]:
    return list(dict.fromkeys(label for point in points for label in point.test))


def _patients(axes: Axes, points: Sequence[CurvePoint]) -> None:
    names = sorted({name for point in points for name in point.validation})
    for number, name in enumerate(names):
        known = [(point.labelled, point.validation[name]) for point in points if name in point.validation]
        label = "validation, each patient" if number == 0 else None
        axes.plot(*zip(*known, strict=True), ".-", color=LIGHT, linewidth=1, markersize=6, label=label)


def _means(
    axes: Axes, found: Sequence[tuple[int, Sequence[float]]], colour: str, marker: str, label: str
) -> None:
    known = [(x, float(np.mean(values))) for x, values in found if values]
    if known:
        axes.plot(*zip(*known, strict=True), marker, color=colour, linewidth=2, markersize=6, label=label)


def loss_history(history: Sequence[Mapping[str, float]]) -> Picture:
    """Draw the terms of a round's loss and the discriminator's accuracy over the steps."""
    with drawing():
        figure = new_figure(980, 290)
        left, middle, right = figure.subplots(1, 3)
        _terms(left, history, [("seg", "L_seg", GREEN, "-")])
        _terms(middle, history, [("vq", "L_vq", ORANGE, "-"), ("commit", "L_commit", GREY, ":")])
        _terms(middle, history, [("disc", "L_disc", PURPLE, "-")])
        _terms(right, history, [("discriminator_right", "share it tells apart", PURPLE, "-")])
        left.set(title="Segmentation", xlabel="step", ylabel="loss")
        middle.set(title="Codebook and discriminator", xlabel="step")
        right.set(title="Discriminator is right", xlabel="step", ylim=(0, 1.03))
        right.axhline(0.5, color=GREY, linestyle="--", linewidth=1, label="chance")
        for axes in (left, middle):
            axes.set_ylim(bottom=0)
        for axes in (left, middle, right):
            whole_numbers(axes)
            if axes.get_legend_handles_labels()[0]:
                axes.legend(loc="best")
        return finished(figure, "losses", "Line charts of the loss terms over the training steps.")


def _terms(axes: Axes, history: Sequence[Mapping[str, float]], terms: Sequence[tuple[str, str, str, str]]) -> None:
    for key, label, colour, line in terms:
        known = [(point["step"], point[key]) for point in history if "step" in point and key in point]
        if known:
            axes.plot(*zip(*known, strict=True), line, color=colour, linewidth=1.8, label=label)


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
        for axes in panels.flat[len(names) :]:
            axes.set_visible(False)
        panels[0, 0].set(xlim=(-3, 103))
        handles = {label: handle for axes in panels.flat for handle, label in zip(*_legend(axes), strict=True)}
        figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=4)
        figure.supxlabel("position along the body, % (0 feet, 100 head)", fontsize=10)
        figure.supylabel(what, fontsize=10)
        return finished(figure, "scores", "Charts of the score of each slice along the body, one for each case.")


def _legend(axes: Axes) -> tuple[list[Any], list[Any]]:
    return axes.get_legend_handles_labels()


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
        if right.get_legend_handles_labels()[0]:
            right.legend(loc="upper right")
        return finished(figure, "codebook", "Bars of codebook entries in use by round, and curves of how often.")


def _entries(axes: Axes, rounds: Mapping[int, Mapping[str, Any]], modalities: Mapping[str, str]) -> None:
    from matplotlib.ticker import MaxNLocator

    positions = np.arange(len(rounds))
    found = [{key: int(book.get(key, 0)) for key in ("entries", "primary", "auxiliary", "shared")} for book in rounds.values()]
    parts = [
        (f"{modalities['primary']} only", MODALITY_COLOURS["primary"], [b["primary"] - b["shared"] for b in found]),
        ("both", PURPLE, [b["shared"] for b in found]),
        (f"{modalities['auxiliary']} only", MODALITY_COLOURS["auxiliary"], [b["auxiliary"] - b["shared"] for b in found]),
    ]
    start = np.zeros(len(found))
    for label, colour, values in parts:
        axes.bar(positions, values, bottom=start, color=colour, width=0.65, label=label)
        start = start + np.array(values)
    unused = np.array([b["entries"] for b in found]) - start
    axes.bar(positions, unused, bottom=start, color="white", edgecolor=LIGHT, width=0.65, label="unused")
    axes.set_xticks(positions, [str(index) for index in rounds])
    axes.xaxis.set_major_locator(MaxNLocator(nbins=12, integer=True)) if len(found) > 12 else None
    axes.set_xlim(-0.7, max(len(found), 3) - 0.3)
    axes.grid(axis="x", visible=False)
    axes.set(title="Entries in use", xlabel="round", ylabel="codebook entries")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=4, columnspacing=1.0, handlelength=1.2)
