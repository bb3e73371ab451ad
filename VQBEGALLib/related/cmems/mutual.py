"""Mutual learning: the confident pixels of one network's prediction teach the other (sections 3.2 and 3.3)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from VQBEGALLib.network.share import ALONE, Share
from VQBEGALLib.training.losses import soft_dice


@dataclass(frozen=True)
class Labels:
    """What slices are to be segmented as, and where that is known.

    Args:
        masks: 0 or 1, (B, C, H, W).
        known: where the masks count; elsewhere pixels are ignored, not background, (B, C, H, W) of 0 and 1.
    """

    masks: Tensor
    known: Tensor


def pseudo_labels(logits: Tensor, confidence: float) -> Labels:
    """Return what a network is sure of, each organ on its own; no gradient leads back to it.

    Args:
        logits: (B, C, H, W).
        confidence: τ; a pixel is known where max(p, 1 − p) ≥ τ.
    """
    p = logits.detach().to(torch.float32).sigmoid()
    return Labels((p >= 0.5).to(p.dtype), (torch.maximum(p, 1 - p) >= confidence).to(p.dtype))


def consistency(logits: Tensor, labels: Labels, share: Share = ALONE) -> Tensor:
    """Return the mean cross-entropy over the known pixels; exactly 0, with a gradient of 0, where there is none.

    Args:
        logits: (B, C, H, W).
        labels: what the other network is sure of.
        share: what other processes hold of the batch.
    """
    loss = functional.binary_cross_entropy_with_logits(logits.to(torch.float32), labels.masks, reduction="none")
    total, count = share.sum(torch.stack([(loss * labels.known).sum(), labels.known.sum()]))
    mean: Tensor = total / count.clamp_min(1)
    return mean


def known_loss(logits: Tensor, labels: Labels, share: Share = ALONE) -> Tensor:
    """Return 1 − soft Dice + cross-entropy over the known pixels: L_seg where all are known.

    Args:
        logits: (B, C, H, W).
        labels: masks, and where they count.
        share: what other processes hold of the batch.
    """
    p, target = logits.to(torch.float32).sigmoid() * labels.known, labels.masks * labels.known
    return consistency(logits, labels, share) + 1 - soft_dice(p, target, share).mean()
