"""L = 5 L_seg + 0.5 L_vq + 0.25 L_disc + 0.2 L_commit (paper, section 3.2); L_vq and L_commit are the codebook's."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from VQBEGALLib.config import DiscriminatorGradient
from VQBEGALLib.network.discriminator import Discriminator
from VQBEGALLib.network.share import ALONE, Share


def segmentation_loss(logits: Tensor, target: Tensor, share: Share = ALONE) -> Tensor:
    """Return L_seg = 1 − soft Dice + cross-entropy, both a mean over the organs.

    Dice is taken over the whole batch: a slice without the organ has no Dice of its own.

    Args:
        logits: (B, C, H, W).
        target: 0 or 1, (B, C, H, W).
        share: what other processes hold of the batch.
    """
    logits = logits.to(torch.float32)
    dice = soft_dice(logits.sigmoid(), target, share).mean()
    return 1 - dice + share.mean(functional.binary_cross_entropy_with_logits(logits, target), len(target))


def soft_dice(first: Tensor, second: Tensor, share: Share = ALONE) -> Tensor:
    """Return (2 Σ pq + 1) / (Σ p + Σ q + 1) of each organ over the whole batch, (C,).

    Args:
        first, second: probabilities or masks, (B, C, H, W).
        share: what other processes hold of the batch.
    """
    places = (0, 2, 3)
    sums = [(first * second).sum(places), first.sum(places) + second.sum(places)]
    overlap, sizes = share.sum(torch.stack(sums))
    dice: Tensor = (2 * overlap + 1) / (sizes + 1)
    return dice


def discriminator_loss(
    discriminator: Discriminator,
    z_c: Tensor,
    z_m: Tensor,
    *,
    gradient: DiscriminatorGradient,
    strength: float,
    swap: Tensor,
    share: Share = ALONE,
) -> tuple[Tensor, Tensor]:
    """Return L_disc and the share of maps that D names rightly.

    Args:
        discriminator: D.
        z_c, z_m: quantised maps of pairs, (B, d, h, w).
        gradient: what reaches the encoders: nothing (``detached``), D's own gradient (``cooperative``) or its
            opposite times ``strength`` (``reversal``).
        strength: factor of the reversal.
        swap: pairs to show in reverse order, for ``ordered_pair``, (B,).
        share: what other processes hold of the batch; some may hold no pair.
    """
    if gradient == "detached":
        z_c, z_m = z_c.detach(), z_m.detach()
    elif gradient == "reversal":
        z_c, z_m = reverse_gradient(z_c, strength), reverse_gradient(z_m, strength)
    inputs, classes = discriminator.examples(z_c, z_m, swap)
    logits = discriminator(inputs).to(torch.float32)
    right = (logits.argmax(dim=1) == classes).to(torch.float32).mean()
    loss, right = share.mean(torch.stack([functional.cross_entropy(logits, classes), right]), len(logits))
    return loss, right


class _ReverseGradient(torch.autograd.Function):
    """Identity whose gradient is multiplied by −strength (Ganin and Lempitsky, 2015)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return -ctx.strength * gradients[0], None


def reverse_gradient(x: Tensor, strength: float) -> Tensor:
    """Return ``x``; its gradient comes back multiplied by −``strength``."""
    reversed_: Tensor = _ReverseGradient.apply(x, strength)  # type: ignore[no-untyped-call]
    return reversed_
