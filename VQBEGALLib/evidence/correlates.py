"""What a score really picks: its rank correlation with what a slice shows, and with how wrong the network is there."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from torch import Tensor

from VQBEGALLib.evidence.entropies import spearman
from VQBEGALLib.evidence.plotting import BLUE, GREEN, GREY, ORANGE, Picture, drawing, finished, new_figure
from VQBEGALLib.evidence.snapshot import Floats, Snapshot
from VQBEGALLib.network import VQBEGAL
from VQBEGALLib.network.discriminator import entropy
from VQBEGALLib.slices import SlicePair, prepare_masks

AREA = "organ's area"
ERROR = "error, 1 − Dice"
ORGAN_ERROR = "error where there is organ"
POSITION = "position, feet to head"
NOISE = "noise of the slice"
PARTNER_NOISE = "noise of its partner"
OWN_DOUBT = "D's entropy, slice alone"
PARTNER_DOUBT = "D's entropy, partner alone"
QUANTITIES = (AREA, ERROR, ORGAN_ERROR, POSITION, NOISE, PARTNER_NOISE, OWN_DOUBT, PARTNER_DOUBT)

COLOURS = (BLUE, ORANGE, GREEN, GREY)
MARKERS = ("o", "D", "s", "^")
_IMMERKAER = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)


def quantities(snapshot: Snapshot, pairs: Sequence[SlicePair]) -> dict[str, Floats]:
    """Return what can be said of each pair, (N,) by quantity; NaN where it cannot be said of a pair.

    Area and error need the primary slice's reference. The error is that of the mask from the primary slice alone,
    on the network's grid, all organs together; 0 where mask and reference are both empty.
    """
    areas, errors = _against_reference(snapshot, pairs)
    frames = snapshot.material.frames["primary"]
    partnered = np.array([pair.partner is not None for pair in pairs], np.bool_)
    grain = _grain(snapshot, pairs)
    found = {
        AREA: areas,
        ERROR: errors,
        ORGAN_ERROR: np.where(areas > 0, errors, np.nan),
        POSITION: np.array([frames[pair.case].height(pair.slice) for pair in pairs]),
        NOISE: grain[:, 0],
        PARTNER_NOISE: np.where(partnered, grain[:, 1], np.nan),
    }
    if not snapshot.model.discriminator.pair:
        doubt = snapshot.look(pairs, _doubts)
        found |= {OWN_DOUBT: doubt[:, 0], PARTNER_DOUBT: np.where(partnered, doubt[:, 1], np.nan)}
    return found


def _against_reference(snapshot: Snapshot, pairs: Sequence[SlicePair]) -> tuple[Floats, Floats]:
    """Return the organ's share of each slice and the prediction's 1 − Dice, case by case; NaN without reference."""
    areas, errors = np.full(len(pairs), np.nan), np.full(len(pairs), np.nan)
    threshold = math.log(snapshot.study.config.inference.threshold / (1 - snapshot.study.config.inference.threshold))

    def mask(model: VQBEGAL, x_c: Tensor, x_m: Tensor) -> Tensor:
        return (model.segment(x_c) >= threshold).any(dim=1)

    for case in sorted({pair.case for pair in pairs}):
        reference = snapshot.study.reference(case)
        if reference is None:
            continue
        rows = [row for row, pair in enumerate(pairs) if pair.case == case]
        mine = [pairs[row] for row in rows]
        truth = prepare_masks(reference, snapshot.study.config.slices, [pair.slice for pair in mine]) > 0
        predicted = snapshot.look(mine, mask) > 0
        areas[rows] = truth.mean(axis=(1, 2))
        errors[rows] = slice_errors(predicted, truth)
    return areas, errors


def slice_errors(predicted: npt.NDArray[np.bool_], truth: npt.NDArray[np.bool_]) -> Floats:
    """Return 1 − Dice of each slice of two stacks (N, H, W), (N,); 0 where both are empty."""
    common = (predicted & truth).sum(axis=(1, 2))
    together = predicted.sum(axis=(1, 2)) + truth.sum(axis=(1, 2))
    errors: Floats = np.where(together > 0, 1 - 2 * common / np.maximum(together, 1), 0.0)
    return errors


def _grain(snapshot: Snapshot, pairs: Sequence[SlicePair]) -> Floats:
    """Return the noise of both slices of each pair, (N, 2)."""
    found = np.zeros((len(pairs), 2))
    for row, pair in enumerate(pairs):
        images = snapshot.material.reader.read([pair])
        found[row] = noise_level(images.primary[0]), noise_level(images.auxiliary[0])
    return found


def noise_level(image: npt.NDArray[np.float32]) -> float:
    """Return the standard deviation of an image's noise (Immerkær 1996, "Fast noise variance estimation").

    A mask that annuls planes and edges of constant slope; the mean of its size, scaled as for Gaussian noise.
    """
    response = ndimage.convolve(image, _IMMERKAER)[1:-1, 1:-1]
    return float(math.sqrt(math.pi / 2) * np.abs(response).mean() / 6)


def _doubts(model: VQBEGAL, x_c: Tensor, x_m: Tensor) -> Tensor:
    encoding = model.encode_pairs(x_c, x_m)
    return torch.stack([entropy(model.discriminator(z)) for z in (encoding.z_c, encoding.z_m)], dim=1)


def correlations(scores: Floats, found: Mapping[str, Floats]) -> dict[str, float]:
    """Return Spearman's ρ of scores (N,) with each quantity; NaN where it is not defined."""
    return {name: spearman(scores, values) for name, values in found.items()}


def picture(found: Mapping[str, Sequence[Mapping[str, float]]], *, name: str = "correlates") -> Picture:
    """Draw rank correlations: a row a quantity; small marks the seeds, a large one their mean.

    Args:
        found: correlations by quantity of each seed, by strategy.
        name: stem of the file.
    """
    with drawing():
        rows = [row for row in QUANTITIES if any(row in seed for seeds in found.values() for seed in seeds)]
        figure = new_figure(860, 40 * len(rows) + 110)
        axes = figure.add_subplot()
        for place, (strategy, seeds) in enumerate(found.items()):
            offset = 0.16 * (place - (len(found) - 1) / 2)
            for row, quantity in enumerate(rows):
                values = [seed[quantity] for seed in seeds if math.isfinite(seed.get(quantity, math.nan))]
                if not values:
                    continue
                colour, marker = COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]
                axes.plot(values, [row + offset] * len(values), marker, color=colour, markersize=4, alpha=0.55)
                axes.plot(float(np.mean(values)), row + offset, marker, color=colour, markersize=9)
            axes.plot([], [], MARKERS[place % len(MARKERS)], color=COLOURS[place % len(COLOURS)], label=strategy)
        axes.axvline(0, color=GREY, linewidth=1)
        axes.set(xlim=(-1.04, 1.04), ylim=(len(rows) - 0.5, -0.5), xlabel="Spearman's rank correlation with the score")
        axes.set_yticks(range(len(rows)), rows)
        figure.legend(loc="outside upper center", ncols=4)
        return finished(
            figure, name, "Dot chart of the rank correlation of scores with properties of the slices.", vector=True
        )
