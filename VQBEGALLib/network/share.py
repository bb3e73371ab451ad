"""A batch that one process holds, or that several hold together: sums, means and draws over all of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from VQBEGALLib.errors import VQBEGALError, lacks_memory

PATIENCE = 10
"""Minutes that a process waits for the others."""


class LostProcessError(VQBEGALError):
    """Another process of a training ended, or is silent."""

    def __init__(self) -> None:
        super().__init__(
            f"Another process of this training has ended, or has not answered for {PATIENCE} minutes.",
            "See what it said, then start the training again: it goes on from its last checkpoint.",
        )


@contextmanager
def answered() -> Iterator[None]:
    """Turn what torch says of a peer that is gone into :class:`LostProcessError`."""
    try:
        yield
    except RuntimeError as error:
        if lacks_memory(error):
            raise
        raise LostProcessError() from None


class Share:
    """The whole batch, held by this process alone: every sum is complete already."""

    def sum(self, x: Tensor) -> Tensor:
        """Return the sum of a tensor of equal shape over all processes; its gradient is each one's own part."""
        return x

    def mean(self, mean: Tensor, count: int) -> Tensor:
        """Return the mean over all rows, from the mean over the ``count`` rows of this process."""
        return mean

    def any(self, flags: Tensor) -> bool:
        """Tell whether a flag is set in any process."""
        return bool(flags.any())

    def source(self, generator: torch.Generator) -> torch.Generator:
        """Return the source of draws that no other process takes."""
        return generator

    def normal(self, like: Tensor, generator: torch.Generator) -> Tensor:
        """Return standard normal draws for labelled pairs: those that each would get in a single process.

        Args:
            like: gives shape, (b, …) with the labelled pairs of this process, and device.
            generator: on the CPU, in the same state in each process.
        """
        return torch.randn(like.shape, generator=generator).to(like.device)

    def rows(self, values: Tensor, learn: Tensor, positions: int) -> Rows:
        """Return the feature rows of all processes as one table.

        Args:
            values: rows of this process, those of its learning samples, (N, d).
            learn: its samples that learn, primaries then auxiliaries, (2 B,).
            positions: rows of each sample.
        """
        return Rows(self, values, len(values), None)


class Part(Share):
    """Every ``size``-th pair of a batch, held by one of ``size`` processes.

    The loss of each process is that of the whole batch; what it differentiates is its own part. The gradients of all
    processes therefore add up to the gradient of the whole batch.

    Args:
        rank: number of this process, and of its first pair in the batch.
        size: processes.
        pairs: pairs of the whole batch.
    """

    def __init__(self, rank: int, size: int, pairs: int) -> None:
        self._rank, self._size, self._pairs = rank, size, pairs

    def sum(self, x: Tensor) -> Tensor:
        """See :meth:`Share.sum`."""
        total: Tensor = _Sum.apply(x)  # type: ignore[no-untyped-call]
        return total

    def mean(self, mean: Tensor, count: int) -> Tensor:
        """See :meth:`Share.mean`; one without rows has no say."""
        own = mean.flatten() * count if count else torch.zeros_like(mean).flatten()
        total = self.sum(torch.cat([own, own.new_tensor([count])]))
        return (total[:-1] / total[-1]).reshape(mean.shape)

    def any(self, flags: Tensor) -> bool:
        """See :meth:`Share.any`."""
        return bool(self.sum(flags.any().long()))

    def source(self, generator: torch.Generator) -> torch.Generator:
        """See :meth:`Share.source`."""
        seeds = torch.randint(2**31, (self._size,), generator=generator)
        return torch.Generator().manual_seed(int(seeds[self._rank]))

    def normal(self, like: Tensor, generator: torch.Generator) -> Tensor:
        """See :meth:`Share.normal`; draws for all pairs, and keeps those of its own."""
        labelled = int(self.sum(torch.tensor(len(like), device=like.device)))
        draws = torch.randn((labelled, *like.shape[1:]), generator=generator)
        return draws[self._rank :: self._size].to(like.device)

    def rows(self, values: Tensor, learn: Tensor, positions: int) -> Rows:
        """See :meth:`Share.rows`; rows are numbered as in the batch of a single process."""
        own = torch.arange(self._rank, self._pairs, self._size, device=learn.device)
        samples = torch.cat([own, self._pairs + own])  # (2 B,), numbers in the whole batch
        everyone = torch.zeros(2 * self._pairs, dtype=torch.long, device=learn.device)
        everyone[samples] = learn.long()
        everyone = self.sum(everyone)
        before = (everyone.cumsum(0) - everyone)[samples][learn]
        numbers = before[:, None] * positions + torch.arange(positions, device=learn.device)
        return Rows(self, values, int(everyone.sum()) * positions, numbers.flatten())


@dataclass(frozen=True)
class Rows:
    """Feature rows of all processes, of which each holds some.

    Args:
        share: what adds up over the processes.
        mine: rows of this process, (N, d).
        total: rows of all.
        numbers: which of all rows the own ones are, (N,); None where they are all.
    """

    share: Share
    mine: Tensor
    total: int
    numbers: Tensor | None

    def take(self, wanted: Tensor) -> Tensor:
        """Return rows by number, whichever process holds them; all processes ask for the same, (M, d)."""
        if self.numbers is None:
            return self.mine[wanted]
        held = torch.full((self.total,), -1, device=self.mine.device)
        held[self.numbers] = torch.arange(len(self.mine), device=self.mine.device)
        places = held[wanted]
        here = places >= 0
        found = self.mine.new_zeros(len(wanted), self.mine.shape[1])
        found[here] = self.mine[places[here]]
        return self.share.sum(found)  # one process gives each row, the others zeros


ALONE = Share()
"""What a single process uses."""


class _Sum(torch.autograd.Function):
    """Sum over all processes; the gradient goes to the own part alone, without another exchange."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.detach().clone(memory_format=torch.contiguous_format)
        with answered():
            dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0]
