"""The one building block that encoders and decoder share."""

from __future__ import annotations

from torch import Tensor, nn

SLOPE = 0.01
"""Negative slope of the leaky rectifiers."""

GROUP = 4
"""Channels that group norm normalises together."""


class ConvBlock(nn.Module):
    """Two 3 × 3 convolutions, each with group norm and leaky rectifier; rows and columns stay."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*_unit(channels_in, channels_out), *_unit(channels_out, channels_out))

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels_in, H, W) → (B, channels_out, H, W)."""
        y: Tensor = self.layers(x)
        return y


def _unit(channels_in: int, channels_out: int) -> tuple[nn.Module, ...]:
    # group norm keeps no running statistics, so that no scoring pass can move them (method.md, "routing")
    return (
        nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False),
        nn.GroupNorm(max(1, channels_out // GROUP), channels_out),
        nn.LeakyReLU(SLOPE, inplace=True),
    )
