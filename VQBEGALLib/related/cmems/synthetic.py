"""Synthetic labelled slices from annotated ones: deformed copies, and organs pasted onto unlabelled slices (Ω)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

CONTROL = 4
"""Rows and columns of the control points of a deformation."""

BLEND = 2
"""Pixels around a pasted organ over which its slice fades into the other."""


@dataclass(frozen=True)
class Pasted:
    """Unlabelled slices with the organs of annotated ones.

    Args:
        images: (u, 1, H, W).
        masks: pasted organs, 0 or 1, (u, C, H, W).
        known: pixels that come from the annotated slice, organ and rim, (u, 1, H, W) bool.
    """

    images: Tensor
    masks: Tensor
    known: Tensor


def deform(images: Tensor, masks: Tensor, strength: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return slices and masks moved by one smooth displacement field each.

    Args:
        images: (B, 1, H, W).
        masks: 0 or 1, (B, C, H, W).
        strength: largest displacement of a control point, as a share of the slice's side; 0 moves nothing.
        generator: source of the fields, on the CPU.
    """
    if not len(images) or strength == 0:
        return images, masks
    height, width = images.shape[2:]
    control = 2 * torch.rand(len(images), 2, CONTROL, CONTROL, generator=generator) - 1
    field = functional.interpolate(control, size=(height, width), mode="bicubic", align_corners=True)
    field = (2 * strength * field).permute(0, 2, 3, 1).to(images)  # the grid runs from -1 to 1
    still = torch.eye(2, 3).to(images).expand(len(images), 2, 3)
    grid = functional.affine_grid(still, list(images.shape), align_corners=False) + field
    moved = functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
    turned = functional.grid_sample(masks, grid, padding_mode="zeros", align_corners=False)
    return moved, (turned >= 0.5).to(masks.dtype)


def paste(images: Tensor, masks: Tensor, onto: Tensor, generator: torch.Generator) -> Pasted:
    """Paste the organs of annotated slices, all together and where they lie, onto other slices.

    Inside the organs each result is the annotated slice; over :data:`BLEND` pixels around them it fades into the
    other. Sources are drawn from the slices that show an organ; where none does, nothing is pasted.

    Args:
        images: annotated slices, (b, 1, H, W).
        masks: their organs, 0 or 1, (b, C, H, W).
        onto: slices to paste onto, (u, 1, H, W).
        generator: source of the draws, on the CPU.
    """
    shows = masks.flatten(1).any(dim=1).nonzero().flatten()
    if not len(shows) or not len(onto):
        nothing = onto.new_zeros(len(onto), masks.shape[1], *onto.shape[2:])
        return Pasted(onto, nothing, torch.zeros_like(onto, dtype=torch.bool))
    chosen = shows[torch.randint(len(shows), (len(onto),), generator=generator).to(shows.device)]
    organs = masks[chosen]
    weight = fading(organs.amax(dim=1, keepdim=True))
    return Pasted(weight * images[chosen] + (1 - weight) * onto, organs, weight > 0.5)


def fading(mask: Tensor) -> Tensor:
    """Return 1 inside a mask, (B, 1, H, W), falling to 0 over :data:`BLEND` pixels outside."""
    rims = [functional.max_pool2d(mask, 2 * reach + 1, stride=1, padding=reach) for reach in range(BLEND + 1)]
    return torch.stack(rims).mean(dim=0)
