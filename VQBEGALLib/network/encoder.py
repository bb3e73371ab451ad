"""Two encoders, one a modality, which share their deepest stages where the configuration says so (eq. 1)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from VQBEGALLib.config import NetworkSettings
from VQBEGALLib.network.blocks import ConvBlock

SHARED_STAGES = 2
"""Deepest stages that both modalities use with ``encoder_sharing = deep``; the projection goes with them."""


@dataclass(frozen=True)
class Encoding:
    """What an encoder makes of a batch.

    Args:
        skips: outputs of all stages but the deepest, finest first, (B, C_s, H / 2^s, W / 2^s).
        features: F, projected bottleneck features ahead of the quantiser, (B, d, h, w).
    """

    skips: tuple[Tensor, ...]
    features: Tensor

    def select(self, rows: Tensor) -> Encoding:
        """Return the chosen samples of the batch."""
        return Encoding(tuple(skip[rows] for skip in self.skips), self.features[rows])


class InstanceNorm(nn.InstanceNorm2d):
    """Instance norm without parameters, also for a single sample.

    Of a single sample whose gradient comes back channels last, torch's own returns a wrong gradient on a CPU (seen with
    2.13). Group norm with a group a channel is the same function.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise each channel of each sample, (B, C, H, W)."""
        if len(x) == 1:
            return functional.group_norm(x, x.shape[1], eps=self.eps)
        y: Tensor = super().forward(x)
        return y


class Projection(nn.Sequential):
    """1 × 1 convolution to the codebook's dimension and instance norm without parameters.

    The norm centres each channel, so that cosine similarity tells features apart by direction.
    """

    def __init__(self, channels: int, code_dim: int) -> None:
        super().__init__(nn.Conv2d(channels, code_dim, 1, bias=False), InstanceNorm(code_dim))


class Encoder(nn.Module):
    """Convolution stages with pooling between them, then the projection.

    Args:
        stages: one block a stage, finest first; blocks may belong to another encoder as well.
        projection: bottleneck to codebook dimension.
    """

    def __init__(self, stages: list[ConvBlock], projection: Projection) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.projection = projection

    def forward(self, x: Tensor) -> Encoding:
        """Encode slices x, (B, 1, H, W)."""
        outputs: list[Tensor] = []
        for index, stage in enumerate(self.stages):
            x = stage(functional.max_pool2d(x, 2) if index else x)  # (B, C_s, H / 2^s, W / 2^s)
            outputs.append(x)
        return Encoding(tuple(outputs[:-1]), self.projection(x))


def build_encoders(settings: NetworkSettings) -> tuple[Encoder, Encoder]:
    """Return E_c and E_m; with deep sharing they hold the same deepest stages and projection."""
    channels = stage_channels(settings)

    def stages(first: int, last: int) -> list[ConvBlock]:
        return [ConvBlock(channels[index - 1] if index else 1, channels[index]) for index in range(first, last)]

    depth = len(channels)
    shared = min(SHARED_STAGES, depth - 1) if settings.encoder_sharing == "deep" else 0
    trunk = stages(depth - shared, depth)
    projection = Projection(channels[-1], settings.code_dim)
    primary = Encoder([*stages(0, depth - shared), *trunk], projection)
    own = projection if shared else Projection(channels[-1], settings.code_dim)
    return primary, Encoder([*stages(0, depth - shared), *trunk], own)


def stage_channels(settings: NetworkSettings) -> list[int]:
    """Return the channels of each stage, finest first."""
    return [settings.base_channels * 2**stage for stage in range(settings.stages)]


def unit(features: Tensor, dim: int = 1) -> Tensor:
    """Scale vectors along an axis to length one; in 32 bits whatever the autocast."""
    return functional.normalize(features.to(torch.float32), dim=dim)


def directions(features: Tensor) -> Tensor:
    """Return features as directions only, each position's vector at length √d: what stands in for codebook entries."""
    scale: float = features.shape[1] ** 0.5
    return unit(features) * scale
