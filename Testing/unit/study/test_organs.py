"""Studies of several organs: their references, labels and settings."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from VQBEGALLib.config import preset
from VQBEGALLib.errors import InputError, StudyError
from VQBEGALLib.events import Reporter
from VQBEGALLib.study import Study
from VQBEGALLib.study.cohort import from_table, gather
from VQBEGALLib.study.membership import NewSubject
from VQBEGALLib.study.records import ImageRecord, Round
from VQBEGALLib.volumes import Volume, write_volume

SHAPE = (5, 8, 9)
AFFINE = np.diag((1.0, 1.5, 4.0, 1.0))
ORGANS = {"organ": "liver, right kidney, left kidney"}


@pytest.fixture(scope="module", autouse=True)
def no_waiting_for_the_disk() -> Iterator[None]:
    """These files need not outlive a power cut."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        yield


def values(*choices: int, seed: int = 0) -> Volume:
    """A labelmap of random values that holds each of them."""
    voxels = np.random.default_rng(seed).choice(choices, SHAPE).astype(np.uint8)
    voxels[0, 0, : len(choices)] = choices
    return Volume(voxels, AFFINE)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """An image, and labels numbered as in a data set and as in a study."""
    generator = np.random.default_rng(0)
    volumes = {
        "ct/a": Volume(generator.integers(-100, 200, SHAPE).astype(np.int16), AFFINE),
        "mr/a": Volume(generator.integers(0, 200, SHAPE).astype(np.int16), AFFINE),
        "organs/a": values(0, 1, 2, 3, 6, 13),
        "numbered/a": values(0, 1, 2, 3),
    }
    for name, volume in volumes.items():
        path = tmp_path / f"{name}.nii.gz"
        path.parent.mkdir(exist_ok=True)
        write_volume(path, volume)
    return {name: tmp_path / f"{name}.nii.gz" for name in volumes}


def member(files: dict[str, Path], labels: str = "organs/a", **options: object) -> NewSubject:
    return NewSubject("a", "a", "train", files["ct/a"], primary_reference=files[labels], **options)  # type: ignore[arg-type]


def create(tmp_path: Path, *members: NewSubject, **changes: object) -> Study:
    return Study.create(tmp_path / "study", preset("tiny", {**ORGANS, **changes}), members)


def test_a_reference_gets_the_numbers_of_the_studys_organs(tmp_path, files):
    study = create(tmp_path, member(files, primary_values=(6, 2, 3)))
    given, found = values(0, 1, 2, 3, 6, 13).voxels, study.reference("a").voxels
    assert found.dtype == np.uint8
    for value, number in {0: 0, 1: 0, 13: 0, 6: 1, 2: 2, 3: 3}.items():
        assert (found[given == value] == number).all()
    assert study.reference_organs("a") == study.config.organs
    assert study.check() == []
    assert "absent" not in (study.folder / "study.json").read_text()


def test_labels_that_are_numbered_already_need_no_values(tmp_path, files):
    study = create(tmp_path, member(files, "numbered/a"))
    assert np.array_equal(study.reference("a").voxels, values(0, 1, 2, 3).voxels)


def test_other_values_are_refused_and_named(tmp_path, files):
    with pytest.raises(InputError, match=r"a\.nii\.gz.*values 0, 1, 2, 3, 6, 13.*0 to 3"):
        create(tmp_path, member(files))
    with pytest.raises(InputError, match=r"a\.nii\.gz.*6, 2 do not fit 3 organs"):
        create(tmp_path, member(files, primary_values=(6, 2)))
    with pytest.raises(InputError, match=r"has values of labels but no labels"):
        create(tmp_path, replace(member(files), primary_reference=None, primary_values=(6, 2, 3)))
    assert not (tmp_path / "study").exists()


def test_an_organ_may_be_missing_from_the_labels(tmp_path, files):
    both = member(files, primary_values=(6, 0, 3), auxiliary=files["mr/a"], auxiliary_reference=files["organs/a"])
    study = create(tmp_path, replace(both, auxiliary_values=(1, 2, 3)))
    assert study.reference_organs("a") == ("liver", "left kidney")
    assert study.reference_organs("a", "auxiliary") == study.config.organs
    assert set(np.unique(study.reference("a").voxels)) == {0, 1, 3}
    again = Study.open(study.folder)
    assert again.subjects == study.subjects and again.check() == []
    record = study.subjects["a"].primary_reference
    assert record is not None and record.absent == (2,)
    with pytest.raises(StudyError, match="absent"):
        ImageRecord.from_json({**record.to_json(), "absent": [3, 2]}, "here")


@pytest.mark.parametrize("wrong", [(60, 20, 30), (300, 0, 0)])
def test_values_that_no_file_holds_are_refused(tmp_path, files, wrong):
    names = ", ".join(str(value) for value in sorted(wrong) if value)
    with pytest.raises(InputError, match=rf"primary labels holds {names}; they hold 1, 2, 3, 6, 13\."):
        create(tmp_path, member(files, primary_values=wrong))
    assert not (tmp_path / "study").exists()
    study = create(tmp_path, member(files, primary_values=(6, 2, 3)))
    other = member(files, primary_values=(6, 2, 3), auxiliary=files["mr/a"], auxiliary_reference=files["organs/a"])
    with pytest.raises(InputError, match="None of the auxiliary labels"):
        study.add_subjects([replace(other, name="b", patient="b", auxiliary_values=wrong)])
    assert list(study.subjects) == ["a"]


def told_of(tmp_path: Path, *members: NewSubject, **changes: object) -> list[str]:
    """Return the warnings of a creation."""
    events: list[dict[str, object]] = []
    Study.create(tmp_path / "new", preset("tiny", {**ORGANS, **changes}), members, reporter=Reporter(events.append))
    return [str(event["text"]) for event in events if event["event"] == "warning"]


def test_an_organ_that_no_file_shows_is_warned_of(tmp_path, files):
    one = member(files, primary_values=(6, 99, 0))
    assert told_of(tmp_path, one) == ["None of the primary labels shows right kidney; make sure that this is so."]


def test_an_organ_that_one_file_shows_is_not_warned_of(tmp_path, files):
    one = member(files, primary_values=(6, 99, 3))
    other = replace(one, name="b", patient="b", primary_values=(99, 2, 99 + 1))
    assert told_of(tmp_path, one, other) == []


def test_labels_that_are_empty_are_warned_of(tmp_path, files):
    write_volume(files["organs/a"], Volume(np.zeros(SHAPE, np.uint8), AFFINE))
    for changes in ({"primary_values": (6,)}, {}):
        found = told_of(tmp_path, member(files, **changes), organ="liver")
        assert found == ["None of the primary labels shows liver; make sure that this is so."]
        shutil.rmtree(tmp_path / "new")


def test_folders_and_tables_carry_the_values(tmp_path, files):
    found = gather(tmp_path / "ct", tmp_path / "mr", primary_labels=tmp_path / "organs", primary_values=[6, 2, 3])
    assert (found[0].primary_values, found[0].auxiliary_values) == ((6, 2, 3), None)
    table = tmp_path / "cases.csv"
    table.write_text(
        "case,primary,primary_labels,primary_values\na,ct/a.nii.gz,organs/a.nii.gz,6 0 3\nb,ct/a.nii.gz,,\n"
        'c,ct/a.nii.gz,organs/a.nii.gz,"6,2,3"\nd,ct/a.nii.gz,organs/a.nii.gz,6; 2; 3\n'
    )
    assert [each.primary_values for each in from_table(table)] == [(6, 0, 3), None, (6, 2, 3), (6, 2, 3)]
    table.write_text("case,primary,primary_labels,primary_values\na,ct/a.nii.gz,organs/a.nii.gz,six\n")
    with pytest.raises(InputError, match=r"primary_values of 'a' are 'six'.*for example 6 2 3"):
        from_table(table)


def test_labels_hold_every_organ_and_count_all_of_them(tmp_path, files):
    study = create(tmp_path, member(files, "numbered/a"))
    reference = study.reference("a")
    study.put_labels("a", reference, [1, 3], round=0)
    labels = study.labels("a")
    expected = np.zeros(SHAPE, np.uint8)
    expected[[1, 3]] = reference.voxels[[1, 3]]
    assert np.array_equal(labels.labelmap.voxels, expected)
    counts = {index: item.foreground_pixels for index, item in labels.annotations.items()}
    assert counts == {index: int((reference.voxels[index] > 0).sum()) for index in (1, 3)}
    assert study.check() == []
    with pytest.raises(InputError, match=r"other values than 0 to 3"):
        study.put_labels("a", values(0, 4), [0], round=0)


def test_values_beyond_the_organs_are_damage(tmp_path, files):
    study = create(tmp_path, member(files, "numbered/a"))
    study.put_labels("a", study.reference("a"), [1], round=0)
    path = study.folder / "study.json"
    data = json.loads(path.read_text())
    data["config"]["organ"] = "liver, right kidney"
    path.write_text(json.dumps(data))
    found = [finding.text for finding in Study.open(study.folder).check()]
    assert any("values 0, 1, 2, 3, and the study's organs have 0 to 2" in text for text in found)
    assert any("holds 3, and the study's organs have 1 to 2" in text for text in found)


def test_organs_stay_once_something_shows_them(tmp_path, files):
    empty = Study.create(tmp_path / "empty", preset("tiny"), [NewSubject("a", "a", "train", files["ct/a"])])
    empty.configure(ORGANS)
    assert len(empty.config.organs) == 3
    empty.put_labels("a", values(0, 1, 2, 3), [1], round=0)
    with pytest.raises(StudyError, match="labels show its organs"):
        empty.configure({"organ": "spleen, right kidney, left kidney"})
    referred = create(tmp_path, member(files, "numbered/a"))
    with pytest.raises(StudyError, match="labels show its organs"):
        referred.configure({"organ": "liver, left kidney, right kidney"})
    referred.configure({**ORGANS, "steps": 7})
    assert referred.config.training.steps == 7


def test_a_single_organ_with_references_may_be_renamed_until_it_is_annotated(tmp_path, files):
    study = create(tmp_path, member(files, primary_values=(6,)), organ="liver")
    study.configure({"organ": "Liver"})
    assert study.config.organs == ("Liver",)
    with pytest.raises(StudyError, match="labels show its organs"):
        study.configure({"organ": "liver, spleen"})
    study.save_round(Round(0, "random"))
    with pytest.raises(StudyError, match="rounds rest on its settings of organ"):
        study.configure({"organ": "spleen"})
