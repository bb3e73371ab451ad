"""A network that has learnt the small phantoms, for all that evaluates one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from VQBEGALLib.config import Config, preset
from VQBEGALLib.events import Reporter
from VQBEGALLib.network import VQBEGAL
from VQBEGALLib.rounds import Material, Oracle, load_round, run
from VQBEGALLib.study import Study
from VQBEGALLib.study.cohort import gather

LEARNING: dict[str, object] = {
    "size": 32,
    "base_channels": 4,
    "stages": 3,
    "codes": 16,
    "code_dim": 8,
    "steps": 140,
    "batch_size": 8,
    "unlabelled_per_step": 2,
    "learning_rate": 5e-2,
    "augmentation": 0.0,
    "seed_budget": 28,
    "plateau_rounds": 0,
}
"""Enough for a Dice of 0.7 or more, in seconds."""


@dataclass(frozen=True)
class Trained:
    """A trained round and what it was trained on; two patients with both images to validate, none to test."""

    material: Material
    model: VQBEGAL
    config: Config


@pytest.fixture(scope="session")
def trained(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Trained on all slices of s0 and s1, to be evaluated on s2 and s3; shared, so leave it as it is."""
    folder = tmp_path_factory.mktemp("trained")
    split = folder / "split.json"
    split.write_text(json.dumps({"train": ["s0", "s1"], "validation": ["s2", "s3"], "test": []}), encoding="utf-8")
    labels = {"primary_labels": cohort / "ct_liver", "auxiliary_labels": cohort / "mr_liver"}
    members = gather(cohort / "ct", cohort / "mr", split=split, **labels)
    study = Study.create(folder / "study", preset("small", LEARNING), members)
    run(study, strategy_name="random", rounds=1, oracle=Oracle(), device=torch.device("cpu"), reporter=Reporter())
    return Trained(Material(study, Reporter()), load_round(study, 0)[0], study.config)
