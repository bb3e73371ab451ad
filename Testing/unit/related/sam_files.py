"""Small files of weights, named and shaped like those of SAM and SAM-Med3D."""

from __future__ import annotations

import torch

VIT = {"encoder": "vit", "vit_width": 8, "vit_depth": 2, "vit_heads": 2, "vit_neck": 4, "encoder_sharing": "none"}
"""Settings of a network of the same sizes."""

Tensors = dict[str, torch.Tensor]


def sam(*, colours: int = 3, grid: int = 2, planes: int = 0, seed: int = 0) -> Tensors:
    """Random tensors named and shaped like a checkpoint of SAM; with planes like one of SAM-Med3D."""
    generator = torch.Generator().manual_seed(seed)
    width, depth, heads, neck, solid = 8, 2, 2, 4, bool(planes)
    space = (planes,) if solid else ()
    shapes: dict[str, tuple[int, ...]] = {
        "pos_embed": (1, grid, grid, *space, width),
        "patch_embed.proj.weight": (width, 1 if solid else colours, 16, 16, *((16,) if solid else ())),
        "patch_embed.proj.bias": (width,),
        "neck.0.weight": (neck, width, 1, 1, *((1,) if solid else ())),
        "neck.2.weight": (neck, neck, 3, 3, *((3,) if solid else ())),
        **{f"neck.{place}.{kind}": (neck,) for place in (1, 3) for kind in ("weight", "bias")},
    }
    for block in range(depth):
        inside = {
            "norm1.weight": (width,),
            "norm1.bias": (width,),
            "attn.qkv.weight": (3 * width, width),
            "attn.qkv.bias": (3 * width,),
            "attn.proj.weight": (width, width),
            "attn.proj.bias": (width,),
            **{f"attn.rel_pos_{axis}": (2 * grid - 1, width // heads) for axis in ("dhw" if solid else "hw")},
            "norm2.weight": (width,),
            "norm2.bias": (width,),
            "mlp.lin1.weight": (4 * width, width),
            "mlp.lin1.bias": (4 * width,),
            "mlp.lin2.weight": (width, 4 * width),
            "mlp.lin2.bias": (width,),
        }
        shapes |= {f"blocks.{block}.{name}": shape for name, shape in inside.items()}
    found = {f"image_encoder.{name}": 0.3 * torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    return {
        **found,
        "prompt_encoder.no_mask_embed.weight": torch.zeros(1, 4),
        "mask_decoder.iou_token.weight": torch.ones(1),
    }
