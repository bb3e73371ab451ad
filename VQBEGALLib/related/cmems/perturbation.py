"""The strong view of an unlabelled slice: other intensities and hidden boxes, the same geometry (section 3.2)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

CONTRAST = 0.4
BRIGHTNESS = 0.2
NOISE = 0.1
WIDTH = 1.5
"""Largest standard deviation of the blur, pixels."""

REACH = 3
"""Pixels that the blur reaches to each side."""

BOXES = 3
SIDE = (0.1, 0.3)
"""Sides of a hidden box, as shares of the slice's."""


def strong_view(images: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Return slices blurred, with other contrast and brightness, noise, and hidden boxes; nothing is moved.

    Args:
        images: (B, 1, H, W), about 0 to 1.
        strength: scales all ranges and the chance of each box; 0 changes nothing.
        generator: source of the draws, on the CPU.
    """
    if not len(images) or strength == 0:
        return images
    count, device = len(images), images.device

    def between(limit: float) -> Tensor:
        """Draw one value a slice from −limit to limit, (B, 1, 1, 1)."""
        return ((2 * torch.rand(count, 1, 1, 1, generator=generator) - 1) * limit * strength).to(device)

    x = blurred(images, between(WIDTH).abs().flatten())
    mean = x.mean(dim=(2, 3), keepdim=True)
    x = (x - mean) * between(CONTRAST).exp() + mean + between(BRIGHTNESS)
    x = x + between(NOISE).abs() * torch.randn(images.shape, generator=generator).to(device)
    hidden = boxes(count, images.shape[2:], min(1.0, 0.5 * strength), generator).to(device)
    return torch.where(hidden, mean, x)


def blurred(images: Tensor, widths: Tensor) -> Tensor:
    """Blur each slice by a Gaussian of its own standard deviation, pixels, (B,); 0 changes nothing; edges repeat."""
    count, size = len(images), 2 * REACH + 1
    places = torch.arange(-REACH, REACH + 1, device=images.device, dtype=images.dtype)
    weights = torch.softmax(-places.square() / (2 * widths.clamp_min(1e-3).square())[:, None], dim=1)  # (B, size)
    kernels = (weights[:, :, None] * weights[:, None, :]).reshape(count, 1, size, size)
    padded = functional.pad(images, (REACH,) * 4, mode="replicate").transpose(0, 1)  # (1, B, H + 6, W + 6)
    return functional.conv2d(padded, kernels, groups=count).transpose(0, 1)


def boxes(count: int, shape: torch.Size, chance: float, generator: torch.Generator) -> Tensor:
    """Return where each slice is hidden, (B, 1, H, W): up to three boxes, each there with a chance (DeVries, 2017)."""
    draws = torch.rand(5, count, BOXES, generator=generator)  # (5, B, boxes): height, width, row, column, whether
    sides = SIDE[0] + (SIDE[1] - SIDE[0]) * draws[:2]
    first = draws[2:4] * (1 - sides)
    inside = []
    for axis, length in enumerate(shape):
        centres = (torch.arange(length) + 0.5) / length
        low, high = first[axis, :, :, None], (first + sides)[axis, :, :, None]
        inside.append((centres >= low) & (centres < high))  # (B, boxes, length)
    shown = (draws[4] < chance)[:, :, None, None]
    return (shown & inside[0][:, :, :, None] & inside[1][:, :, None, :]).any(dim=1, keepdim=True)
