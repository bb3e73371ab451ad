"""A study keeps what it was given, refuses what does not fit, and says so when somebody has edited it."""

from __future__ import annotations

import copy
import dataclasses
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st

from VQBEGALLib.config import Config, preset
from VQBEGALLib.errors import (
    CancelledError,
    InputError,
    StorageError,
    StudyError,
    StudyLockedError,
    VQBEGALError,
)
from VQBEGALLib.events import Reporter
from VQBEGALLib.storage import read_lines
from VQBEGALLib.study import Study, studyfile
from VQBEGALLib.study.checking import check_study
from VQBEGALLib.study.cohort import NewSubject, gather
from VQBEGALLib.study.records import Request, Round
from VQBEGALLib.volumes import Volume, read_volume, write_volume

SHAPE = (5, 6, 7)
AFFINE = np.array([[0.0, 0, 5, 1], [2, 0, 0, 2], [0, 3, 0, 3], [0, 0, 0, 1]])
AXIS = 1
"""Of (K, J, I): what AFFINE makes the body axis, so that a slice's place is never taken for K by accident."""


@pytest.fixture(scope="module", autouse=True)
def no_waiting_for_the_disk() -> Iterator[None]:
    """These files need not outlive a power cut."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        yield


def image(seed: int, shape: tuple[int, int, int] = SHAPE) -> Volume:
    return Volume(np.random.default_rng(seed).integers(-1000, 1000, shape, dtype=np.int16), AFFINE)


def mask(seed: int = 0, value: int = 1) -> Volume:
    return Volume((np.random.default_rng(seed).random(SHAPE) < 0.4).astype(np.uint8) * np.uint8(value), AFFINE)


def files(source: Path) -> list[NewSubject]:
    """Two primaries for training (one with an auxiliary), one for testing, one lone auxiliary."""
    source.mkdir()
    volumes = {"a.nii.gz": image(1), "b.nrrd": image(2), "c.mha": image(3), "a_mr.nii": image(4, (4, 6, 7))}
    for name, volume in {**volumes, "m.nii.gz": image(5), "a_ref.nrrd": mask(1, 255), "m_ref.nii.gz": mask(2)}.items():
        write_volume(source / name, volume)
    return [
        NewSubject("a", "P1", "train", source / "a.nii.gz", source / "a_mr.nii", source / "a_ref.nrrd"),
        NewSubject("b", "P1", "train", source / "b.nrrd"),
        NewSubject("c", "P2", "test", source / "c.mha"),
        NewSubject("m", "P3", "train", None, source / "m.nii.gz", None, source / "m_ref.nii.gz"),
    ]


@pytest.fixture
def cohort(tmp_path: Path) -> list[NewSubject]:
    return files(tmp_path / "source")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    return Study.create(folder / "study", preset("tiny", {"total_budget": 10}), files(folder / "source")).folder


@pytest.fixture
def study(tmp_path: Path, template: Path) -> Study:
    """A study of its own for each test."""
    return Study.open(shutil.copytree(template, tmp_path / "study"))


def errors(study: Study) -> list[str]:
    return [finding.text for finding in study.check() if finding.level == "error"]


def leftovers(study: Study) -> list[str]:
    return [finding.text for finding in study.check() if finding.level == "harmless"]


def fill(disk: Path) -> None:
    with suppress(OSError), (disk / "filler").open("ab", buffering=0) as filler:
        while filler.write(bytes(4096)):
            pass


def edit(path: Path, change) -> None:
    data = json.loads(path.read_text(encoding="utf-8"))
    change(data)
    path.write_text(json.dumps(data), encoding="utf-8")


def test_a_new_study_holds_what_it_was_given(study, cohort):
    assert study.check() == []
    assert study.config == preset("tiny", {"total_budget": 10})
    assert [case.name for case in study.cases()] == ["a", "b", "c"]
    assert [case.name for case in study.cases("test")] == ["c"]
    assert [case.name for case in study.auxiliaries("train")] == ["a", "m"]
    for name, seed in (("a", 1), ("b", 2), ("c", 3)):
        assert np.array_equal(study.volume(name).voxels, image(seed).voxels)
        assert np.allclose(study.volume(name).affine, AFFINE)
    assert study.volume("a", "auxiliary").shape == (4, 6, 7)
    assert study.reference("a").voxels.dtype == np.uint8
    assert np.array_equal(study.reference("a").voxels, mask(1).voxels)
    assert np.array_equal(study.reference("m", "auxiliary").voxels, mask(2).voxels)
    assert study.reference("b") is None
    assert study.labels("a") is None
    assert study.rounds() == []
    assert study.image_path("b").name == "primary.nrrd"
    assert study.image_path("b").read_bytes() == cohort[1].primary.read_bytes()


def test_paths_in_the_study_are_relative_so_it_can_be_moved(study, tmp_path):
    study.put_labels("a", mask(), [2], round=0, axis=AXIS)
    assert str(tmp_path) not in (study.folder / "study.json").read_text(encoding="utf-8")
    moved = tmp_path / "otro sitio ü"
    study.folder.rename(moved)
    assert Study.open(moved).check() == []


def test_progress_counts_volumes(tmp_path, cohort):
    events = []
    Study.create(tmp_path / "s", preset("tiny"), cohort, reporter=Reporter(events.append))
    assert events[0] == {"event": "stage", "stage": "import", "total": 5, "unit": "volume", "done": 0}
    assert events[-1]["done"] == 5


def test_a_cancelled_creation_leaves_nothing(tmp_path, cohort):
    flag = tmp_path / "cancel"

    def listen(event):
        if event["event"] == "stage":
            flag.touch()

    with pytest.raises(CancelledError):
        Study.create(tmp_path / "s", preset("tiny"), cohort, reporter=Reporter(listen, cancel_file=flag))
    assert {path.name for path in tmp_path.iterdir()} == {"source", "cancel"}


@pytest.mark.parametrize("empty", [True, False])
def test_a_folder_that_is_there_is_used_only_where_it_is_empty(tmp_path, cohort, empty):
    folder = tmp_path / "s"
    folder.mkdir()
    if empty:
        assert Study.create(folder, preset("tiny"), cohort).check() == []
        return
    (folder / "thesis.docx").touch()
    with pytest.raises(StudyError, match="not empty"):
        Study.create(folder, preset("tiny"), cohort)
    assert [path.name for path in folder.iterdir()] == ["thesis.docx"]


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("bad.nii.gz", b"not an image", "bad.nii.gz"),
        ("bad.nrrd", b"", "bad.nrrd"),
        ("bad.mha", None, "bad.mha"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_and_leaves_no_study(tmp_path, cohort, name, content, text):
    path = tmp_path / "source" / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        Study.create(tmp_path / "s", preset("tiny"), [*cohort, NewSubject("bad", "bad", "train", path)])
    assert text in caught.value.problem
    assert ".tmp-" not in str(caught.value)
    assert {item.name for item in tmp_path.iterdir()} == {"source"}


def test_references_must_be_one_structure_on_the_images_grid(tmp_path, cohort):
    two = mask(1).voxels + mask(2).voxels
    shifted = AFFINE.copy()
    shifted[0, 3] += 1
    for number, labels in enumerate((Volume(two, AFFINE), Volume(mask().voxels, shifted), image(1))):
        path = tmp_path / "source" / f"labels{number}.nii.gz"
        write_volume(path, labels)
        subject = NewSubject("x", "x", "train", cohort[0].primary, None, path)
        with pytest.raises(InputError) as caught:
            Study.create(tmp_path / "s", preset("tiny"), [subject])
        assert path.name in caught.value.problem
        assert not (tmp_path / "s").exists()


def test_a_cohort_without_training_or_with_a_torn_patient_is_refused(tmp_path, cohort):
    for subjects in ([cohort[2]], [cohort[3]], [cohort[0], NewSubject("d", "P1", "test", cohort[2].primary)]):
        with pytest.raises(InputError):
            Study.create(tmp_path / "s", preset("tiny"), subjects)
    assert not (tmp_path / "s").exists()


def test_detached_formats_become_one_file(tmp_path):
    folder = tmp_path / "ct"
    folder.mkdir()
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(image(1).voxels), str(folder / "a.mhd"))
    study = Study.create(tmp_path / "s", preset("tiny"), gather(folder))
    shutil.rmtree(folder)
    assert study.image_path("a").name == "primary.nii.gz"
    assert np.array_equal(study.volume("a").voxels, image(1).voxels)


def test_a_dicom_series_becomes_nifti_and_keeps_its_uids(tmp_path, shared_data):
    study = Study.create(tmp_path / "s", preset("tiny"), gather(shared_data / "ct_dicom"))
    record = study.subjects["ct_dicom"].primary
    assert record.path.endswith(".nii.gz")
    assert len(set(record.source["sop_instance_uids"])) == record.shape[0] == 20
    assert study.check() == []


def test_names_beyond_ascii_and_long_ones_work(tmp_path, cohort):
    folder = tmp_path / ("ß" * 60) / "Étude 肝臓"
    names = ["früh " + "肝" * 50, "x" * 180]
    subjects = [NewSubject(name, name, "train", cohort[0].primary) for name in names]
    study = Study.create(folder, preset("tiny"), subjects)
    for name in names:
        study.put_labels(name, mask(), [0], round=0, axis=AXIS)
    assert Study.open(folder).check() == []


def test_subjects_are_added_all_or_none(study, cohort, tmp_path):
    before = (study.folder / "study.json").read_bytes()
    bad = tmp_path / "bad.nii"
    bad.write_bytes(b"x")
    good = NewSubject("d", "P4", "validation", cohort[0].primary, None, cohort[0].primary_reference)
    for wrong in (
        NewSubject("A", "P5", "train", cohort[0].primary),
        NewSubject("e", "P1", "test", cohort[0].primary),
        NewSubject("e", "P5", "train", bad),
    ):
        with pytest.raises(InputError):
            study.add_subjects([good, wrong])
        assert (study.folder / "study.json").read_bytes() == before
        assert study.check() == []
    (study.folder / "cases" / "d").mkdir()
    (study.folder / "cases" / "d" / "of a killed import").touch()
    assert len(leftovers(study)) == 1
    study.add_subjects([good])
    assert Study.open(study.folder).subjects["d"].split == "validation"
    assert study.reference("d") is not None
    assert study.check() == []


def test_a_study_may_begin_without_subjects(tmp_path, cohort):
    study = Study.create(tmp_path / "s", preset("tiny"), [])
    assert study.subjects == {} and study.rounds() == [] and study.predictions() == {}
    assert study.check() == []
    with pytest.raises(InputError, match="none yet"):
        study.volume("a")
    study.add_subjects(cohort)
    assert len(Study.open(study.folder).cases("train")) == 2
    assert study.check() == []


def test_subjects_are_removed_with_all_that_was_made_of_them(study, cohort):
    study.save_round(Round(0, "random", trained=True))
    study.put_prediction(0, "c", study.grid("c"), [0.0])
    (study.folder / "cache").mkdir()
    for name in ("c.primary.0123456789abcdef.npy", "a.c.primary.0123456789abcdef.npy"):
        (study.folder / "cache" / name).touch()
    before = (study.folder / "study.json").read_bytes()
    with pytest.raises(InputError, match="nobody"):
        study.remove_subjects(["c", "nobody"])
    assert (study.folder / "study.json").read_bytes() == before and study.volume("c")
    study.remove_subjects(["c"])
    assert set(Study.open(study.folder).subjects) == {"a", "b", "m"}
    assert not (study.folder / "cases" / "c").exists() and study.predictions() == {}
    assert [path.name for path in (study.folder / "cache").iterdir()] == ["a.c.primary.0123456789abcdef.npy"]
    assert study.check() == []
    study.add_subjects([cohort[2]])
    assert study.predictions() == {}, "another case of the same name has no prediction yet"


def test_subjects_that_rounds_or_labels_rest_on_stay(study):
    study.save_round(Round(0, "random", (Request(0, "a", 1, "m", 2),)))
    study.put_labels("b", mask(), [0], round=0, axis=AXIS)
    reasons = {
        "a": "Round 0 asks for slices of 'a'.",
        "m": "Round 0 pairs slices with 'm'.",
        "b": "'b' has labels.",
        "c": "",
    }
    assert {name: study.in_use(name) for name in "ambc"} == reasons
    for name in "amb":
        for change in (
            lambda name=name: study.remove_subjects(["c", name]),
            lambda name=name: study.set_split(name, "test"),
        ):
            with pytest.raises(StudyError) as caught:
                change()
            assert caught.value.problem in reasons.values() and caught.value.remedy
    assert set(Study.open(study.folder).subjects) == {"a", "b", "c", "m"}


def test_a_patient_changes_its_split_as_a_whole(study):
    study.set_split("a", "validation")
    splits = {name: subject.split for name, subject in Study.open(study.folder).subjects.items()}
    assert splits == {"a": "validation", "b": "validation", "c": "test", "m": "train"}
    study.put_labels("b", mask(), [0], round=0, axis=AXIS)
    study.set_split("b", "validation")  # where it is already
    with pytest.raises(StudyError, match="'b' has labels"):
        study.set_split("a", "train")
    with pytest.raises(InputError, match="no split 'training'"):
        study.set_split("a", "training")


def test_only_the_named_slices_are_merged(study):
    study.put_labels("a", mask(1), [0, 3], round=0, roles={3: "decoder"}, axis=AXIS)
    study.put_labels("a", mask(2), [3, 5], round=1, roles={5: "encoder"}, axis=AXIS)
    labels = Study.open(study.folder).labels("a")
    expected = np.zeros(SHAPE, np.uint8)
    expected[:, 0] = mask(1).voxels[:, 0]
    expected[:, [3, 5]] = mask(2).voxels[:, [3, 5]]
    assert np.array_equal(labels.labelmap.voxels, expected)
    assert labels.axis == AXIS
    assert {index: (item.round, item.role) for index, item in labels.annotations.items()} == {
        0: (0, "all"),
        3: (1, "all"),
        5: (1, "encoder"),
    }
    assert labels.annotations[5].foreground_pixels == mask(2).voxels[:, 5].sum() > 0
    assert study.labels("a", "auxiliary") is None
    assert study.check() == []
    assert len(list((study.folder / "labels").glob("a.*.nii.gz"))) == 1


def test_an_empty_slice_is_an_annotation(study):
    study.put_labels("b", study.grid("b"), [4], round=0, axis=AXIS)
    assert study.labels("b").annotations[4].foreground_pixels == 0
    assert study.ledger()["slices"] == 1


def test_auxiliary_labels_are_kept_apart(study):
    study.put_labels("m", mask(), [1], round=0, which="auxiliary", axis=AXIS)
    study.put_labels("a", mask(), [1], round=0, axis=AXIS)
    assert study.labels("m", "auxiliary").annotations.keys() == {1}
    assert study.ledger()["slices"] == 1
    assert study.check() == []


def test_labels_of_cases_with_similar_names_do_not_touch(tmp_path, cohort):
    subjects = [NewSubject(name, name, "train", cohort[0].primary) for name in ("x", "x.1", "x.2", "auxiliary")]
    study = Study.create(tmp_path / "s", preset("tiny"), subjects)
    for _ in range(3):
        for subject in subjects:
            study.put_labels(subject.name, mask(), [0], round=0, axis=AXIS)
    assert study.check() == []
    assert study.ledger()["slices"] == 4


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"slices": [6]}, "no slice 6"),
        ({"slices": [-1]}, "no slice -1"),
        ({"labelmap": image(1)}, "0 and 1"),
        ({"labelmap": Volume(mask().voxels, np.eye(4))}, "grid"),
        ({"labelmap": Volume(np.zeros((1, 2, 3), np.uint8), AFFINE)}, "grid"),
        ({"axis": 0}, "axis 0"),
        ({"axis": 3}, "axis 3"),
        ({"roles": {2: "teacher"}}, "teacher"),
        ({"round": -1}, "round -1"),
        ({"name": "nobody"}, "nobody"),
        ({"name": "m"}, "no primary image"),
    ],
)
def test_labels_that_do_not_fit_are_refused_and_change_nothing(study, change, text):
    study.put_labels("a", mask(1), [0], round=0, axis=AXIS)
    arguments = {"name": "a", "labelmap": mask(), "slices": [2], "round": 1, "axis": AXIS} | change
    name, labelmap, slices = (arguments.pop(key) for key in ("name", "labelmap", "slices"))
    with pytest.raises(InputError) as caught:
        study.put_labels(name, labelmap, slices, **arguments)
    assert text in caught.value.problem
    assert study.labels("a").annotations.keys() == {0}
    assert study.check() == []


def test_labels_can_be_taken_back(study):
    study.put_labels("a", mask(), [0, 1], round=0, axis=AXIS)
    study.remove_labels("a", [1, 3])
    assert study.labels("a").annotations.keys() == {0}
    assert not study.labels("a").labelmap.voxels[:, 1].any()
    assert study.check() == []
    study.remove_labels("a", [0])
    assert study.labels("a") is None
    assert study.check() == []
    study.remove_labels("a", [0])


def test_rounds_come_back_and_requests_change_their_status(study):
    first = Round(0, "random", (Request(0, "a", 1, "m", 2, 0.5, "decoder"), Request(1, "b", 5)))
    study.save_round(first)
    study.save_round(Round(1, "vq_begal", trained=True, metrics={"dice": 0.5}, figures={"x": [1, None]}))
    study.set_status(0, [("b", 5)], "skipped")
    again = Study.open(study.folder).rounds()
    assert again[0].requests[0] == first.requests[0]
    assert again[0].requests[1].status == "skipped"
    assert again[1] == Round(1, "vq_begal", (), True, {"dice": 0.5}, {"x": [1, None]})
    assert study.round_folder(1) == study.folder / "rounds" / "001"
    assert study.check() == []
    with pytest.raises(StudyError, match="does not ask for slice 4"):
        study.set_status(0, [("b", 4)], "done")
    with pytest.raises(StudyError, match="no round 7"):
        study.set_status(7, [("b", 4)], "done")


@pytest.mark.parametrize(
    "round",
    [
        Round(1, "random"),
        Round(0, "random", (Request(0, "nobody", 0),)),
        Round(0, "random", (Request(0, "m", 0),)),
        Round(0, "random", (Request(0, "a", 6),)),
        Round(0, "random", (Request(0, "a", 1), Request(1, "a", 1))),
        Round(0, "random", (Request(0, "a", 1, "b", 1),)),
        Round(0, "random", (Request(0, "a", 1, "a", 6),)),
    ],
)
def test_rounds_that_do_not_fit_are_refused(study, round):
    with pytest.raises(StudyError):
        study.save_round(round)
    assert study.rounds() == []


def test_the_ledger_counts_slices_patients_and_pixels(study):
    study.put_labels("a", mask(1), [0, 1], round=0, axis=AXIS)
    study.put_labels("b", mask(2), [2], round=1, axis=AXIS)
    study.put_labels("c", mask(3), [3], round=1, axis=AXIS)
    ledger = study.ledger()
    pixels = int(mask(1).voxels[:, :2].sum()), int(mask(2).voxels[:, 2].sum()), int(mask(3).voxels[:, 3].sum())
    assert (ledger["slices"], ledger["patients"], ledger["foreground_pixels"]) == (4, 2, sum(pixels))
    assert ledger["splits"]["train"] == {"slices": 3, "patients": 1, "foreground_pixels": sum(pixels[:2])}
    assert ledger["rounds"]["1"] == {"slices": 2, "patients": 2, "foreground_pixels": sum(pixels[1:])}
    assert ledger["budget"] == {"total": 10, "used": 3, "left": 7}
    assert json.loads(json.dumps(ledger)) == ledger


def test_the_log_has_the_time(study):
    study.log({"event": "note", "text": "é"})
    lines = read_lines(study.folder / "log.jsonl")
    assert [line["event"] for line in lines] == ["created", "note"]
    assert lines[1]["time"].endswith("+00:00")


def test_writing_sees_what_another_has_written(study, cohort):
    other = Study.open(study.folder)
    study.add_subjects([NewSubject("d", "P4", "train", cohort[0].primary)])
    assert "d" not in other.subjects
    with other.writing("look"):
        assert "d" in other.subjects


def test_one_writer_at_a_time_and_several_changes_in_one_hold(study):
    other = Study.open(study.folder)
    with study.writing("label a and b"):
        study.put_labels("a", mask(), [0], round=0, axis=AXIS)
        study.save_round(Round(0, "random"))
        for call in (
            lambda: other.put_labels("b", mask(), [0], round=0, axis=AXIS),
            lambda: other.save_round(Round(1, "random")),
            lambda: study.writing("again").__enter__(),
        ):
            with pytest.raises(StudyLockedError, match="label a and b"):
                call()
        assert other.labels("a").annotations.keys() == {0}
    other.put_labels("b", mask(), [0], round=0, axis=AXIS)


def test_a_full_disk_leaves_the_study_as_it_was(tiny_disk, cohort):
    study = Study.create(tiny_disk / "s", preset("tiny"), cohort)
    study.put_labels("a", mask(1), [0], round=0, axis=AXIS)
    study.save_round(Round(0, "random"))
    with study.writing("fill the disk"):
        fill(tiny_disk)
        for call in (
            lambda: study.put_labels("a", mask(2), [1], round=1, axis=AXIS),
            lambda: study.save_round(Round(0, "random", trained=True, figures={"x": "y" * 9000})),
            lambda: study.add_subjects([NewSubject("d", "P4", "train", cohort[0].primary)]),
        ):
            with pytest.raises(StorageError, match="full"):
                call()
    fill(tiny_disk)
    with pytest.raises(StorageError, match="full"):
        study.writing("nothing").__enter__()
    with pytest.raises(StorageError, match="full"):
        Study.create(tiny_disk / "t", preset("tiny"), cohort)
    assert not (tiny_disk / "t").exists()
    study = Study.open(tiny_disk / "s")
    assert study.check() == []
    assert study.labels("a").annotations.keys() == {0}
    assert study.rounds() == [Round(0, "random")]
    (tiny_disk / "filler").unlink()
    study.put_labels("a", mask(2), [1], round=1, axis=AXIS)
    assert study.labels("a").annotations.keys() == {0, 1}


def test_check_finds_what_is_lost_or_changed(study):
    study.put_labels("a", mask(1), [0, 1], round=0, axis=AXIS)
    study.save_round(Round(0, "random", (Request(0, "a", 1),)))
    files = ["cases/a/primary.nii.gz", "cases/a/primary_reference.nii.gz", "labels/a.1.nii.gz"]
    for relative in files:
        path = study.folder / relative
        whole = path.read_bytes()
        other = study.folder / "cases/m/auxiliary.nii.gz"
        for content in (None, whole[:-9], other.read_bytes()):
            path.unlink() if content is None else path.write_bytes(content)
            assert relative in " ".join(errors(study))
            path.write_bytes(whole)
    assert study.check() == []
    edit(study.folder / "labels" / "a.json", lambda data: data["annotations"][0].update(foreground_pixels=99))
    assert "99" in errors(study)[0]


def test_check_tells_leftovers_from_errors(study):
    study.put_labels("a", mask(1), [0], round=0, axis=AXIS)
    for relative in (
        "labels/.tmp-1-a.json",
        "labels/a.7.nii.gz",
        "cases/a/x.nii",
        "rounds/000/.tmp-2",
        ".tmp-3/cases/y",
    ):
        (study.folder / relative).parent.mkdir(parents=True, exist_ok=True)
        (study.folder / relative).touch()
    assert errors(study) == []
    assert len(leftovers(study)) == 5
    study.put_labels("a", mask(1), [1], round=0, axis=AXIS)
    assert not (study.folder / "labels" / "a.7.nii.gz").exists()


def test_a_missing_or_misnumbered_round_is_an_error(study):
    for index in range(3):
        study.save_round(Round(index, "random"))
    shutil.rmtree(study.folder / "rounds" / "001")
    with pytest.raises(StudyError, match="round 1 is missing"):
        study.rounds()
    assert "round 1 is missing" in errors(study)[0]
    shutil.copytree(study.folder / "rounds" / "002", study.folder / "rounds" / "001")
    assert "says that it is round 2" in errors(study)[0]


def test_what_is_no_study_is_refused(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(StudyError, match="not a study"):
            Study.open(folder)


def test_a_study_from_a_newer_version_asks_for_an_update(study):
    edit(study.folder / "study.json", lambda data: data.update(schema=studyfile.SCHEMA + 1))
    with pytest.raises(StudyError, match=r"newer version.*Update"):
        Study.open(study.folder)
    assert "newer version" in errors(study)[0]


def test_a_study_from_an_older_version_is_migrated(study, monkeypatch):
    def second(data):
        return {**data, "subjects": list(data["subjects"])}

    now = studyfile.SCHEMA
    monkeypatch.setattr(studyfile, "SCHEMA", now + 2)
    monkeypatch.setattr(studyfile, "MIGRATIONS", {now: lambda data: {**data, "subjects": {"all": data["subjects"]}}})
    studyfile.MIGRATIONS[now + 1] = lambda data: {**data, "subjects": data["subjects"]["all"]}
    again = Study.open(study.folder)
    assert again.subjects == study.subjects
    again.add_subjects([])
    assert json.loads((study.folder / "study.json").read_text(encoding="utf-8"))["schema"] == now + 2


def test_a_study_of_the_first_layout_is_renewed_before_anything_else_is_written(study):
    def first(data):
        data.update(schema=1)
        for name in ("cmc", "ciml", "cmems"):
            del data["config"][name]
        del data["config"]["network"]["architecture"]

    path, config = study.folder / "study.json", study.config
    edit(path, first)
    old = path.read_bytes()
    again = Study.open(study.folder)
    assert (again.config, again.subjects) == (config, study.subjects)
    assert again.check() == [] and path.read_bytes() == old  # reading leaves it as it is
    with again.writing("train"):
        assert json.loads(path.read_text(encoding="utf-8"))["schema"] == studyfile.SCHEMA == 2
        inode = path.stat().st_mtime_ns, path.stat().st_ino
    again.save_round(Round(0, "random"))
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == inode  # once
    assert Study.open(study.folder).config == config


@pytest.mark.parametrize(
    ("path", "value", "text"),
    [
        (("subjects", 0, "primary", "path"), "../../etc/passwd", "inside"),
        (("subjects", 0, "primary", "path"), "/etc/passwd", "inside"),
        (("subjects", 0, "primary", "shape"), [5, 6], "subject 'a', primary: shape"),
        (("subjects", 0, "primary", "shape"), [10**9, 10**9, 10**9], "shape"),
        (("subjects", 0, "primary", "affine"), [[0] * 4] * 4, "affine"),
        (("subjects", 0, "split"), "training", "split is 'training'"),
        (("subjects", 1, "split"), "test", "Patient 'P1'"),
        (("subjects", 1, "name"), "a", "twice"),
        (("subjects", 1, "name"), "../b", "../b"),
        (("subjects", 2), "c", "subject 2"),
        (("config", "training", "steps"), -1, "steps"),
        (("config", "training", "stops"), 1, "stops"),
        (("schema",), True, "schema is True"),
        (("schema",), 0, "schema is 0"),
    ],
)
def test_a_study_file_edited_into_nonsense_names_the_place(study, path, value, text):
    def change(data):
        for key in path[:-1]:
            data = data[key]
        data[path[-1]] = value

    edit(study.folder / "study.json", change)
    with pytest.raises(StudyError) as caught:
        Study.open(study.folder)
    assert text in caught.value.problem
    assert text in errors(study)[0]


def test_a_link_out_of_the_study_is_refused(study, tmp_path):
    path = study.image_path("b")
    outside = tmp_path / "outside.nrrd"
    path.rename(outside)
    try:
        path.symlink_to(outside)
    except OSError:
        pytest.skip("this system makes no symbolic links here")
    with pytest.raises(StudyError, match="inside"):
        Study.open(study.folder)


@pytest.fixture(scope="module")
def edited(tmp_path_factory):
    """A small study, and its JSON files as they should be."""
    folder = tmp_path_factory.mktemp("edited")
    write_volume(folder / "a.nii", image(1))
    write_volume(folder / "r.nii", mask(1))
    subject = NewSubject("a", "P", "train", folder / "a.nii", folder / "a.nii", folder / "r.nii")
    study = Study.create(folder / "s", preset("tiny"), [subject])
    study.put_labels("a", mask(1), [0, 1], round=0, axis=AXIS)
    study.save_round(Round(0, "random", (Request(0, "a", 1, "a", 1, 0.5),), metrics={"x": 1}))
    names = ("study.json", "labels/a.json", "rounds/000/round.json")
    return study.folder, {name: (study.folder / name).read_bytes() for name in names}


def use(folder: Path) -> None:
    study = Study.open(folder)
    for subject in study.cases():
        study.volume(subject.name)
        study.reference(subject.name)
        study.labels(subject.name)
    for round in study.rounds():
        study.round_folder(round.index)
    study.ledger()


def places(data, path=()):
    """Return the path of every value in a JSON tree."""
    found = [path] if path else []
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return found + [place for key, value in items for place in places(value, (*path, key))]


NONSENSE = st.sampled_from(
    [None, True, -1, 0, 10**400, 1e300, 2.5, "", "x", "../a", "/", "a\0b", "\ud800", [], {}, [[]], [None], {"a": None}]
)


@settings(max_examples=150)
@given(data=st.data())
def test_no_edit_of_the_files_raises_anything_but_a_clear_error(edited, data):
    folder, whole = edited
    name = data.draw(st.sampled_from(sorted(whole)))
    tree = json.loads(whole[name])
    path = data.draw(st.sampled_from(places(tree)))
    target = tree
    for key in path[:-1]:
        target = target[key]
    if data.draw(st.booleans()) or not isinstance(target, dict):
        target[path[-1]] = copy.deepcopy(data.draw(NONSENSE))
    else:
        del target[path[-1]]
    try:
        (folder / name).write_text(json.dumps(tree), encoding="utf-8")
        try:
            use(folder)
        except VQBEGALError as error:
            assert error.problem
        check_study(folder)
    finally:
        (folder / name).write_bytes(whole[name])


@settings(max_examples=60)
@given(data=st.data())
def test_no_torn_file_raises_anything_but_a_clear_error(edited, data):
    folder, whole = edited
    name = data.draw(st.sampled_from(sorted(whole)))
    cut = data.draw(st.integers(0, len(whole[name]) - 2))
    try:
        (folder / name).write_bytes(whole[name][:cut] + data.draw(st.sampled_from([b"", b"\0" * 16, b"\xff"])))
        with pytest.raises(VQBEGALError):
            use(folder)
    finally:
        (folder / name).write_bytes(whole[name])


def test_a_round_goes_through_text_unchanged(study):
    study.save_round(Round(0, "random", (Request(0, "a", 1, score=1 / 3),)))
    assert study.rounds()[0].requests[0].score == 1 / 3
    assert read_volume(study.image_path("a")).shape == SHAPE


@pytest.mark.parametrize(
    ("change", "free"),
    [
        ({"adapter": 4}, {"weight_csc": 1.0, "freeze_encoders": True, "auxiliary_tasks": "liver"}),
        ({"encoder": "vit"}, {}),
        *(({name: 8}, {}) for name in ("vit_width", "vit_depth", "vit_heads", "vit_neck")),
    ],
)
def test_what_shapes_the_encoders_is_fixed_once_there_are_rounds(tmp_path, cohort, change, free):
    study = Study.create(tmp_path / "study", preset("small", {"method": "cmc"}), cohort)
    study.configure({"adapter": 6})
    study.save_round(Round(0, "random"))
    study.configure(free)
    with pytest.raises(StudyError, match="rest on its settings of encoders"):
        study.configure(change)


def test_tasks_are_fixed_once_there_are_rounds_or_labels(tmp_path, cohort):
    config = preset("small", {"method": "ciml", "organ": "liver, spleen", "primary_tasks": "liver"})
    members = [dataclasses.replace(each, primary_reference=None) for each in cohort]
    study = Study.create(tmp_path / "study", config, members)
    study.configure({"auxiliary_tasks": "spleen"})
    study.put_labels("a", mask(), [1], round=0, axis=AXIS)
    study.configure({"auxiliary_tasks": " spleen ", "beta": 0.5, "adapter": 4})
    for name in ("primary_tasks", "auxiliary_tasks"):
        with pytest.raises(StudyError, match="labels were drawn for the tasks"):
            study.configure({name: ""})
    study.save_round(Round(0, "random"))
    with pytest.raises(StudyError, match="rest on its settings of tasks"):
        study.configure({"primary_tasks": ""})


def test_another_method_may_be_chosen_while_there_are_labels_alone(tmp_path, cohort):
    study = Study.create(tmp_path / "study", Config(), cohort)
    study.put_labels("a", mask(), [1], round=0, axis=AXIS)
    for method in ("ciml", "cmc", "default"):
        study.configure({"method": method})
    assert study.config == Config()


def test_settings_of_rounds_can_be_changed_and_those_that_rounds_rest_on_only_before_them(tmp_path, cohort):
    study = Study.create(tmp_path / "study", Config(), cohort)
    study.configure({"seed": 7, "size": "64", "total_budget": 3})
    found = Study.open(study.folder).config
    assert (found.seed, found.slices.size, found.rounds.total_budget) == (7, 64, 3)
    study.save_round(Round(0, "random"))
    study.configure({"total_budget": 900, "routing": "soft"})
    assert Study.open(study.folder).config.rounds.total_budget == 900
    for change in ({"seed": 8}, {"size": 128}, {"codes": 8}):
        with pytest.raises(StudyError, match="rest on"):
            study.configure(change)
    assert Study.open(study.folder).config.seed == 7
    with pytest.raises(InputError):
        study.configure({"no_such_setting": 1})
