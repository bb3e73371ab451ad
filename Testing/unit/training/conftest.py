"""What the tests of training share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch

from VQBEGALLib.config import Config, preset
from VQBEGALLib.network import VQBEGAL, build
from VQBEGALLib.training import Role
from VQBEGALLib.training.batches import Batch

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
        model = build(config.network, seed=0).train()
        batch = make_batch([Role.ALL] * 4, seed=50)
        learn = torch.ones(8, dtype=torch.bool)
        with torch.no_grad():
            model.encode_pairs(batch.primary, batch.auxiliary, learn=learn, generator=torch.Generator().manual_seed(0))
            model.decoder.null.normal_(generator=torch.Generator().manual_seed(1))  # zeros would hide weight decay
        return model

    return make
