"""The image encoder of SAM for single-channel slices, its tensors named as in SAM's checkpoints.

Windows are left out: a slice has few enough tokens for every block to attend to all of them.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

from VQBEGALLib.config import Config
from VQBEGALLib.network.encoder import InstanceNorm

PATCH = 16
"""Rows and columns of a patch, pixels; that of SAM, SAM-Med2D and SAM-Med3D."""

EPSILON = 1e-6


class Attention(nn.Module):
    """Multi-head attention with relative positions, rows and columns apart (Li et al., 2022, section 4.1).

    Args:
        width: channels of a token.
        heads: attention heads.
        grid: rows and columns of tokens, g.
    """

    def __init__(self, width: int, heads: int, grid: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.rel_pos_h = nn.Parameter(torch.zeros(2 * grid - 1, width // heads))
        self.rel_pos_w = nn.Parameter(torch.zeros(2 * grid - 1, width // heads))

    def forward(self, x: Tensor) -> Tensor:
        """(B, g, g, width) → (B, g, g, width)."""
        batch, rows, columns, width = x.shape
        qkv = self.qkv(x).reshape(batch, rows * columns, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind()  # (B, heads, g g, width / heads) each
        bias = self._bias(q.unflatten(2, (rows, columns))).to(q)
        y = functional.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        out: Tensor = self.proj(y.transpose(1, 2).reshape(batch, rows, columns, width))
        return out

    def _bias(self, q: Tensor) -> Tensor:
        """Return what each query adds to the logits of all keys by where they lie, (B, heads, g g, g g)."""
        rows, columns = q.shape[2:4]
        by_row = torch.einsum("bnhwc,hkc->bnhwk", q, _relative(self.rel_pos_h, rows))
        by_column = torch.einsum("bnhwc,wkc->bnhwk", q, _relative(self.rel_pos_w, columns))
        return (by_row[..., :, None] + by_column[..., None, :]).flatten(4).flatten(2, 3)


def _relative(positions: Tensor, count: int) -> Tensor:
    """Return the entry of each query and key that lie i − j apart, (count, count, C)."""
    places = torch.arange(count, device=positions.device)
    return positions[places[:, None] - places[None, :] + count - 1]


class MLP(nn.Module):
    """Two layers with a GELU between them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.lin1 = nn.Linear(width, 4 * width)
        self.lin2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(…, width) → (…, width)."""
        y: Tensor = self.lin2(functional.gelu(self.lin1(x)))
        return y


class Block(nn.Module):
    """Attention, then the adapter that is passed in, then the MLP; each adds to what it gets."""

    def __init__(self, width: int, heads: int, grid: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=EPSILON)
        self.attn = Attention(width, heads, grid)
        self.norm2 = nn.LayerNorm(width, eps=EPSILON)
        self.mlp = MLP(width)

    def forward(self, x: Tensor, adapter: nn.Module) -> Tensor:
        """(B, g, g, width) → (B, g, g, width); the adapter is a residual one on (B, width, g, g)."""
        x = x + self.attn(self.norm1(x))
        x = adapter(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        y: Tensor = x + self.mlp(self.norm2(x))
        return y


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of each position."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, H, W)."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class PatchEmbedding(nn.Module):
    """A token a patch."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(1, width, PATCH, stride=PATCH)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, H, W) → (B, H / 16, W / 16, width)."""
        y: Tensor = self.proj(x).permute(0, 2, 3, 1)
        return y


class ImageEncoder(nn.Module):
    """Patches, positions, transformer blocks, and the neck that brings tokens to ``vit_neck`` channels.

    Each slice is brought to mean 0 and variance 1 first: the weights expect images normalised so.

    Source:
        Kirillov et al. (2023), appendix A, with the blocks of Li et al. (2022).
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        width, neck, grid = config.cmc.vit_width, config.cmc.vit_neck, config.slices.size // PATCH
        self.normalise = InstanceNorm(1)
        self.patch_embed = PatchEmbedding(width)
        self.pos_embed = nn.Parameter(nn.init.trunc_normal_(torch.empty(1, grid, grid, width), std=0.02))
        self.blocks = nn.ModuleList(Block(width, config.cmc.vit_heads, grid) for _ in range(config.cmc.vit_depth))
        self.neck = nn.Sequential(
            nn.Conv2d(width, neck, 1, bias=False),
            ChannelNorm(neck, eps=EPSILON),
            nn.Conv2d(neck, neck, 3, padding=1, bias=False),
            ChannelNorm(neck, eps=EPSILON),
        )

    def forward(self, x: Tensor, adapters: Iterable[nn.Module]) -> Tensor:
        """Encode slices.

        Args:
            x: (B, 1, H, W).
            adapters: one a block.

        Returns:
            (B, neck, H / 16, W / 16).
        """
        tokens = self.patch_embed(self.normalise(x)) + self.pos_embed
        for block, adapter in zip(self.blocks, adapters, strict=True):
            tokens = block(tokens, adapter)
        y: Tensor = self.neck(tokens.permute(0, 3, 1, 2))
        return y
