"""MIA: attention over the channels of each modality, then one fused map for both (modality-independent awareness)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from VQBEGALLib.config import NetworkSettings
from VQBEGALLib.network.blocks import ConvBlock
from VQBEGALLib.network.encoder import Projection, stage_channels


class ChannelAttention(nn.Module):
    """F + γ · attention · F, where attention looks at the channels that resemble a channel least.

    γ starts at 0: at first the input passes unchanged.

    Source:
        Zhou et al. (2024), MIA; the form of the weights is that of Fu et al. (2019), section 3.3.
    """

    def __init__(self) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, features: Tensor) -> Tensor:
        """(B, d, h, w) → (B, d, h, w)."""
        rows = features.flatten(2)  # (B, d, h w)
        with torch.autocast(rows.device.type, enabled=False):  # sums over all positions go beyond what 16 bits hold
            exact = rows.to(torch.float32)
            gram = exact @ exact.transpose(1, 2)  # (B, d, d)
            weights = (gram.amax(dim=2, keepdim=True) - gram).softmax(dim=2)
        return features + self.gamma * (weights.to(rows) @ rows).reshape(features.shape)


class Fusion(nn.Module):
    """Both modalities' attended maps, made into one: concatenated, convolved, brought to the features' scale."""

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        deep = stage_channels(settings)[-1]
        self.attention_c, self.attention_m = ChannelAttention(), ChannelAttention()
        self.convolutions = nn.Sequential(
            ConvBlock(2 * settings.code_dim, deep),
            Projection(deep, settings.code_dim),
        )

    @property
    def gamma(self) -> Tensor:
        """Mean of both modalities' γ."""
        return (self.attention_c.gamma + self.attention_m.gamma) / 2

    def forward(self, f_c: Tensor, f_m: Tensor) -> Tensor:
        """Fuse the primary's and the auxiliary's features, (B, d, h, w) each."""
        fused: Tensor = self.convolutions(torch.cat([self.attention_c(f_c), self.attention_m(f_m)], dim=1))
        return fused
