"""Passes over the pool in batches: nothing of full size is kept, and nothing in the network changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from VQBEGALLib.events import Reporter
from VQBEGALLib.network import VQBEGAL
from VQBEGALLib.network.discriminator import entropy
from VQBEGALLib.selection.interface import Context, Scores
from VQBEGALLib.slices import SlicePair
from VQBEGALLib.slices.reader import SliceReader

BATCH = 16
"""Pairs scored at a time."""

READ = 256
"""Pairs averaged down at a time."""

Vectors = npt.NDArray[np.float32]
"""(N, d): one vector a pair."""


def modality_entropy(context: Context) -> Scores:
    """Return S of each pair of the pool, (N,) in [0, ln 2] (eq. 5); a pair without partner has that of D(z_c).

    A discriminator of ordered pairs cannot see one slice alone: there a blank slice takes the partner's place.
    """
    return score_pool(context, entropies)


def foreground_fraction(context: Context) -> Scores:
    """Return the share of each primary slice that the network takes for an organ, any, (N,) in [0, 1]."""
    return score_pool(context, _foreground)


Measure = Callable[[VQBEGAL, Tensor, Tensor, Tensor], Tensor]
"""(model, x_c (B, 1, H, W), x_m (B, 1, H, W), present (B,)) → one value a pair, (B,), or one vector a pair, (B, d)."""


def score_pool(context: Context, measure: Measure) -> Scores:
    """Return a measure of each pair of the pool by the context's network, (N,); see :func:`score_pairs`."""
    return score_pairs(
        context.trained_model(),
        context.pool,
        context.reader,
        measure,
        device=context.device,
        reporter=context.reporter,
    )


def score_pairs(
    model: VQBEGAL,
    pairs: Sequence[SlicePair],
    reader: SliceReader,
    measure: Measure,
    *,
    device: torch.device,
    reporter: Reporter,
) -> Scores:
    """Return a measure of each pair, (N,) float64, batch by batch.

    The network is put into evaluation mode and back; weights, codebook and random states stay as they were.
    """
    parts = _measured(model, pairs, reader, measure, device=device, reporter=reporter)
    return np.concatenate([np.empty(0), *(part.to(torch.float64).numpy() for part in parts)])


def pair_vectors(context: Context, pairs: Sequence[SlicePair], measure: Measure, *, width: int) -> Vectors:
    """Return a measure of ``width`` values of each pair by the context's network, (N, width), batch by batch."""
    parts = _measured(
        context.trained_model(), pairs, context.reader, measure, device=context.device, reporter=context.reporter
    )
    return np.concatenate([np.empty((0, width), np.float32), *(part.to(torch.float32).numpy() for part in parts)])


def _measured(
    model: VQBEGAL,
    pairs: Sequence[SlicePair],
    reader: SliceReader,
    measure: Measure,
    *,
    device: torch.device,
    reporter: Reporter,
) -> list[Tensor]:
    """Return a measure of each batch of pairs, on the CPU."""
    parts = []
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode(), reporter.stage("score", len(pairs), unit="pair") as stage:
            for start in range(0, len(pairs), BATCH):
                images = reader.read(pairs[start : start + BATCH])
                x_c, x_m, present = (
                    torch.from_numpy(array).to(device)
                    for array in (images.primary[:, None], images.auxiliary[:, None], images.present)
                )
                parts.append(measure(model, x_c, x_m, present).cpu())
                stage.advance(len(images.primary))
    finally:
        model.train(was_training)
    return parts


def entropies(model: VQBEGAL, x_c: Tensor, x_m: Tensor, present: Tensor) -> Tensor:
    """Return S of each pair (eq. 5), (B,); a measure for :func:`score_pairs`."""
    encoding = model.encode_pairs(x_c, x_m)
    values = model.discriminator.uncertainty(encoding.z_c, encoding.z_m)
    alone = (~present).nonzero().flatten()
    if len(alone) and not model.discriminator.pair:
        values[alone] = entropy(model.discriminator(encoding.z_c[alone]))
    return values


def _foreground(model: VQBEGAL, x_c: Tensor, x_m: Tensor, present: Tensor) -> Tensor:
    return (model.segment(x_c) > 0).any(dim=1).to(torch.float64).mean(dim=(1, 2))


@dataclass(frozen=True)
class Thumbnails:
    """Small slices of pairs.

    Args:
        images: primary and auxiliary, (N, 2, side, side), on the CPU.
        present: whether a pair has a partner, (N,).
    """

    images: Tensor
    present: Tensor

    def __len__(self) -> int:
        return len(self.images)

    def rows(self, chosen: Tensor | slice, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return chosen images, (n, 2, side, side) float32, and whether each has a partner, on a device."""
        return self.images[chosen].to(device, torch.float32), self.present[chosen].to(device)


def thumbnails(
    context: Context, pairs: Sequence[SlicePair], side: int, dtype: torch.dtype = torch.float32
) -> Thumbnails:
    """Return pairs averaged down to ``side`` pixels, or as they are where they are smaller, read batch by batch."""
    side = min(side, context.reader.size)
    images, present = [torch.empty(0, 2, side, side, dtype=dtype)], [torch.empty(0, dtype=torch.bool)]
    with context.reporter.stage("thumbnails", len(pairs), unit="pair") as stage:
        for start in range(0, len(pairs), READ):
            found = context.reader.read(pairs[start : start + READ])
            both = torch.stack([torch.from_numpy(found.primary), torch.from_numpy(found.auxiliary)], dim=1)
            images.append(functional.adaptive_avg_pool2d(both, side).to(dtype))
            present.append(torch.from_numpy(found.present))
            stage.advance(len(both))
    return Thumbnails(torch.cat(images), torch.cat(present))
