"""Light affine and intensity augmentation of a batch, on the device that trains."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

ROTATION = np.deg2rad(15)
SCALE = 0.15
SHIFT = 0.1
GAMMA = 0.3
CONTRAST = 0.15
BRIGHTNESS = 0.1
NOISE = 0.03


@dataclass(frozen=True)
class Augmentation:
    """One drawing of the parameters for a batch of n slices.

    Args:
        matrices: output to input coordinates in the frame of ``affine_grid``, (n, 2, 3).
        gamma, contrast, brightness: intensity parameters, (n, 1, 1, 1).
        noise: noise to add, (n, 1, H, W).
    """

    matrices: Tensor
    gamma: Tensor
    contrast: Tensor
    brightness: Tensor
    noise: Tensor

    @classmethod
    def draw(cls, count: int, size: int, strength: float, generator: np.random.Generator) -> Augmentation:
        """Draw parameters; ``strength`` scales every range, 0 changes nothing."""

        def between(limit: float, shape: tuple[int, ...]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
            return generator.uniform(-limit * strength, limit * strength, shape)

        angle = between(ROTATION, (count,))
        scale = np.exp(between(SCALE, (count, 2)))
        matrices = np.zeros((count, 2, 3))
        matrices[:, 0, 0] = np.cos(angle) * scale[:, 0]
        matrices[:, 0, 1] = -np.sin(angle) * scale[:, 1]
        matrices[:, 1, 0] = np.sin(angle) * scale[:, 0]
        matrices[:, 1, 1] = np.cos(angle) * scale[:, 1]
        matrices[:, :, 2] = between(2 * SHIFT, (count, 2))  # the grid runs from -1 to 1
        per_slice = (count, 1, 1, 1)
        level = np.abs(between(NOISE, per_slice))
        return cls(
            *(
                torch.from_numpy(np.asarray(values, dtype=np.float32))
                for values in (
                    matrices,
                    np.exp(between(GAMMA, per_slice)),
                    np.exp(between(CONTRAST, per_slice)),
                    between(BRIGHTNESS, per_slice),
                    level * generator.standard_normal((count, 1, size, size), dtype=np.float32),
                )
            )
        )

    def to(self, device: torch.device) -> Augmentation:
        """Return the parameters on a device."""
        return Augmentation(*(value.to(device) for value in self._fields()))

    def select(self, places: slice) -> Augmentation:
        """Return the parameters of chosen slices."""
        return Augmentation(*(value[places] for value in self._fields()))

    def placed_as(self, other: Augmentation, rows: Tensor) -> Augmentation:
        """Return the same intensities with the affine parts of another drawing at chosen rows, (n,)."""
        return replace(self, matrices=torch.where(rows[:, None, None], other.matrices, self.matrices))

    def _fields(self) -> tuple[Tensor, ...]:
        return self.matrices, self.gamma, self.contrast, self.brightness, self.noise

    def images(self, x: Tensor) -> Tensor:
        """Turn slices and change their intensities, (n, 1, H, W) in 0…1."""
        x = self._turn(x).clamp(0, 1) ** self.gamma
        return x * self.contrast + self.brightness + self.noise

    def masks(self, y: Tensor) -> Tensor:
        """Turn masks the same way, (n, C, H, W) of 0 and 1."""
        return (self._turn(y) >= 0.5).to(y.dtype)

    def _turn(self, x: Tensor) -> Tensor:
        grid = functional.affine_grid(self.matrices, list(x.shape), align_corners=False)
        return functional.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
