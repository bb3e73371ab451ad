"""Every setting of network and training has an effect; a new setting has to be entered here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch

from VQBEGALLib.config import Config, NetworkSettings, TrainingSettings
from VQBEGALLib.events import Reporter
from VQBEGALLib.training import train

BASE = {"steps": 3, "codebook_update": "gradient"}  # with ema weight_vq has nothing to weigh

CHANGES: dict[str, object] = {
    "base_channels": 8,
    "stages": 2,
    "quantize": False,
    "codes": 32,
    "code_dim": 4,
    "codebook_update": "ema",
    "revive_after": 1.0,
    "encoder_sharing": "none",
    "discriminator_input": "ordered_pair",
    "discriminator_gradient": "cooperative",
    "modality_dropout": 0.0,
    "dropout": 0.5,
    "steps": 4,
    "batch_size": 3,
    "unlabelled_per_step": 0,
    "learning_rate": 1e-3,
    "weight_decay": 0.1,
    "weight_seg": 1.0,
    "weight_vq": 5.0,
    "weight_disc": 5.0,
    "weight_commit": 5.0,
    "supervise": "both",
    "augmentation": 0.5,
}
"""A value of each setting that a training of three steps has to feel."""

UNIT = Path(__file__).parents[1]
ELSEWHERE = {
    "architecture": "related/test_methods.py",
    "ema_decay": "network/test_quantizer.py",
    "routing": "training/test_routing.py",
    "roles": "selection/test_vq_begal.py",
    "warm_start": "training/test_loop.py",
    "checkpoint_seconds": "training/test_loop.py",
    "mixed_precision": "training/test_switches.py",
}
"""Settings that need more than that, and the file that tests them."""


def trained(cohort: Any, changes: dict[str, object]) -> dict[str, torch.Tensor]:
    config: Config = cohort.config.replace({**BASE, **changes})
    found = train(
        cohort.examples,
        cohort.rest,
        cohort.reader,
        config,
        round_index=0,
        device=torch.device("cpu"),
        reporter=Reporter(),
    )
    return found.model.state_dict()


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_every_setting_is_tested() -> None:
    names = {item.name for section in (NetworkSettings, TrainingSettings) for item in fields(section)}
    assert names == set(CHANGES) | set(ELSEWHERE)
    assert all((UNIT / path).is_file() for path in ELSEWHERE.values())


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_felt(tiny_cohort: Callable[..., Any], name: str) -> None:
    cohort = tiny_cohort()
    assert cohort.config.replace(BASE) != cohort.config.replace({**BASE, name: CHANGES[name]})
    assert not same(trained(cohort, {}), trained(cohort, {name: CHANGES[name]}))


def test_the_decay_of_the_moving_average_is_felt(tiny_cohort: Callable[..., Any]) -> None:
    cohort = tiny_cohort()
    ema = {"codebook_update": "ema"}
    assert not same(trained(cohort, ema), trained(cohort, {**ema, "ema_decay": 0.5}))


def test_a_cpu_always_computes_in_32_bits(tiny_cohort: Callable[..., Any]) -> None:
    cohort = tiny_cohort()
    assert same(trained(cohort, {"mixed_precision": True}), trained(cohort, {"mixed_precision": False}))
