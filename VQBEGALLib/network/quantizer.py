"""One cosine codebook for both modalities (paper, section 2.2, eqs. 2 and 3)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from VQBEGALLib.config import NetworkSettings
from VQBEGALLib.network.encoder import unit
from VQBEGALLib.network.share import ALONE, Rows, Share

KMEANS_ITERATIONS = 10

TINY = 1e-6
"""Length of an averaged sum below which its direction is rounding."""

CHUNK = 1024
"""Positions compared with the codebook at a time on a CPU, so that the similarities stay in its cache."""

GPU_CHUNK = 65536
"""The same on a GPU, where fewer and larger products are faster and memory is the limit."""


@dataclass(frozen=True)
class Quantized:
    """Quantised maps and their losses.

    Args:
        z: codebook entries scaled to length √d, with straight-through gradient, (B, d, h, w).
        codes: index of each position's entry, (B, h, w).
        vq: L_vq = ‖sg[z] − e‖² summed over channels, mean over the positions that learn; scalar.
        commit: L_commit = ‖z − sg[e]‖², likewise.
    """

    z: Tensor
    codes: Tensor
    vq: Tensor
    commit: Tensor


class CosineCodebook(nn.Module):
    """K unit vectors; a feature is replaced by the entry of the largest cosine similarity.

    With ``ema`` entries follow a moving average of the features assigned to them; with ``gradient`` they are
    parameters that L_vq moves. Either way the first batch that learns initialises them (spherical k-means),
    and entries that fall out of use are replaced by current features.
    """

    usage: Tensor
    sums: Tensor
    initialised: Tensor

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        self.decay = settings.ema_decay
        self.revive_after = settings.revive_after
        self.by_gradient = settings.codebook_update == "gradient"
        entries = functional.normalize(torch.randn(settings.codes, settings.code_dim), dim=1)
        self.entries = nn.Parameter(entries, requires_grad=self.by_gradient)  # (K, d)
        self.register_buffer("usage", torch.zeros(settings.codes))  # positions an entry gets in a batch, averaged
        self.register_buffer("sums", entries.clone())  # (K, d), averaged sums of assigned features
        self.register_buffer("initialised", torch.zeros((), dtype=torch.bool))

    def forward(
        self,
        features: Tensor,
        *,
        learn: Tensor | None = None,
        generator: torch.Generator | None = None,
        share: Share = ALONE,
    ) -> Quantized:
        """Quantise feature maps of both modalities in one call.

        Args:
            features: F_c and F_m, concatenated along the batch, (B, d, h, w).
            learn: which samples shape losses and codebook, (B,); None changes nothing and gives zero losses.
            generator: source of the draws of initialisation and revival; needed where samples learn, and in the
                same state in all processes.
            share: what other processes hold of the batch; losses and codebook are those of the whole batch.
        """
        batch, dim, height, width = features.shape
        directions = unit(features.permute(0, 2, 3, 1).reshape(-1, dim))  # (N, d), N = B h w
        chosen = None if learn is None or bool(learn.all()) else learn.repeat_interleave(height * width)  # (N,)
        rows, mine = None, directions
        if learn is not None and share.any(learn):
            mine = _rows(directions, chosen)
            rows = share.rows(mine.detach(), learn, height * width)
        source = generator if rows is not None and self.training else None  # in evaluation nothing moves
        if rows is not None and source is not None and not bool(self.initialised):
            self._initialise(rows, source)
        # the clone keeps what backward needs when revival writes to the entries after this
        entries = functional.normalize(self.entries.clone(), dim=1) if self.by_gradient else self.entries
        codes = nearest(directions.detach(), entries.detach())  # (N,)
        picked = functional.embedding(codes, entries)  # (N, d)
        vq = commit = directions.new_zeros(())
        if rows is not None:
            theirs = _rows(picked, chosen)
            commit = share.mean((mine - theirs.detach()).square().sum(dim=1).mean(), len(mine))
            vq = commit.detach()  # the same value; with ema nothing is left that its gradient could move
            if self.by_gradient:
                vq = share.mean((mine.detach() - theirs).square().sum(dim=1).mean(), len(mine))
            if source is not None:
                self._follow(rows, _rows(codes, chosen), source)
        z = directions + (picked - directions).detach()  # straight-through
        z = z.reshape(batch, height, width, dim).permute(0, 3, 1, 2) * dim**0.5  # each channel near unit variance
        return Quantized(z, codes.reshape(batch, height, width), vq, commit)

    @torch.no_grad()
    def _initialise(self, rows: Rows, generator: torch.Generator) -> None:
        """Spherical k-means over the first batch; too few positions are drawn more than once."""
        count = len(self.entries)
        order = torch.randperm(rows.total, generator=generator)
        order = order[torch.arange(count) % len(order)].to(rows.mine.device)
        centres = rows.take(order)
        for _ in range(KMEANS_ITERATIONS):
            codes = nearest(rows.mine, centres)
            sums = rows.share.sum(torch.zeros_like(centres).index_add_(0, codes, rows.mine))
            used = rows.share.sum(torch.bincount(codes, minlength=count)) > 0
            centres[used] = functional.normalize(sums[used], dim=1)
        share = rows.total / count
        self.entries.copy_(centres)
        self.usage.fill_(share)
        self.sums.copy_(centres * share)
        self.initialised.fill_(True)

    @torch.no_grad()
    def _follow(self, rows: Rows, codes: Tensor, generator: torch.Generator) -> None:
        """Average use and features of each entry, move entries (``ema``), replace dead ones."""
        count = len(self.entries)
        counts = rows.share.sum(torch.bincount(codes, minlength=count)).to(self.usage.dtype)
        self.usage.lerp_(counts, 1 - self.decay)
        if not self.by_gradient:
            sums = rows.share.sum(torch.zeros_like(self.sums).index_add_(0, codes, rows.mine))
            self.sums.lerp_(sums, 1 - self.decay)
            alive = self.sums.norm(dim=1, keepdim=True) > TINY  # an entry long out of use stays where it was
            self.entries.copy_(torch.where(alive, functional.normalize(self.sums, dim=1), self.entries))
        share = rows.total / count
        dead = (self.usage < self.revive_after * share).nonzero().flatten()
        if len(dead):
            wanted = torch.randint(rows.total, (len(dead),), generator=generator).to(dead.device)
            revived = rows.take(wanted)
            self.entries[dead] = revived
            self.usage[dead] = share
            self.sums[dead] = revived * share


def nearest(directions: Tensor, entries: Tensor) -> Tensor:
    """Return the entry of the largest cosine similarity for each direction (eq. 2), (N,); all vectors of length one."""
    rows = CHUNK if directions.device.type == "cpu" else GPU_CHUNK
    return torch.cat([(part @ entries.t()).max(dim=1).indices for part in torch.split(directions, rows)])


def _rows(values: Tensor, chosen: Tensor | None) -> Tensor:
    """Return the chosen rows, or all of them without a copy."""
    return values if chosen is None else values[chosen]
