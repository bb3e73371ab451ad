"""The discriminator that tells the modalities apart, and the entropy that scores a pair (eqs. 4, 5)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from VQBEGALLib.config import NetworkSettings
from VQBEGALLib.network.blocks import SLOPE


class Discriminator(nn.Module):
    """D: two logits from one quantised map, or from two stacked in an order that it has to tell.

    With ``per_modality`` class 0 is the primary and 1 the auxiliary. With ``ordered_pair`` class 0 says that
    the primary comes first.
    """

    def __init__(self, settings: NetworkSettings, width: int = 64) -> None:
        super().__init__()
        self.pair = settings.discriminator_input == "ordered_pair"
        channels = settings.code_dim * (2 if self.pair else 1)
        self.layers = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1),
            nn.LeakyReLU(SLOPE, inplace=True),
            nn.Conv2d(width, width, 3, stride=2, padding=1),
            nn.LeakyReLU(SLOPE, inplace=True),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(width, 2),
        )

    def forward(self, z: Tensor) -> Tensor:
        """(B, d or 2 d, h, w) → logits (B, 2)."""
        logits: Tensor = self.layers(z)
        return logits

    def examples(self, z_c: Tensor, z_m: Tensor, swap: Tensor) -> tuple[Tensor, Tensor]:
        """Return inputs and their classes for the loss.

        Args:
            z_c, z_m: quantised maps of pairs, (B, d, h, w).
            swap: pairs to show in reverse order; used by ``ordered_pair`` only, (B,).
        """
        if self.pair:
            turned = swap[:, None, None, None]
            first, second = torch.where(turned, z_m, z_c), torch.where(turned, z_c, z_m)
            return torch.cat([first, second], dim=1), swap.long()
        return torch.cat([z_c, z_m]), torch.arange(2, device=z_c.device).repeat_interleave(len(z_c))

    def uncertainty(self, z_c: Tensor, z_m: Tensor) -> Tensor:
        """Return S of each pair, (B,) float64 in [0, ln 2]: the mean of its maps' entropies, or that of the pair."""
        if self.pair:
            return entropy(self(torch.cat([z_c, z_m], dim=1)))
        return entropy(self(torch.cat([z_c, z_m]))).reshape(2, -1).mean(dim=0)


def entropy(logits: Tensor) -> Tensor:
    """Return H(softmax(logits)) along the last axis, natural logarithm, float64 (eq. 5).

    Written with logits: p·log(p + 1e-8) in 32 bits gives the same value for every logit past 17.
    """
    logits = logits.to(torch.float64)
    probabilities = functional.softmax(logits, dim=-1)
    return -(probabilities * functional.log_softmax(logits, dim=-1)).sum(dim=-1)
