"""The image encoders of SAM, SAM-Med2D and SAM-Med3D as tensors, brought to single-channel slices.

SAM-Med3D works on volumes turned to the axes x, y, z (left–right, back–front, feet–head), which its code calls D, H, W.
A slice across the body has rows along y and columns along x: kernels and positions lose z, and x and y change places.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeGuard

import torch
from torch import Tensor
from torch.nn import functional

from VQBEGALLib.errors import InputError
from VQBEGALLib.related.cmc.vit import PATCH

Tensors = Mapping[str, Tensor]
PREFIX = "image_encoder."
KERNEL, NECK, POSITIONS = "patch_embed.proj.weight", "neck.0.weight", "pos_embed"
MAY_LACK = ("pos_embed", "rel_pos_h", "rel_pos_w")
"""Weights that a file may lack: some encoders were trained without."""


def image_encoder(tensors: Tensors) -> dict[str, Tensor]:
    """Return the tensors of the image encoder by their names inside it; nothing where there is none."""
    named = {name.partition(PREFIX)[2]: tensor for name, tensor in tensors.items() if PREFIX in name}
    found = named or dict(tensors)
    return found if KERNEL in found else {}


def outside(tensors: Tensors) -> list[str]:
    """Return the names of what a file holds beside its image encoder."""
    others = [name for name in tensors if PREFIX not in name]
    return others if len(others) < len(tensors) else []


def shape_of(encoder: Tensors) -> dict[str, int]:
    """Return the settings that an image encoder's sizes stand for; heads only where it has relative positions.

    Raises:
        InputError: it lacks its blocks or its neck, or one of them has not the axes that it should have.
    """
    kernel, neck, positions = (encoder.get(name) for name in (KERNEL, NECK, "blocks.0.attn.rel_pos_h"))
    numbers = {name.split(".")[1] for name in encoder if name.startswith("blocks.")}
    blocks = [int(number) for number in numbers if number.isdecimal()]
    if not blocks or not _is_kernel(kernel) or not _is_kernel(neck) or (positions is not None and positions.ndim != 2):
        raise InputError("The image encoder in the file of encoder weights is not whole.", "Choose another file.")
    width = len(kernel)
    sizes = {"vit_width": width, "vit_depth": max(blocks) + 1}
    if positions is not None:
        sizes["vit_heads"] = width // positions.shape[1]
    return {**sizes, "vit_neck": len(neck)}


def _is_kernel(tensor: Tensor | None) -> TypeGuard[Tensor]:
    """Tell whether it is there and is a kernel over planes or volumes."""
    return tensor is not None and tensor.ndim in (4, 5)


def adapted(name: str, encoder: Tensors, shape: torch.Size) -> tuple[Tensor, str, str] | None:
    """Return a weight of the two-dimensional encoder from those of a file.

    Args:
        name: of the weight.
        encoder: image encoder of the file.
        shape: that the weight should have.

    Returns:
        The weight, the name that it has in the file, and what was changed (nothing: empty); None where the file may
        lack it and does.

    Raises:
        InputError: it is missing, or cannot be brought to the shape.
    """
    solid = encoder[KERNEL].ndim == 5
    source = name.replace("rel_pos_w", "rel_pos_d") if solid else name  # columns lie along x, the first axis
    if source not in encoder:
        if name.endswith(MAY_LACK):
            return None
        raise InputError(f"The image encoder in the file of encoder weights lacks {source}.", "Choose another file.")
    tensor, changes = encoder[source].to(torch.float32), []
    if tensor.ndim == 5:
        tensor, change = _flat(name, tensor)
        changes.append(change)
    if name == KERNEL and tensor.shape[1] > 1:
        tensor = tensor.sum(dim=1, keepdim=True)
        changes.append("summed over channels")
    if tensor.shape != shape and tensor.ndim == len(shape) and name.endswith(MAY_LACK):
        tensor, change = _fitted(tensor, shape, encoder)
        changes.append(change)
    if tensor.shape != shape:
        raise InputError(
            f"{source} in the file of encoder weights has the shape {tuple(tensor.shape)}, not {tuple(shape)}.",
            f"Only image encoders with patches of {PATCH} pixels and the layers of SAM can be taken.",
        )
    return tensor.contiguous(), source, " and ".join(changes)


def _flat(name: str, solid: Tensor) -> tuple[Tensor, str]:
    """Take the axis across the planes out of positions (1, x, y, z, C) or a kernel (O, I, x, y, z), rows along y."""
    if name == POSITIONS:
        return solid.mean(dim=3).transpose(1, 2), "averaged over planes"
    return solid.sum(dim=4).transpose(2, 3), "summed over planes"


def _fitted(positions: Tensor, shape: torch.Size, encoder: Tensors) -> tuple[Tensor, str]:
    """Bring positions to another grid: (1, g, g, C), or relative ones, (2 g − 1, C).

    Those of the whole image are interpolated, as SAM does. Relative ones inside a window are tied to distances in
    patches, which stay what they are: the nearer ones are kept.
    """
    if positions.ndim == 4:
        rows = positions.permute(0, 3, 1, 2)
        rows = functional.interpolate(rows, size=shape[1:3], mode="bicubic", align_corners=False)
        return rows.permute(0, 2, 3, 1), "resized"
    spare = len(positions) - shape[0]
    if spare > 0 and POSITIONS in encoder and len(positions) != 2 * encoder[POSITIONS].shape[1] - 1:
        return positions[spare // 2 :][: shape[0]], "cropped"
    return functional.interpolate(positions.t()[None], size=shape[0], mode="linear")[0].t(), "resized"
