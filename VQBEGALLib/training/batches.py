"""What one step trains on: a function of study seed, round and step number alone, so that a resumed run repeats it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from VQBEGALLib.config import TrainingSettings
from VQBEGALLib.network.share import ALONE, Share
from VQBEGALLib.slices import SlicePair
from VQBEGALLib.slices.reader import PairReader
from VQBEGALLib.training.augmentation import Augmentation
from VQBEGALLib.training.distributed import ONE, Team
from VQBEGALLib.training.routing import Role

Mask = npt.NDArray[np.uint8]
"""(H, W): 0 is background, each organ has its number."""


@dataclass(frozen=True)
class Example:
    """A labelled pair.

    Args:
        pair: the slices.
        role: what it trains.
        mask: organs on the primary slice, (H, W).
        auxiliary_mask: organs on the auxiliary slice, or None.
    """

    pair: SlicePair
    role: Role
    mask: Mask
    auxiliary_mask: Mask | None = None


@dataclass(frozen=True)
class Batch:
    """Labelled pairs first, unlabelled ones after them; n = b + u.

    Args:
        primary, auxiliary: slices, (n, 1, H, W).
        present: pairs that have a partner, (n,).
        aligned: pairs whose two slices show the same anatomy, pixel by pixel; they are turned alike, (n,).
        masks: organs on the labelled primary slices, 0 or 1, (b, C, H, W).
        auxiliary_masks: organs on their partners, 0 or 1, (b, C, H, W).
        auxiliary_labelled: rows of ``auxiliary_masks`` that hold, (b,).
        roles: :class:`Role` of each labelled pair, (b,).
        dropped: labelled pairs whose partner is hidden from the decoder, (b,).
        swap: pairs shown to an ordered discriminator in reverse, (n,).
        share: what other processes hold of the batch; nothing, where one process draws it whole.
    """

    primary: Tensor
    auxiliary: Tensor
    present: Tensor
    aligned: Tensor
    masks: Tensor
    auxiliary_masks: Tensor
    auxiliary_labelled: Tensor
    roles: Tensor
    dropped: Tensor
    swap: Tensor
    share: Share = ALONE


class Batches:
    """Draws the batch of each step.

    Args:
        reader: reads the slices.
        labelled: labelled pairs, at least one.
        unlabelled: pairs of the pool without labels; may be empty.
        settings: batch sizes and augmentation.
        classes: organs, C.
        modality_dropout: probability that a partner is hidden.
        seed: numbers that make the draws of this round its own, for example study seed and round.
        team: processes that share each batch; this one reads every ``size``-th pair from its ``rank`` on.
    """

    def __init__(
        self,
        reader: PairReader,
        labelled: Sequence[Example],
        unlabelled: Sequence[SlicePair],
        settings: TrainingSettings,
        *,
        classes: int = 1,
        modality_dropout: float,
        seed: tuple[int, ...],
        team: Team = ONE,
    ) -> None:
        self._reader = reader
        self._labelled = labelled
        self._unlabelled = unlabelled
        self._settings = settings
        self._values = np.arange(1, classes + 1, dtype=np.uint8)[:, None, None]
        self._dropout = modality_dropout
        self._seed = seed
        self._team = team

    def draw(self, step: int, device: torch.device) -> Batch:
        """Return the batch of a step, or this process's part of it, augmented, on a device."""
        settings, size = self._settings, self._reader.size
        generator = np.random.default_rng((*self._seed, step, 0))
        examples = [self._labelled[index] for index in self._turns(step, len(self._labelled), settings.batch_size)]
        extra = min(settings.unlabelled_per_step, len(self._unlabelled))
        spare = [self._unlabelled[index] for index in generator.choice(len(self._unlabelled), extra, replace=False)]
        pairs = [*(example.pair for example in examples), *spare]
        count, labelled = len(pairs), len(examples)
        # every process draws for the whole batch, so that each pair gets what it would get in a single one
        mine = slice(self._team.rank, None, self._team.size)
        turn_c = Augmentation.draw(count, size, settings.augmentation, generator).select(mine).to(device)
        turn_m = Augmentation.draw(count, size, settings.augmentation, generator).select(mine).to(device)
        aligned = torch.tensor([pair.aligned for pair in pairs[mine]], device=device)
        turn_m = turn_m.placed_as(turn_c, aligned)
        dropped, swap = generator.random(labelled) < self._dropout, generator.random(count) < 0.5
        examples, images = examples[mine], self._reader.read(pairs[mine])
        others = [example.auxiliary_mask for example in examples]
        blank = np.zeros((size, size), np.uint8)

        def tensor(array: npt.NDArray[Any]) -> Tensor:
            return torch.from_numpy(array).to(device)

        def masks(arrays: list[Mask], turn: Augmentation) -> Tensor:
            parts = np.stack(arrays)[:, None] == self._values  # (b, C, H, W)
            return turn.select(slice(len(examples))).masks(tensor(parts.astype(np.float32)))

        return Batch(
            primary=turn_c.images(tensor(images.primary[:, None])),
            auxiliary=turn_m.images(tensor(images.auxiliary[:, None])),
            present=tensor(images.present),
            aligned=aligned,
            masks=masks([each.mask for each in examples], turn_c),
            auxiliary_masks=masks([blank if mask is None else mask for mask in others], turn_m),
            auxiliary_labelled=tensor(np.array([mask is not None for mask in others])),
            roles=tensor(np.array([int(example.role) for example in examples])),
            dropped=tensor(dropped[mine]),
            swap=tensor(swap[mine]),
            share=self._team.share(count),
        )

    def _turns(self, step: int, total: int, size: int) -> list[int]:
        """Every labelled slice comes once before any comes again, in a new order each time."""
        places = range(step * size, (step + 1) * size)
        orders = {turn: self._order(turn, total) for turn in {place // total for place in places}}
        return [int(orders[place // total][place % total]) for place in places]

    def _order(self, turn: int, total: int) -> npt.NDArray[np.int64]:
        # the last number keeps the orders' streams apart from those of the steps
        return np.random.default_rng((*self._seed, turn, 1)).permutation(total)
