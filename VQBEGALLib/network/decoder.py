"""The decoder: both quantised maps in, with skip connections from the encoder of the segmented slice."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn

from VQBEGALLib.config import NetworkSettings
from VQBEGALLib.network.blocks import ConvBlock
from VQBEGALLib.network.encoder import stage_channels

PRIOR = 0.05
"""Probability of the organ that an untrained network gives to every pixel (Lin et al., 2017, section 4.1).

From one half, where biases of zero begin, hundreds of steps go into learning that most pixels are background, and some
trainings never leave that plateau.
"""


class Decoder(nn.Module):
    """De: concatenated z_c, z_m to mask logits.

    Args:
        settings: network settings.
        classes: organs, C; each has a logit of its own a pixel, against all that is not this organ.
    """

    def __init__(self, settings: NetworkSettings, classes: int = 1) -> None:
        super().__init__()
        channels = stage_channels(settings)
        self.dropout = settings.dropout
        self.null = nn.Parameter(torch.zeros(settings.code_dim))
        self.entry = ConvBlock(2 * settings.code_dim, channels[-1])
        self.rise = nn.ModuleList(
            nn.ConvTranspose2d(deep, fine, 2, stride=2)
            for deep, fine in zip(channels[:0:-1], channels[-2::-1], strict=True)
        )
        self.blocks = nn.ModuleList(ConvBlock(2 * fine, fine) for fine in channels[-2::-1])
        self.head = nn.Conv2d(channels[0], classes, 1)
        nn.init.constant_(cast(Tensor, self.head.bias), math.log(PRIOR / (1 - PRIOR)))

    def forward(
        self,
        z: Tensor,
        partner: Tensor,
        missing: Tensor,
        skips: tuple[Tensor, ...],
        *,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Segment the slices whose map is ``z``.

        Args:
            z: quantised map of the segmented slices, (B, d, h, w).
            partner: quantised map of their partners, (B, d, h, w); anything where missing.
            missing: True where a slice has no partner: the learnt null takes its place, (B,).
            skips: encoder outputs of the segmented slices, finest first.
            generator: source of the dropout masks; None drops nothing.

        Returns:
            Logits (B, C, H, W).
        """
        return self.rise_from(self.enter(z, partner, missing), skips, generator=generator)

    def enter(self, z: Tensor, partner: Tensor, missing: Tensor) -> Tensor:
        """Return what the first block makes of both maps, (B, C_deep, h, w); no dropout acts before it."""
        null = self.null.to(partner.dtype)[None, :, None, None]
        partner = torch.where(missing[:, None, None, None], null, partner)
        x: Tensor = self.entry(torch.cat([z, partner], dim=1))
        return x

    def rise_from(self, x: Tensor, skips: tuple[Tensor, ...], *, generator: torch.Generator | None = None) -> Tensor:
        """Return logits from what :meth:`enter` returned; dropout acts ahead of each rise."""
        logits: Tensor = self.head(self.features(x, skips, generator=generator))
        return logits

    def features(self, x: Tensor, skips: tuple[Tensor, ...], *, generator: torch.Generator | None = None) -> Tensor:
        """Return what :meth:`rise_from` gives to the last layer, ``head``, (B, C_0, H, W)."""
        for rise, block, skip in zip(self.rise, self.blocks, reversed(skips), strict=True):
            x = drop_channels(x, self.dropout, generator)
            x = block(torch.cat([rise(x), skip], dim=1))  # (B, C_s, H / 2^s, W / 2^s)
        return x


def drop_channels(x: Tensor, rate: float, generator: torch.Generator | None) -> Tensor:
    """Zero whole channels of each sample and scale the others by 1 / (1 − rate) (Tompson et al., 2015).

    The generator says whether to drop, not the module's mode, so that training repeats to the bit and a scoring
    pass leaves the network's mode and the global random state alone.

    Args:
        x: (B, C, H, W).
        rate: probability that a channel is zeroed; 0 draws nothing.
        generator: source of the masks, on the CPU so that every device draws the same; None drops nothing.
    """
    if rate == 0 or generator is None:
        return x
    kept = torch.rand(x.shape[:2], generator=generator) >= rate  # (B, C)
    return x * (kept / (1 - rate)).to(x)[:, :, None, None]
