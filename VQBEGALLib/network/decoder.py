"""The decoder: both quantised maps in, with skip connections from the encoder of the segmented slice."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from VQBEGALLib.config import NetworkSettings
from VQBEGALLib.network.blocks import ConvBlock
from VQBEGALLib.network.encoder import stage_channels


class Decoder(nn.Module):
    """De: concatenated z_c, z_m to mask logits.

    Args:
        settings: network settings.
        classes: logits a pixel; 1 is organ against background.
    """

    def __init__(self, settings: NetworkSettings, classes: int = 1) -> None:
        super().__init__()
        channels = stage_channels(settings)
        self.null = nn.Parameter(torch.zeros(settings.code_dim))
        self.entry = ConvBlock(2 * settings.code_dim, channels[-1])
        self.rise = nn.ModuleList(
            nn.ConvTranspose2d(deep, fine, 2, stride=2)
            for deep, fine in zip(channels[:0:-1], channels[-2::-1], strict=True)
        )
        self.blocks = nn.ModuleList(ConvBlock(2 * fine, fine) for fine in channels[-2::-1])
        self.head = nn.Conv2d(channels[0], classes, 1)

    def forward(self, z: Tensor, partner: Tensor, missing: Tensor, skips: tuple[Tensor, ...]) -> Tensor:
        """Segment the slices whose map is ``z``.

        Args:
            z: quantised map of the segmented slices, (B, d, h, w).
            partner: quantised map of their partners, (B, d, h, w); anything where missing.
            missing: True where a slice has no partner: the learnt null takes its place, (B,).
            skips: encoder outputs of the segmented slices, finest first.

        Returns:
            Logits (B, classes, H, W).
        """
        null = self.null.to(partner.dtype)[None, :, None, None]
        partner = torch.where(missing[:, None, None, None], null, partner)
        x = self.entry(torch.cat([z, partner], dim=1))  # (B, C_deep, h, w)
        for rise, block, skip in zip(self.rise, self.blocks, reversed(skips), strict=True):
            x = block(torch.cat([rise(x), skip], dim=1))  # (B, C_s, H / 2^s, W / 2^s)
        logits: Tensor = self.head(x)
        return logits
