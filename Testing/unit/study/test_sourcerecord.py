"""What a study remembers of the DICOM series that its images came from: UIDs, and nothing about the patient."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from Testing.dicom_series import PLANTED, phantom_series, write_series
from VQBEGALLib.config import preset
from VQBEGALLib.errors import InputError
from VQBEGALLib.events import Reporter
from VQBEGALLib.study import Study
from VQBEGALLib.study.cohort import from_table
from VQBEGALLib.volumes import Volume, read_series, write_volume


@pytest.fixture
def image() -> Volume:
    voxels = np.random.default_rng(0).integers(0, 300, (6, 8, 9)).astype(np.int16)
    return Volume(voxels, np.diag((0.8, 0.7, 2.5, 1.0)))


def added(folder: Path, row: dict[str, object]) -> tuple[Study, list[str]]:
    """A study with one case from a table, and the warnings."""
    table = folder / "cases.csv"
    with table.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, ["case", "split", *row])
        writer.writeheader()
        writer.writerow({"case": "P1", "split": "train", **row})
    warnings: list[str] = []
    reporter = Reporter(lambda event: warnings.append(event["text"]) if event["event"] == "warning" else None)
    study = Study.create(folder / "study", preset("tiny"), from_table(table), reporter=reporter)
    return study, warnings


def listed(files: list[Path], path: Path) -> Path:
    path.write_text("\n".join(map(str, files)), encoding="utf-8")
    return path


def flipped(volume: Volume) -> Volume:
    """The same voxels, slices from the other end, as an application may hold them."""
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, 2] * (volume.shape[0] - 1)
    affine[:3, 2] *= -1
    return Volume(volume.voxels[::-1].copy(), affine)


@pytest.mark.parametrize("order", [lambda volume: volume, flipped], ids=["same order", "other order"])
def test_a_volume_that_another_program_made_of_dicom_files_keeps_their_uids(tmp_path, image, order):
    files = write_series(tmp_path / "dicom", image, shuffled=True)
    write_volume(tmp_path / "ct.nrrd", order(image))
    source = listed(files, tmp_path / "files.txt")
    study, warnings = added(tmp_path, {"primary": "ct.nrrd", "primary_source": source})
    series = read_series(tmp_path / "dicom")
    assert not warnings
    assert study.subject("P1").primary.source == {
        "modality": "CT",
        "study_uid": series.study_uid,
        "series_uid": series.series_uid,
        "frame_of_reference_uid": series.frame_of_reference_uid,
        "sop_instance_uids": list(series.sop_instance_uids),
    }


def test_a_volume_on_another_grid_is_added_without_them_and_says_so(tmp_path, image):
    files = write_series(tmp_path / "dicom", image)
    write_volume(tmp_path / "ct.nrrd", Volume(image.voxels[1:], image.affine))
    source = listed(files, tmp_path / "files.txt")
    study, warnings = added(tmp_path, {"primary": "ct.nrrd", "primary_source": source})
    assert study.subject("P1").primary.source is None
    assert len(warnings) == 1
    assert "NIfTI" in warnings[0]


def test_a_list_of_files_that_are_gone_is_no_reason_to_lose_the_case(tmp_path, image):
    write_volume(tmp_path / "ct.nrrd", image)
    source = listed([tmp_path / "gone.dcm"], tmp_path / "files.txt")
    study, warnings = added(tmp_path, {"primary": "ct.nrrd", "primary_source": source})
    assert list(study.subjects) == ["P1"]
    assert len(warnings) == 1


def test_a_file_without_a_suffix_counts_as_dicom(tmp_path, image):
    files = write_series(tmp_path / "dicom", image)
    for path in files:
        path.rename(path.with_suffix(""))
    study, _ = added(tmp_path, {"primary": files[0].with_suffix("")})
    assert study.subject("P1").primary.source["series_uid"]


def test_nothing_of_the_patient_is_in_the_study(tmp_path):
    made = phantom_series(tmp_path / "Planted^Liverpatient")
    row = {"primary": made.ct[0].parent, "auxiliary": made.mr[0].parent}
    study, _ = added(tmp_path, row)
    for path in study.folder.rglob("*"):
        text = path.read_bytes() if path.is_file() else b""
        assert not [secret for secret in PLANTED if secret.encode() in text], path


def test_one_of_several_series_in_a_folder_is_chosen_by_a_list_of_its_files(tmp_path, image):
    files = write_series(tmp_path / "dicom", image)
    write_series(tmp_path / "dicom" / "other", image, modality="MR")
    with pytest.raises(InputError, match="2 series") as caught:
        added(tmp_path, {"primary": tmp_path / "dicom"})
    assert ".txt" in caught.value.remedy
    source = listed(files, tmp_path / "files.txt")
    study, _ = added(tmp_path, {"primary": source})
    assert study.subject("P1").primary.source["modality"] == "CT"
    assert np.array_equal(study.volume("P1").voxels, image.voxels)


@pytest.mark.parametrize(("other", "count"), [("Planted^Liverpatient", 0), ("Other^Person", 1)])
def test_a_pair_of_two_people_is_told_without_their_names(tmp_path, image, other, count):
    write_series(tmp_path / "ct", image)
    write_series(tmp_path / "mr", image, modality="MR", patient=(other, *PLANTED[1:]))
    _, warnings = added(tmp_path, {"primary": tmp_path / "ct", "auxiliary": tmp_path / "mr"})
    assert len(warnings) == count
    assert not [text for text in warnings if "Planted" in text or "Other" in text]


def test_the_name_of_a_file_is_not_kept(tmp_path, image):
    write_volume(tmp_path / "Mueller_Hans.nii.gz", image)
    study, _ = added(tmp_path, {"primary": tmp_path / "Mueller_Hans.nii.gz"})
    assert "Mueller" not in (study.folder / "study.json").read_text()
