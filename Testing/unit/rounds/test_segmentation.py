"""Predictions of a study's cases: by the newest network, whole or not there, made once."""

from __future__ import annotations

import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from VQBEGALLib.config import preset
from VQBEGALLib.errors import CancelledError, InputError, StudyError
from VQBEGALLib.events import Reporter
from VQBEGALLib.rounds import Material, Oracle, run, segment_cases, train_round
from VQBEGALLib.rounds import segmentation as module
from VQBEGALLib.rounds.evaluation import segment_case
from VQBEGALLib.rounds.steps import load_round
from VQBEGALLib.study import Prediction, Study
from VQBEGALLib.study.cohort import gather
from VQBEGALLib.volumes import read_volume

CPU = torch.device("cpu")
QUIET = Reporter()


@pytest.fixture
def study(make) -> Study:
    """Two rounds are trained."""
    study = make()
    run(study, strategy_name="random", rounds=2, oracle=Oracle(), device=CPU, reporter=QUIET)
    return study


def segment(study: Study, *cases: str, reporter: Reporter = QUIET) -> list[Prediction]:
    with study.writing("segment"):
        return segment_cases(Material(study, QUIET), cases, device=CPU, reporter=reporter)


def test_cases_are_segmented_by_the_newest_network_on_their_own_grid(study):
    made = segment(study, "s2", "s0", "s2")
    assert [(item.round, item.path.name) for item in made] == [(1, "s2.nii.gz"), (1, "s0.nii.gz")]
    assert study.predictions() == {"s0": made[1], "s2": made[0]}
    expected = segment_case(
        Material(study, QUIET), load_round(study, 1)[0], study.config, "s2", "own", device=CPU, reporter=QUIET
    )
    labelmap = read_volume(made[0].path)
    assert labelmap.same_grid(study.grid("s2")) and np.array_equal(labelmap.voxels, expected.voxels)
    bits = study.uncertainty("s2")
    assert list(bits) == list(range(14)) and all(0 <= value <= 1 for value in bits.values()) and max(bits.values()) > 0


def test_the_probabilities_of_a_case_are_never_kept_together(study, monkeypatch):
    alive, most = [], []

    def probabilities(*words, **more):
        for image in found(*words, **more):
            kept = image.copy()
            alive.append(weakref.ref(kept))
            del image
            yield kept
            most.append(sum(each() is not None for each in alive))

    found = module.probabilities_of
    monkeypatch.setattr(module, "probabilities_of", probabilities)
    segment(study, "s2")
    assert len(most) == 14 and max(most) <= 2


def test_what_a_network_has_segmented_is_passed_over_until_it_changes(study):
    before = segment(study, "s0")[0].path.stat().st_mtime_ns
    told = []
    assert segment(study, "s0", reporter=Reporter(told.append))[0].path.stat().st_mtime_ns == before
    assert told == []
    with study.writing("train"):
        train_round(Material(study, QUIET), device=CPU, reporter=QUIET)
    assert study.predictions() == {}
    assert segment(study, "s0")[0].path.stat().st_mtime_ns != before


def test_a_case_without_auxiliary_is_segmented_alone(cohort, tmp_path, study_settings):
    members = gather(cohort / "ct", cohort / "mr", primary_labels=cohort / "ct_liver", split=cohort / "split.json")
    members = [replace(member, auxiliary=None) if member.name == "s2" else member for member in members]
    study = Study.create(tmp_path / "study", preset("small", study_settings), members)
    run(study, strategy_name="random", rounds=1, oracle=Oracle(), device=CPU, reporter=QUIET)
    alone = segment_case(
        Material(study, QUIET), load_round(study, 0)[0], study.config, "s2", "none", device=CPU, reporter=QUIET
    )
    assert np.array_equal(read_volume(segment(study, "s2")[0].path).voxels, alone.voxels)


def test_cancelling_leaves_whole_predictions_only(study, tmp_path, monkeypatch):
    stop, calls = tmp_path / "stop", []

    def probabilities(*words, **more):
        calls.append(words[2])
        if len(calls) == 2:
            stop.touch()
        return found(*words, **more)

    found = module.probabilities_of
    monkeypatch.setattr(module, "probabilities_of", probabilities)
    with pytest.raises(CancelledError):
        segment(study, "s0", "s1", "s2", reporter=Reporter(cancel_file=stop))
    assert set(study.predictions()) == {"s0"} and calls == ["s0", "s1"]
    stop.unlink()
    segment(study, "s0", "s1", "s2", reporter=Reporter(cancel_file=stop))
    assert set(study.predictions()) == {"s0", "s1", "s2"} and calls == ["s0", "s1", "s1", "s2"]
    assert study.check() == []


def test_what_cannot_be_segmented_is_told_before_anything_is_written(study, make, tmp_path: Path):
    with pytest.raises(InputError, match="no subject 'nobody'"):
        segment(study, "s0", "nobody")
    assert study.predictions() == {}
    with pytest.raises(StudyError, match="No round"):
        segment(make("untrained"), "s0")
