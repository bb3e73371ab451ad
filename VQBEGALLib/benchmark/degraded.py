"""How one prepared slice becomes worse: noise, blur, shading, loss; each with a level that 0 switches off."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Image = npt.NDArray[np.float32]
"""(H, W), 0 to 1 before it is degraded; like training's own augmentation nothing here cuts it back to that range."""

Degrade = Callable[[Image, float, np.random.Generator], Image]
"""(slice, level, generator) → the slice made worse; the generator's draws do not depend on the level."""

ORDER = 3
"""Highest total power of the polynomial that shades a slice."""


def noisy(image: Image, level: float, generator: np.random.Generator) -> Image:
    """Add Gaussian noise of standard deviation ``level``, in units of the normalised intensity."""
    return image + np.float32(level) * generator.standard_normal(image.shape, np.float32)


def blurred(image: Image, level: float, generator: np.random.Generator) -> Image:
    """Smooth with a Gaussian of standard deviation ``level``, pixels of the network's grid; nothing is drawn."""
    smooth: Image = ndimage.gaussian_filter(image, level, mode="nearest")
    return smooth


def shaded(image: Image, level: float, generator: np.random.Generator) -> Image:
    """Multiply with a smooth field, the exponential of a cubic polynomial (Van Leemput et al., 1999).

    The polynomial has mean 0 and reaches ``level`` in absolute value, so that no pixel gains or loses more than the
    factor exp(level).
    """
    powers = np.add.outer(np.arange(ORDER + 1), np.arange(ORDER + 1))
    coefficients = np.where(powers <= ORDER, generator.standard_normal(powers.shape), 0)
    rows, columns = (np.linspace(-1, 1, count) for count in image.shape)
    field = np.polynomial.polynomial.polygrid2d(rows, columns, coefficients)  # (H, W)
    field -= field.mean()
    shade: Image = image * np.exp(level * field / np.abs(field).max()).astype(np.float32)
    return shade


def blanked(image: Image, level: float, generator: np.random.Generator) -> Image:
    """Replace the slice by zeros with probability ``level``."""
    return np.zeros_like(image) if generator.random() < level else image
