"""A round's training, in one process or in several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from VQBEGALLib.config import Config
from VQBEGALLib.errors import InputError
from VQBEGALLib.events import Reporter
from VQBEGALLib.network import VQBEGAL
from VQBEGALLib.slices import SlicePair
from VQBEGALLib.slices.reader import PairReader
from VQBEGALLib.training.batches import Example
from VQBEGALLib.training.distributed import Ranks, current
from VQBEGALLib.training.loop import Lesson, Loop
from VQBEGALLib.training.step import check_pairs


@dataclass
class Trained:
    """What a round's training leaves.

    Args:
        model: the trained network, in evaluation mode.
        history: mean of each loss term between two kept points, with the step it ends at.
        seconds: time spent in steps.
    """

    model: VQBEGAL
    history: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0


def train(
    labelled: Sequence[Example],
    unlabelled: Sequence[SlicePair],
    reader: PairReader,
    config: Config,
    *,
    round_index: int,
    device: torch.device,
    reporter: Reporter,
    checkpoint: Path | None = None,
    initial: VQBEGAL | None = None,
) -> Trained:
    """Train a network on a round's labels, with the other processes of this one's team where it has any.

    Args:
        labelled, unlabelled, reader, config, round_index: see :class:`VQBEGALLib.training.loop.Lesson`.
        device: where to compute.
        reporter: receives progress; looked at for a request to cancel after each step.
        checkpoint: file that holds the state inside the round; continued from where it
            exists. The caller removes it once the result is safe.
        initial: network to go on from (warm start); None begins with the seed's initial weights.

    Raises:
        InputError: there is no labelled slice, there are more processes than labelled slices in a batch, or the
            configured method cannot learn from these pairs.
        OutOfMemoryError: the device has too little memory.
        StorageError: the disk is full or refuses.
        CancelledError: a person asked to stop; the checkpoint holds the state.
        LostProcessError: another process of the team ended; the last checkpoint stays.
    """
    if not labelled:
        raise InputError("There is no labelled slice to train on.", "Annotate at least one requested slice first.")
    check_pairs([example.pair for example in labelled], config)
    team = current()
    team.check(config.training.batch_size)
    lesson = Lesson(labelled, unlabelled, reader, config, round_index)
    loop = Loop(lesson, device, team, initial=initial)
    if checkpoint is not None and checkpoint.exists():
        loop.restore(checkpoint, reporter)
    team.call((lesson, *loop.state()))
    loop.run(reporter, checkpoint)
    return Trained(loop.model.eval(), loop.history, loop.seconds)


def follow(team: Ranks) -> int:
    """Take part in every training of process 0, until it ends; return the exit code with which it does.

    Raises:
        OutOfMemoryError: the device has too little memory.
        LostProcessError: another process of the team ended.
    """
    while not isinstance(job := team.wait(), int):
        lesson, tensors, texts = job
        loop = Loop(lesson, team.device, team)
        loop.load(tensors, texts)
        loop.run(Reporter(), None)
    return job
