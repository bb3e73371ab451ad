"""A CIML study whose organs are shared out between the modalities, on registered volumes of each patient."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from VQBEGALLib.config import preset
from VQBEGALLib.errors import InputError
from VQBEGALLib.events import Reporter
from VQBEGALLib.inference import predict
from VQBEGALLib.methods import CIMLSettings
from VQBEGALLib.rounds import Material, Oracle, run
from VQBEGALLib.rounds.evaluation import probabilities_of
from VQBEGALLib.rounds.steps import load_round
from VQBEGALLib.study import Study
from VQBEGALLib.study.membership import NewSubject
from VQBEGALLib.volumes import Volume, write_volume
from VQBEGALLib.volumes.phantom import make_subject

CPU = torch.device("cpu")
QUIET = Reporter()
TASKS = {"method": "ciml", "organ": "liver, spleen", "primary_tasks": "liver", "auxiliary_tasks": "spleen"}
Make = Callable[..., Study]


@pytest.fixture
def make_study(tmp_path: Path, study_settings: dict[str, object]) -> Make:
    """Makes studies of two phantoms, one to train and one to validate."""

    def create(*, registered: bool, **changes: object) -> Study:
        members = []
        for number, split in enumerate(("train", "validation")):
            made = make_subject(number, ct_size=40, ct_slices=12, mr_size=40, mr_slices=10, organs=("liver", "spleen"))
            inverted = Volume(300 - np.clip(made.ct.voxels, -100, 300), made.ct.affine)  # another contrast of one scan
            mr = inverted if registered else made.mr
            files = [tmp_path / f"{kind}{number}.nii.gz" for kind in ("ct", "mr", "labels")]
            for path, volume in zip(files, (made.ct, mr, made.ct_labels), strict=True):
                write_volume(path, volume)
            members.append(NewSubject(f"s{number}", f"s{number}", split, *files))
        return Study.create(tmp_path / "study", preset("small", {**study_settings, **TASKS, **changes}), members)

    return create


def train(study: Study) -> None:
    run(study, strategy_name="random", rounds=1, oracle=Oracle(), device=CPU, reporter=QUIET)


def test_the_auxiliary_lends_its_organ_where_volumes_are_registered(make_study: Make) -> None:
    study = make_study(registered=True)
    train(study)
    model, _ = load_round(study, 0)
    with torch.no_grad():  # the auxiliary's segmentor sees spleen everywhere, the primary's hardly any liver
        model.decoder_m.head.bias[1] = 50.0
        model.decoder.head.bias[0] = -5.0
    material = Material(study, QUIET)
    own, none = (
        np.stack(list(probabilities_of(material, model, "s1", given, device=CPU, reporter=QUIET)))
        for given in ("own", "none")
    )
    assert (own[:, 1] > 0.5).all()
    assert (none[:, 1] < 1e-6).all()
    primary, auxiliary = study.volume("s1"), study.volume("s1", "auxiliary")
    moved = Volume(auxiliary.voxels, auxiliary.affine @ np.diag((1.0, 1.0, 1.1, 1.0)))
    found, strange = (
        predict(model, study.config, primary, partner, device=CPU, reporter=QUIET) for partner in (auxiliary, moved)
    )
    assert (found.voxels == 2).mean() > 0.9
    assert not (strange.voxels == 2).any()
    config = study.config
    never = dataclasses.replace(config, slices=dataclasses.replace(config.slices, registered="no"), ciml=CIMLSettings())
    alone = predict(model, never, primary, auxiliary, device=CPU, reporter=QUIET)
    assert not (alone.voxels == 2).any()


def test_volumes_that_are_not_registered_are_refused_before_anybody_annotates(make_study: Make) -> None:
    study = make_study(registered=False)
    with pytest.raises(InputError, match="primary_tasks leaves spleen to the MR"):
        train(study)
    assert not study.rounds()
