"""The report's curves: Dice over annotated slices, and the loss over steps. Numbers in, pictures out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from VQBEGALLib.evidence.plotting import (
    GREEN,
    GREY,
    LIGHT,
    ORANGE,
    PURPLE,
    VERMILION,
    Picture,
    drawing,
    finished,
    new_figure,
    whole_numbers,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


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


def learning_curve(points: Sequence[CurvePoint]) -> Picture:
    """Draw Dice over annotated slices: each validation patient, their mean, and the test patients' mean."""
    with drawing():
        figure = new_figure(980, 400)
        axes = figure.add_subplot()
        _patients(axes, points)
        _means(axes, [(p.labelled, list(p.validation.values())) for p in points], GREEN, "o-", "validation, mean")
        for label, colour, marker in zip(_kinds(points), (ORANGE, VERMILION), ("s--", "d--"), strict=False):
            _means(axes, [(p.labelled, list(p.test.get(label, {}).values())) for p in points], colour, marker, label)
        values = [value for point in points for value in _all_values(point)]
        low = max(0.0, math.floor(20 * min(values)) / 20)
        margin = 0.03 * (1 - low)
        axes.set(xlabel="annotated training slices", ylabel="Dice", ylim=(low - margin, 1 + margin))
        if len({point.labelled for point in points}) == 1:
            axes.set_xlim(0, 2 * points[0].labelled)
        whole_numbers(axes)
        pool = points[-1].pool
        if pool:
            share = axes.secondary_xaxis("top", functions=(_scaled(100 / pool), _scaled(pool / 100)))
            share.set_xlabel("share of the training slices, %")
        figure.legend(loc="outside right upper")
        return finished(figure, "learning_curve", "Line chart of Dice over the number of annotated slices.")


def _scaled(factor: float) -> Callable[[Any], Any]:
    return lambda values: factor * np.asarray(values)


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


def _means(axes: Axes, found: Sequence[tuple[int, Sequence[float]]], colour: str, marker: str, label: str) -> None:
    known = [(x, float(np.mean(values))) for x, values in found if values]
    if known:
        axes.plot(
            *zip(*known, strict=True),
            marker,
            color=colour,
            linewidth=2,
            markersize=10 if "s" in marker else 6,
            label=label,
        )


OF_METHODS = {
    "csc": ("channels disagree (CSC)", GREEN),
    "cac": ("masks disagree (CAC)", VERMILION),
    "kl": ("message to the primary (KL)", GREEN),
    "kl_auxiliary": ("message to the auxiliary (KL)", ORANGE),
    "image": ("strong views", GREEN),
    "feature": ("dropped features", ORANGE),
}
"""Terms of the related systems' losses that no other has: label and colour."""


def loss_history(history: Sequence[Mapping[str, float]]) -> Picture:
    """Draw the terms of a round's loss and the discriminator's accuracy over the steps."""
    own = [(key, *look, "-") for key, look in OF_METHODS.items() if any(key in point for point in history)]
    with drawing():
        figure = new_figure(980, 290)
        left, middle, right, *more = figure.subplots(1, 4 if own else 3)
        _terms(left, history, [("seg", "L_seg", GREEN, "-"), ("seg_auxiliary", "auxiliary", ORANGE, "-")])
        _terms(left, history, [("peer", "second network", ORANGE, "-"), ("synthetic", "synthetic, both", GREY, ":")])
        for axes in more:
            _terms(axes, history, own)
            axes.set(title="The method's own", xlabel="step")
            axes.margins(y=0.35)  # room for the legend
        _terms(middle, history, [("vq", "L_vq", ORANGE, "-"), ("commit", "L_commit", GREY, ":")])
        _terms(middle, history, [("disc", "L_disc", PURPLE, "-")])
        _terms(right, history, [("discriminator_right", "share it tells apart", PURPLE, "-")])
        left.set(title="Segmentation", xlabel="step", ylabel="loss")
        middle.set(title="Codebook and discriminator", xlabel="step")
        right.set(title="Discriminator is right", xlabel="step", ylim=(0, 1.03))
        right.axhline(0.5, color=GREY, linestyle="--", linewidth=1, label="chance")
        for axes in (left, middle, *more):
            axes.set_ylim(bottom=0)
        for axes in (left, middle, right, *more):
            whole_numbers(axes)
            if axes.get_legend_handles_labels()[0]:
                axes.legend(loc="best")
        return finished(figure, "losses", "Line charts of the loss terms over the training steps.")


def _terms(axes: Axes, history: Sequence[Mapping[str, float]], terms: Sequence[tuple[str, str, str, str]]) -> None:
    for key, label, colour, line in terms:
        known = [(point["step"], point[key]) for point in history if "step" in point and key in point]
        if known:
            axes.plot(*zip(*known, strict=True), line, color=colour, linewidth=1.8, label=label)
