"""The training loop of one round: seeded, cancellable, resumable to the bit."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from VQBEGALLib.config import Config
from VQBEGALLib.errors import CancelledError, InputError, OutOfMemoryError, StorageError, StudyError
from VQBEGALLib.events import Reporter
from VQBEGALLib.network import VQBEGAL, build_network
from VQBEGALLib.network.storage import load_tensors, save_tensors
from VQBEGALLib.slices import SlicePair
from VQBEGALLib.slices.reader import PairReader
from VQBEGALLib.training.batches import Batches, Example
from VQBEGALLib.training.distributed import ONE, Team
from VQBEGALLib.training.step import step_loss

WARM_UP = 0.05
"""Share of the steps over which the learning rate rises to its peak."""

HISTORY = 50
"""Points that the loss history keeps of a round."""


@dataclass(frozen=True)
class Lesson:
    """All that a round's training depends on.

    Args:
        labelled: labelled pairs with roles.
        unlabelled: the rest of the pool.
        reader: reads slices.
        config: settings; ``config.seed`` and ``round_index`` fix every draw.
        round_index: number of the round.
    """

    labelled: Sequence[Example]
    unlabelled: Sequence[SlicePair]
    reader: PairReader
    config: Config
    round_index: int

    def fingerprint(self) -> str:
        """Return a digest, by which a checkpoint is known to belong to it."""
        digest = hashlib.sha256(json.dumps([self.config.to_json(), self.round_index]).encode())
        for example in self.labelled:
            digest.update(f"{example.pair}{example.role}".encode())
            digest.update(example.mask.tobytes())
            if example.auxiliary_mask is not None:
                digest.update(example.auxiliary_mask.tobytes())
        for pair in self.unlabelled:
            digest.update(str(pair).encode())
        return digest.hexdigest()


class Loop:
    """State of a round's training between two steps.

    Args:
        lesson: what to learn from.
        device: where to compute.
        team: processes that share each batch.
        initial: network to go on from; None begins with the seed's initial weights.
    """

    def __init__(
        self, lesson: Lesson, device: torch.device, team: Team = ONE, *, initial: VQBEGAL | None = None
    ) -> None:
        self.config, self.device, self.team = lesson.config, device, team
        config, self.seed = lesson.config, (lesson.config.seed, lesson.round_index)
        self.model = build_network(config, seed=config.seed)
        if initial is not None:
            self._go_on_from(initial)
        self.model.to(device).train()
        self.weights = [weight for weight in self.model.parameters() if weight.requires_grad]
        self.optimizer = torch.optim.AdamW(
            self.weights, lr=config.training.learning_rate, weight_decay=config.training.weight_decay
        )
        self.batches = Batches(
            lesson.reader,
            lesson.labelled,
            lesson.unlabelled,
            config.training,
            classes=len(config.organs),
            modality_dropout=config.network.modality_dropout,
            seed=self.seed,
            team=team,
        )
        # bfloat16 has the range of 32 bits and needs no loss scaling
        self.amp = config.training.mixed_precision and device.type == "cuda" and torch.cuda.is_bf16_supported()
        self.purpose = lesson.fingerprint()
        self.step = 0
        self.seconds = 0.0
        self.history: list[dict[str, float]] = []
        self.running: dict[str, float] = {}

    def _go_on_from(self, initial: VQBEGAL) -> None:
        """Take the weights of a network.

        Raises:
            InputError: settings changed since it was trained, and it has other weights.
        """
        try:
            self.model.load_state_dict(initial.state_dict())
        except RuntimeError:
            raise InputError(
                "The last round's network has other weights than the settings ask for.",
                "Set warm_start to false, or set back the settings of the network that were changed.",
            ) from None

    def run(self, reporter: Reporter, checkpoint: Path | None) -> None:
        """Do the remaining steps, as far as process 0 goes.

        Args:
            reporter: receives progress; looked at for a request to cancel after each step.
            checkpoint: where process 0 keeps the state from time to time.

        Raises:
            OutOfMemoryError: the device has too little memory.
            StorageError: the disk is full or refuses.
            CancelledError: a person asked to stop; the checkpoint holds the state.
            LostProcessError: another process of the team ended; the last checkpoint stays.
        """
        try:
            self._run(reporter, checkpoint)
        except (CancelledError, StorageError):  # they come between two steps only, and to process 0 alone
            if self.step < self.config.training.steps:
                self.team.goes_on(False)
            raise
        except torch.cuda.OutOfMemoryError:
            size, batch_size = self.config.slices.size, self.config.training.batch_size
            raise OutOfMemoryError(
                f"The {self.device.type} device has too little memory for a batch of {batch_size} slices "
                f"of {size} × {size} pixels.",
                "Lower batch_size, choose a smaller preset, or use --device cpu.",
            ) from None

    def _run(self, reporter: Reporter, checkpoint: Path | None) -> None:
        total = self.config.training.steps
        saved = reporter.clock()
        with reporter.stage("train", total, done=self.step) as stage:
            while self.step < total and self.team.goes_on():
                started = reporter.clock()
                figures = self._advance(total)
                now = reporter.clock()
                self.seconds += now - started
                if checkpoint is not None and now - saved >= self.config.training.checkpoint_seconds:
                    self.store(checkpoint)
                    saved = now
                try:
                    stage.advance(1, **figures)
                except CancelledError:
                    if checkpoint is not None:
                        self.store(checkpoint)
                    raise

    def _advance(self, total: int) -> dict[str, float]:
        """Do one step; return the means logged at a history point, else nothing."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.training.learning_rate * rate_at(self.step, total)
        batch = self.batches.draw(self.step, self.device)
        generator = torch.Generator().manual_seed(
            int(np.random.SeedSequence((*self.seed, self.step)).generate_state(1)[0])
        )
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.amp):
            loss = step_loss(self.model, batch, self.config, progress=self.step / total, generator=generator)
        loss.total.backward()  # type: ignore[no-untyped-call]
        self.team.add_gradients(self.weights)
        torch.nn.utils.clip_grad_norm_(self.weights, 10.0)
        self.optimizer.step()
        self.step += 1
        for name, value in loss.terms.items():
            self.running[name] = self.running.get(name, 0.0) + float(value)
        every = max(1, total // HISTORY)
        if self.step % every and self.step != total:
            return {}
        count = every if self.step % every == 0 else self.step % every
        means = {name: value / count for name, value in self.running.items()}
        self.running = {}
        self.history.append({"step": self.step, **means})
        return means

    def store(self, path: Path) -> None:
        """Write everything that the next step depends on."""
        tensors, texts = self.state()
        save_tensors(path, tensors, **texts)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return everything that the next step depends on, tensors on the CPU."""
        tensors = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        for index, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": tensor for name, tensor in state.items()}
        texts = {
            "purpose": self.purpose,
            "step": self.step,
            "seconds": self.seconds,
            "history": self.history,
            "running": self.running,
        }
        return {name: tensor.detach().cpu() for name, tensor in tensors.items()}, texts

    def restore(self, path: Path, reporter: Reporter) -> None:
        """Go on from a stored state; one that is damaged, or of other labels, settings or program, is left unused."""
        try:
            tensors, texts = load_tensors(path)
        except StudyError as error:
            reporter.warn(f"{error.problem} The round is trained from its beginning.")
            return
        if texts.get("purpose") != self.purpose:
            reporter.message(
                "Labels, settings or the program changed since the checkpoint; the round is trained from its beginning."
            )
            return
        self.load(tensors, texts)

    def load(self, tensors: dict[str, Tensor], texts: dict[str, Any]) -> None:
        """Go on from what :meth:`state` returned."""
        self.model.load_state_dict(
            {name.removeprefix("model."): tensor for name, tensor in tensors.items() if name.startswith("model.")}
        )
        optimizer = self.optimizer.state_dict()
        for name, tensor in tensors.items():
            if name.startswith("optimizer."):
                _, index, key = name.split(".")
                optimizer["state"].setdefault(int(index), {})[key] = tensor
        self.optimizer.load_state_dict(optimizer)
        self.step, self.seconds = texts["step"], texts["seconds"]
        self.history, self.running = texts["history"], texts["running"]


def rate_at(step: int, total: int) -> float:
    """Return the share of the peak learning rate at a step: linear warm-up, then cosine decay to zero."""
    warm = max(1, round(WARM_UP * total))
    if step < warm:
        return (step + 1) / warm
    return (1 + math.cos(math.pi * (step - warm) / max(1, total - warm))) / 2
