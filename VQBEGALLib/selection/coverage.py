"""VQ-BEGAL's ends of S spread over the pool: greedy k-centre on which codebook entries a slice is made of."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from VQBEGALLib.network import VQBEGAL
from VQBEGALLib.selection.interface import Context
from VQBEGALLib.selection.sampling import k_centre
from VQBEGALLib.selection.scoring import Vectors, pair_vectors
from VQBEGALLib.slices import SlicePair

Order = npt.NDArray[np.int64]
"""Indices into the pool."""


def spread_ends(context: Context, order: Order) -> tuple[Order, Order]:
    """Return S_high and S_low, spread over the pool instead of the extremes alone. This is ours, not the paper's.

    The extremes of S come in runs of neighbouring slices of few patients. So the pairs of largest S, ``coverage``
    times as many as are wanted, are candidates, and greedy k-centre picks among them those that look least like what
    is labelled or picked; then the same at the other end.

    Args:
        context: pool, labels, network and ``config.rounds.coverage``.
        order: the pool by S, smallest first.
    """
    factor = context.config.rounds.coverage
    low_count = context.count // 2
    high_count = context.count - low_count
    pool, known = _signatures(context, context.pool), _signatures(context, context.labelled)

    def chosen(candidates: Order, count: int) -> Order:
        picks = k_centre(pool[candidates], count, initial=known, generator=context.generator)
        return candidates[picks]

    high = chosen(order[::-1][: math.ceil(factor * high_count)], high_count)
    known = np.concatenate([known, pool[high]])
    low = chosen(order[~np.isin(order, high)][: math.ceil(factor * low_count)], low_count)
    return high, low


def _signatures(context: Context, pairs: Sequence[SlicePair]) -> Vectors:
    settings = context.trained_model().settings
    width = settings.codes if settings.quantize else settings.code_dim
    return pair_vectors(context, pairs, signature, width=width)


def signature(model: VQBEGAL, x_c: Tensor, x_m: Tensor, present: Tensor) -> Tensor:
    """Return the square roots of each entry's share of the primary slice's positions, (B, K); rows of length one.

    Euclidean distances between such rows are √2 times Hellinger's between the shares. A network without codebook
    gives its map averaged over positions, (B, d). A measure for ``pair_vectors``.
    """
    quantized = model.quantize(model.encoder_c(x_c).features)
    if model.codebook is None:
        return quantized.z.mean(dim=(2, 3))
    codes = quantized.codes.flatten(start_dim=1)  # (B, h w)
    counts = torch.zeros(len(codes), model.settings.codes, device=codes.device)
    counts.scatter_add_(1, codes, torch.ones_like(codes, dtype=counts.dtype))
    return (counts / codes.shape[1]).sqrt()
