"""Test-time augmentation: slices whose mask depends on how the slice is turned."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from VQBEGALLib.network import VQBEGAL
from VQBEGALLib.selection.disagreement import spread
from VQBEGALLib.selection.interface import Context, Selection, register
from VQBEGALLib.selection.scoring import score_pool
from VQBEGALLib.selection.vq_begal import largest_first

TURNS = tuple((quarters, mirrored) for mirrored in (False, True) for quarters in range(4))
"""The eight symmetries of a square: quarter turns, of the slice and of its mirror image."""


@register("taal", takes="largest")
def taal(context: Context) -> Selection:
    """Pick the slices of largest Jensen-Shannon divergence between the masks of eight turned copies.

    TAAL (Gaillochet, Desrosiers and Lombaert, 2023) with transforms that need no interpolation, so that all
    disagreement is the network's. Training never shows the network quarter turns or mirror images (see
    :mod:`VQBEGALLib.training.augmentation`), so the divergence also measures how unfamiliar an orientation is, not only
    doubt about the slice. The primary alone is predicted; divergence is taken a pixel, then its mean. Cost: encoder and
    decoder eight times a slice.
    """
    return largest_first(context, score_pool(context, turning_divergence))


def turning_divergence(model: VQBEGAL, x_c: Tensor, x_m: Tensor, present: Tensor) -> Tensor:
    """Return the divergence of the turned copies' masks, (B,) in [0, ln 2]; a measure for ``score_pairs``."""
    return spread(predictions(model, x_c)).divergence


def predictions(model: VQBEGAL, x_c: Tensor) -> Iterator[Tensor]:
    """Yield logits of each turned copy, turned back, (B, C, H, W) each."""
    for quarters, mirrored in TURNS:
        yield restored(model.segment(turned(x_c, quarters, mirrored)), quarters, mirrored)


def turned(x: Tensor, quarters: int, mirrored: bool) -> Tensor:
    """Mirror square slices along their rows where asked, then turn them by quarters, (…, H, H)."""
    return torch.rot90(x.flip(-1) if mirrored else x, quarters, dims=(-2, -1))


def restored(y: Tensor, quarters: int, mirrored: bool) -> Tensor:
    """Undo :func:`turned`."""
    y = torch.rot90(y, -quarters, dims=(-2, -1))
    return y.flip(-1) if mirrored else y
