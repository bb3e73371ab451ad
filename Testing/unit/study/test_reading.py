"""What the panel reads of a study: scores, predictions and their uncertainty, the log."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from VQBEGALLib.config import preset
from VQBEGALLib.errors import MissingDependencyError, StorageError, StudyError
from VQBEGALLib.study import Prediction, Study
from VQBEGALLib.study.cohort import gather
from VQBEGALLib.study.records import Round
from VQBEGALLib.volumes import read_volume
from VQBEGALLib.volumes.libraries import library

BITS = [index / 14 for index in range(14)]


@pytest.fixture(scope="module", autouse=True)
def no_waiting_for_the_disk() -> Iterator[None]:
    """These files need not outlive a power cut."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        yield


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, cohort: Path) -> Path:
    members = gather(cohort / "ct", cohort / "mr", split=cohort / "split.json")
    study = Study.create(tmp_path_factory.mktemp("template") / "study", preset("tiny"), members)
    for index in range(3):
        study.save_round(Round(index, "random", trained=index < 2))
    return study.folder


@pytest.fixture
def study(tmp_path: Path, template: Path) -> Study:
    return Study.open(shutil.copytree(template, tmp_path / "study"))


def put(study: Study, index: int, case: str) -> Prediction:
    return study.put_prediction(index, case, study.grid(case), BITS)


def test_the_newest_prediction_of_each_case_is_found(study):
    assert study.predictions() == {} and study.uncertainty("s0") == {}
    for index, case in ((0, "s0"), (0, "s1"), (1, "s0")):
        made = put(study, index, case)
        assert made.path == study.folder / "rounds" / f"{index:03d}" / "predictions" / f"{case}.nii.gz"
    assert {case: found.round for case, found in study.predictions().items()} == {"s0": 1, "s1": 0}
    labelmap = read_volume(study.predictions()["s1"].path)
    assert labelmap.same_grid(study.grid("s1")) and labelmap.voxels.dtype == np.uint8
    assert study.uncertainty("s1") == dict(enumerate(BITS))
    assert study.check() == []


def test_what_is_no_prediction_of_a_case_is_passed_over(study):
    path = put(study, 0, "s0").path
    for name in ("stranger.nii.gz", ".tmp-1-s1.nii.gz", "s1.csv", "s1.nii"):
        shutil.copy(path, path.with_name(name))
    assert study.predictions() == {"s0": Prediction(0, path)}


def test_a_round_loses_its_predictions_at_once_and_only_its_own(study):
    put(study, 0, "s0")
    put(study, 1, "s0")
    study.drop_predictions(1)
    study.drop_predictions(2)
    assert study.predictions()["s0"].round == 0
    assert study.check() == []


def test_other_settings_of_inference_void_the_newest_predictions(study):
    put(study, 0, "s0")
    put(study, 1, "s0")
    study.configure({"total_budget": 5})
    assert study.predictions()["s0"].round == 1
    study.configure({"threshold": 0.4})
    assert study.predictions()["s0"].round == 0


def test_a_full_disk_leaves_no_part_of_a_prediction(tiny_disk, cohort):
    only = [member for member in gather(cohort / "ct", split=cohort / "split.json") if member.name == "s0"]
    study = Study.create(tiny_disk / "s", preset("tiny"), only)
    study.save_round(Round(0, "random", trained=True))
    noise = study.grid("s0").with_voxels(np.random.default_rng(0).integers(0, 2, study.grid("s0").shape, np.uint8))
    with study.writing("fill"):
        with (tiny_disk / "filler").open("wb", buffering=0) as filler, pytest.raises(OSError, match="No space"):
            while True:
                filler.write(bytes(4096))
        with pytest.raises(StorageError, match="full"):
            study.put_prediction(0, "s0", noise, BITS)
    assert study.predictions() == {} and study.uncertainty("s0") == {}


def test_scores_come_by_case_and_slice(study):
    table = "case,slice,partner,partner_slice,score,role\ns1,4,s0,2,0.25,decoder\ns0,3,,,1e-3,\ns1,0,s1,1,0.5,\n"
    (study.folder / "rounds" / "001" / "scores.csv").write_text(table, encoding="utf-8")
    assert study.scores(1) == {"s1": {4: 0.25, 0: 0.5}, "s0": {3: 0.001}}
    assert study.scores(0) == {} == study.scores(7)


@pytest.mark.parametrize(
    "rows", ["1,x\n", "-1,1\n", "1,nan\n", "1\n", '"1', "\xff\n", "9" * 5000 + ",1\n"], ids=lambda rows: rows[:8]
)
def test_a_damaged_table_is_told_in_a_sentence(study, rows):
    (study.folder / "rounds" / "001" / "scores.csv").write_text(f"slice,score\n{rows}", encoding="latin-1")
    with pytest.raises(StudyError, match=r"scores.csv cannot be read"):
        study.scores(1)
    table = put(study, 1, "s0").path.with_name("s0.csv")
    table.write_text(f"slice,uncertainty\n{rows}", encoding="latin-1")
    with pytest.raises(StudyError, match=r"s0.csv cannot be read"):
        study.uncertainty("s0")


def test_the_log_is_read_by_kind_and_past_a_torn_line(study):
    study.log({"event": "selected", "round": 0})
    with (study.folder / "log.jsonl").open("ab") as stream:
        stream.write(b'{"event": "tr')
    assert [event["event"] for event in study.events()] == ["created", "selected"]
    study.log({"event": "trained", "round": 0})
    assert [event["round"] for event in study.events("trained")] == [0]
    assert study.events("nothing") == []


def test_a_library_that_is_missing_is_named_with_what_needs_it():
    with pytest.raises(MissingDependencyError, match="no_such_library, which writing to a study needs"):
        library("no_such_library", needed_by="writing to a study")
