"""A batch and a network of every related method, tiny."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from VQBEGALLib import related  # noqa: F401 – enters the architectures
from VQBEGALLib.config import Config, preset
from VQBEGALLib.network import VQBEGAL, build_network
from VQBEGALLib.training import Role
from VQBEGALLib.training.batches import Batch

SMALL = {"size": 32, "base_channels": 4, "stages": 3, "codes": 16, "code_dim": 8}
METHODS = ("cmc", "ciml", "cmems")


@pytest.fixture
def settings() -> Callable[..., Config]:
    """Makes settings of a tiny network of a method; keyword arguments change them."""
    return lambda method, **changes: preset("small", {**SMALL, "method": method, **changes})


@pytest.fixture
def make_batch() -> Callable[..., Batch]:
    """Makes a batch of random slices: labelled pairs, then unlabelled ones; keyword arguments replace fields."""

    def make(labelled: int = 2, unlabelled: int = 2, *, classes: int = 1, seed: int = 0, **fields: object) -> Batch:
        generator = torch.Generator().manual_seed(seed)
        count = labelled + unlabelled
        images = torch.rand(2, count, 1, 32, 32, generator=generator)
        masks = (torch.rand(2, labelled, classes, 32, 32, generator=generator) < 0.3).float()
        batch = Batch(
            primary=images[0],
            auxiliary=images[1],
            present=torch.ones(count, dtype=torch.bool),
            aligned=torch.zeros(count, dtype=torch.bool),
            masks=masks[0],
            auxiliary_masks=masks[1],
            auxiliary_labelled=torch.ones(labelled, dtype=torch.bool),
            roles=torch.full((labelled,), int(Role.ALL)),
            dropped=torch.zeros(labelled, dtype=torch.bool),
            swap=torch.zeros(count, dtype=torch.bool),
        )
        return replace(batch, **fields)  # type: ignore[arg-type]

    return make


@pytest.fixture
def network() -> Callable[..., VQBEGAL]:
    """Makes the network of a configuration, in evaluation mode."""
    return lambda config, seed=0: build_network(config, seed=seed).eval()
