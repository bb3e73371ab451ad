"""What the tests of training share."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from VQBEGALLib.config import Config, preset
from VQBEGALLib.events import Reporter
from VQBEGALLib.network import VQBEGAL, build_network
from VQBEGALLib.training import Role, Trained, distributed, train
from VQBEGALLib.training.batches import Batch
from VQBEGALLib.training.distributed import ONE, Ranks, Team, joined

SMALL = {"size": 32, "base_channels": 4, "stages": 3, "codes": 16, "code_dim": 8}


@pytest.fixture
def small() -> Callable[..., Config]:
    """Makes settings of a tiny network; keyword arguments change them."""
    return lambda **changes: preset("small", {**SMALL, **changes})


@pytest.fixture
def make_batch() -> Callable[..., Batch]:
    """Makes a batch of random slices with the given roles and unlabelled pairs; keyword arguments replace fields."""

    def make(roles: Sequence[Role], unlabelled: int = 0, *, seed: int = 0, **fields: torch.Tensor) -> Batch:
        generator = torch.Generator().manual_seed(seed)
        count, labelled = len(roles) + unlabelled, len(roles)
        images = torch.rand(2, count, 1, 32, 32, generator=generator)
        masks = (torch.rand(2, labelled, 1, 32, 32, generator=generator) < 0.3).float()
        batch = Batch(
            primary=images[0],
            auxiliary=images[1],
            present=torch.ones(count, dtype=torch.bool),
            aligned=torch.zeros(count, dtype=torch.bool),
            masks=masks[0],
            auxiliary_masks=masks[1],
            auxiliary_labelled=torch.ones(labelled, dtype=torch.bool),
            roles=torch.tensor([int(role) for role in roles]),
            dropped=torch.zeros(labelled, dtype=torch.bool),
            swap=torch.zeros(count, dtype=torch.bool),
        )
        return replace(batch, **fields)

    return make


@pytest.fixture
def started(make_batch: Callable[..., Batch]) -> Callable[[Config], VQBEGAL]:
    """Makes a network in training mode whose codebook has seen its first batch."""

    def make(config: Config) -> VQBEGAL:
        model = build_network(config, seed=0).train()
        batch = make_batch([Role.ALL] * 4, seed=50)
        learn = torch.ones(8, dtype=torch.bool)
        with torch.no_grad():
            model.encode_pairs(batch.primary, batch.auxiliary, learn=learn, generator=torch.Generator().manual_seed(0))
            model.decoder.null.normal_(generator=torch.Generator().manual_seed(1))  # zeros would hide weight decay
        return model

    return make


EPSILON = 1e-3
"""AdamW divides each gradient by its own size plus this. Its usual 1e-8 turns the rounding of a gradient near zero into
a full step, in a single process too; with this value steps differ as little as gradients do."""

OTHER = f"""
import functools, sys, torch
torch.optim.AdamW = functools.partial(torch.optim.AdamW, eps={EPSILON})
from VQBEGALLib.cli import main
sys.exit(main(["train", "nowhere", "--threads", "1"]))
"""


@dataclass
class Pair:
    """This process as number 0, and number 1: the command line, which learns from number 0 what to train."""

    team: Ranks
    other: subprocess.Popen[str]

    def train(self, cohort: Any, **options: Any) -> Trained:
        """Train in both."""
        return self._train(self.team, cohort, **options)

    def alone(self, cohort: Any, **options: Any) -> Trained:
        """Train in this process only: the reference."""
        return self._train(ONE, cohort, **options)

    def _train(self, team: Team, cohort: Any, **options: Any) -> Trained:
        given = {"round_index": 0, "device": torch.device("cpu"), "reporter": Reporter(), **options}
        examples, rest = given.pop("examples", cohort.examples), given.pop("rest", cohort.rest)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(distributed, "_team", team)
            patch.setattr(torch.optim, "AdamW", partial(torch.optim.AdamW, eps=EPSILON))
            return train(examples, rest, cohort.reader, cohort.config, **given)


@contextmanager
def _two_processes() -> Iterator[Pair]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    root, threads = str(Path(__file__).parents[3]), torch.get_num_threads()
    other = subprocess.Popen(
        [sys.executable, "-c", OTHER],
        env={**os.environ, **place, "RANK": "1", "PYTHONPATH": root, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in {**place, "RANK": "0"}.items():
                patch.setenv(name, value)
            with joined("cpu", threads=1) as team:
                yield Pair(team, other)
    finally:
        other.kill()
        other.communicate()
        torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def two_processes() -> Callable[[], AbstractContextManager[Pair]]:
    """Makes this process one of two while the context lasts."""
    return _two_processes
