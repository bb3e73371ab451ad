"""What a round will cost in time and memory: a few steps are measured and carried forward."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from VQBEGALLib.config import Config
from VQBEGALLib.events import Reporter
from VQBEGALLib.inference import segment_slices, to_labelmap
from VQBEGALLib.network.device import Compute
from VQBEGALLib.network.memory import Memory, device_name
from VQBEGALLib.rounds.diagnosis import SAMPLE
from VQBEGALLib.rounds.exemplar import next_config
from VQBEGALLib.rounds.material import Material
from VQBEGALLib.rounds.steps import require_cases
from VQBEGALLib.selection.scoring import BATCH, entropies, score_pairs
from VQBEGALLib.slices import ImageKey, SliceCache, SliceFrame, SlicePair
from VQBEGALLib.slices.reader import PairReader
from VQBEGALLib.study import Study
from VQBEGALLib.training import Example, Role, Trained, train
from VQBEGALLib.volumes import Volume

PATIENCE = 4.0
"""Seconds that the training steps of a measurement may take, about."""

_MEGABYTE = 2**20


@dataclass(frozen=True)
class Estimate:
    """What a round costs, about.

    Args:
        seconds: of the whole round.
        train_seconds, score_seconds, segment_seconds: of its parts; validation counts as segmenting.
        memory_mb: most memory taken in the measurement, by the process or, with a GPU, on it.
        available_mb: memory that was free before; None where the system does not tell.
        device: where it was measured.
        basis: what was measured, one sentence.
    """

    seconds: float
    train_seconds: float
    score_seconds: float
    segment_seconds: float
    memory_mb: float
    available_mb: float | None
    device: str
    basis: str


@dataclass(frozen=True)
class _Sample:
    """Pairs to measure on."""

    labelled: list[Example]
    unlabelled: list[SlicePair]
    reader: PairReader
    what: str

    @property
    def pairs(self) -> list[SlicePair]:
        """One batch."""
        found = [*(example.pair for example in self.labelled), *self.unlabelled][:BATCH]
        return (found * BATCH)[:BATCH]


def estimate(study: Study, *, device: torch.device, reporter: Reporter, fallback: bool = False) -> Estimate:
    """Measure some training steps and a batch of scoring and segmenting, and work out what a round takes.

    The first preparation of volumes is left out. Nothing in the study changes but its cache.

    Args:
        study: its settings and, where some are, its labelled slices are measured; else synthetic slices.
        device: where to compute.
        reporter: receives progress.
        fallback: measure on the processor where the device has too little memory.

    Raises:
        StudyError: there is no training case.
        OutOfMemoryError: the device has too little memory, and there is no fallback.
        CancelledError: a person asked to stop.
    """
    require_cases(study)
    with TemporaryDirectory() as folder:
        sample = _of_study(study, reporter) or _synthetic(study.config, Path(folder))
        return Compute(device, reporter, fallback=fallback).run(
            lambda device: _measured(study, sample, device=device, reporter=reporter)
        )


def _of_study(study: Study, reporter: Reporter) -> _Sample | None:
    if not study.ledger()["budget"]["used"]:
        return None
    material = Material(study, reporter, ("train",))
    examples = material.examples()
    return _Sample(examples, material.unlabelled(examples), material.reader, "slices of this study")


def _synthetic(config: Config, folder: Path) -> _Sample:
    """Return noise with a disc in it, cut and read like a study's slices."""
    size, count = config.slices.size, max(BATCH, config.training.batch_size + config.training.unlabelled_per_step)
    y, x = np.indices((size, size)) - size / 2
    disc = (np.hypot(y, x) < size / 4).astype(np.uint8)
    noise = np.random.default_rng(config.seed).normal(0, 50, (count, size, size)).astype(np.float32)
    volume = Volume(noise + 100 * disc, np.eye(4))
    cache = SliceCache(folder, config.slices)
    modalities = {"primary": config.slices.primary_modality, "auxiliary": config.slices.auxiliary_modality}
    primary, auxiliary = ({"": ImageKey("", which, modalities[which], which)} for which in ("primary", "auxiliary"))
    for key in (primary[""], auxiliary[""]):
        cache.ensure(key, lambda: volume)
    pairs = [SlicePair("", index, "", index) for index in range(count)]
    labelled = config.training.batch_size
    examples = [Example(pair, Role.ALL, disc, disc) for pair in pairs[:labelled]]
    return _Sample(examples, pairs[labelled:], PairReader(cache, primary, auxiliary), "synthetic slices of their size")


def _measured(study: Study, sample: _Sample, *, device: torch.device, reporter: Reporter) -> Estimate:
    config, silent, memory = next_config(study), reporter.silent(), Memory(device)
    with reporter.stage("estimate", 3, unit="measurement") as stage:
        steps, trained = 2, _train(sample, config, 2, device, silent)  # a warm-up
        if (left := PATIENCE - trained.seconds) > 0:
            steps = max(2, min(50, int(left / trained.seconds * steps)))
            trained = _train(sample, config, steps, device, silent)
        stage.advance()

        def score() -> None:
            score_pairs(trained.model, sample.pairs, sample.reader, entropies, device=device, reporter=silent)

        def segment() -> None:
            found = segment_slices(trained.model, sample.pairs, sample.reader.read, device=device, reporter=silent)
            to_labelmap(found, planes, config)

        planes = _planes(study)
        scoring = _second(score, reporter) / BATCH
        stage.advance()
        segmenting = _second(segment, reporter) / BATCH
        stage.advance()
    pool, shown = _counts(study)
    training = trained.seconds / steps * config.training.steps
    scoring *= pool + min(SAMPLE, pool)  # the diagnosis looks at some of them, too
    segmenting *= shown
    return Estimate(
        seconds=round(training + scoring + segmenting, 1),
        train_seconds=round(training, 1),
        score_seconds=round(scoring, 1),
        segment_seconds=round(segmenting, 1),
        memory_mb=round(memory.peak() / _MEGABYTE),
        available_mb=None if memory.free is None else round(memory.free / _MEGABYTE),
        device=device_name(device),
        basis=f"{steps} of {config.training.steps} training steps and {BATCH} pairs were measured on {sample.what}; "
        "the first preparation of volumes comes on top.",
    )


def _train(sample: _Sample, config: Config, steps: int, device: torch.device, reporter: Reporter) -> Trained:
    return train(
        sample.labelled,
        sample.unlabelled,
        sample.reader,
        config.replace({"steps": steps}),
        round_index=0,
        device=device,
        reporter=reporter,
    )


def _second(step: Callable[[], None], reporter: Reporter) -> float:
    """Return the seconds of a step's second run: the first warms up."""
    step()
    started = reporter.clock()
    step()
    return reporter.clock() - started


def _planes(study: Study) -> Volume:
    """Return a batch of planes as large as those of the first case."""
    frame = SliceFrame.of(study.grid(study.cases("train")[0].name))
    row, column = frame.pixel
    return Volume(np.broadcast_to(np.uint8(0), (BATCH, *frame.shape[1:])), np.diag((column, row, 1.0, 1.0)))


def _counts(study: Study) -> tuple[int, int]:
    """Return how many slices a round scores, and how many it segments to validate and to show."""
    counts = {case.name: SliceFrame.of(study.grid(case.name)).count for case in study.cases()}
    pool = [counts[case.name] for case in study.cases("train")]
    validated = sum(counts[case.name] for case in study.cases("validation") if case.primary_reference is not None)
    asked = min(len(pool), study.config.rounds.round_budget)
    return sum(pool), validated + round(asked * sum(pool) / len(pool))
