"""What CMC asks of unlabelled pairs: features that agree channel by channel (CSC), masks that agree (CAC)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from VQBEGALLib.network.share import ALONE, Share
from VQBEGALLib.training.losses import soft_dice

GRID = 4
"""Rows and columns that maps of unregistered pairs are pooled to; four cells across tell left from right and front
from back, and leave a quarter of the field of view for differences in position and shape."""

SMALL = 1e-2
"""Length below which a channel's map counts as having this length, so that no gradient explodes."""


def csc_loss(first: Tensor, second: Tensor, aligned: Tensor) -> Tensor:
    """Return L_CSC of each pair: the mean over channels of 1 − cos(F_a^c, F_b^c), (B,) in 0 to 2.

    The features come out of an instance norm: each channel has mean 0 and variance 1 over the positions. That makes
    the cosine the correlation of both maps, and rules out the solution that maps without content agree in full, which
    features ahead of the norm allow. A mean over all positions would be 0 for every channel; pairs that are not
    registered are therefore compared on a coarse grid of means.

    Args:
        first, second: features of both modalities, (B, d, h, w).
        aligned: pairs that show the same anatomy pixel by pixel; compared position by position, (B,).

    Source:
        Zhou et al. (2024), channel-wise semantic consistency.
    """
    first, second = first.to(torch.float32), second.to(torch.float32)
    grid = min(GRID, *first.shape[2:])
    pooled = _distance(functional.adaptive_avg_pool2d(first, grid), functional.adaptive_avg_pool2d(second, grid))
    return torch.where(aligned, _distance(first, second), pooled)


def _distance(first: Tensor, second: Tensor) -> Tensor:
    cosine = functional.cosine_similarity(first.flatten(2), second.flatten(2), dim=2, eps=SMALL)  # (B, d)
    return 1 - cosine.mean(dim=1)


def cac_loss(first: Tensor, second: Tensor, share: Share = ALONE) -> Tensor:
    """Return L_CAC = 1 − soft Dice(σ(a), σ(b)), a mean over the organs; 0 where there is no pair.

    Args:
        first, second: logits of both modalities of pairs that show the same anatomy, (B, C, H, W).
        share: what other processes hold of the batch.

    Source:
        Zhou et al. (2024), contrastive anatomical-similar consistency.
    """
    first, second = first.to(torch.float32).sigmoid(), second.to(torch.float32).sigmoid()
    return 1 - soft_dice(first, second, share).mean()
