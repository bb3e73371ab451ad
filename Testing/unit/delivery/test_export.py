"""``vqbegal export``: every format, read back on the grid of the source; and clear words where it cannot be."""

from __future__ import annotations

import json
import shutil

import highdicom
import numpy as np
import pydicom
import pytest

from Testing.delivery_case import make_case
from Testing.dicom_series import PLANTED
from VQBEGALLib.config import preset
from VQBEGALLib.errors import CancelledError
from VQBEGALLib.events import Stage
from VQBEGALLib.study import Study
from VQBEGALLib.study.membership import NewSubject
from VQBEGALLib.volumes import read_labelmap, write_volume


@pytest.mark.parametrize(
    ("format", "name"), [("nifti", "a.nii.gz"), ("nrrd", "a.seg.nrrd"), ("nrrd", "a.nrrd"), ("metaimage", "a.mha")]
)
def test_labelmaps_come_back_as_they_were(call, case, tmp_path, format, name):
    told = call("export", case.folder, "P1", "--format", format, "-o", tmp_path / name)
    assert told.code == 0, told.err
    assert np.array_equal(read_labelmap(tmp_path / name, grid=case.truth).voxels, case.truth.voxels)


def seg_voxels(path, truth):
    whole = highdicom.Volume(truth.voxels * 0, truth.affine[:, [2, 1, 0, 3]], coordinate_system="PATIENT")
    return highdicom.seg.segread(path).get_volume(combine_segments=True).match_geometry(whole).array


@pytest.mark.parametrize("format", ["seg", "seg-labelmap"])
def test_dicom_seg_comes_back_as_it_was(call, case, tmp_path, format):
    path = tmp_path / "a.dcm"
    told = call(
        "export", case.folder, "P1", "--format", format, "-o", path, "--creator", "Doe^Jane", "--events", "json"
    )
    assert told.code == 0, told.out
    slices = int(case.truth.voxels.any(axis=(1, 2)).sum())
    result = told.events[-1]
    assert (result["segments"], result["slices"], result["bytes"]) == (1, slices, path.stat().st_size)
    assert np.array_equal(seg_voxels(path, case.truth), case.truth.voxels)
    data = pydicom.dcmread(path)
    assert (data.PatientName, data.PatientID, data.StudyInstanceUID) == (*PLANTED[:2], case.series.study_uid)
    assert data.ContentCreatorName == "Doe^Jane"


def test_the_other_dicom_formats_belong_to_the_same_study(call, case, tmp_path):
    assert call("export", case.folder, "P1", "--format", "rtstruct", "-o", tmp_path / "r.dcm").code == 0
    assert call("export", case.folder, "P1", "--format", "sc", "-o", tmp_path / "sc").code == 0
    captures = [pydicom.dcmread(path) for path in sorted((tmp_path / "sc").iterdir())]
    assert len(captures) == int(case.truth.voxels.any(axis=(1, 2)).sum())
    for data in (pydicom.dcmread(tmp_path / "r.dcm"), *captures):
        assert data.StudyInstanceUID == case.series.study_uid
        assert data.PatientID == PLANTED[1]


def test_the_correction_takes_the_annotated_slices_from_the_person(call, case, tmp_path):
    painted = np.zeros(case.truth.shape, dtype=np.uint8)
    painted[4, 2:9, 3:8] = 1
    case.study.put_labels("P1", case.truth.with_voxels(painted), [4, 6], round=0)
    expected = case.truth.voxels.copy()
    expected[[4, 6]] = painted[[4, 6]]
    for what, voxels in (("corrected", expected), ("annotation", painted)):
        path = tmp_path / f"{what}.dcm"
        assert call("export", case.folder, "P1", "--format", "seg", "-o", path, "--what", what).code == 0
        assert np.array_equal(seg_voxels(path, case.truth), voxels)
        method = {"corrected": "SEMIAUTOMATIC", "annotation": "MANUAL"}[what]
        assert pydicom.dcmread(path).SegmentSequence[0].SegmentAlgorithmType == method


def test_a_labelmap_from_elsewhere_with_several_segments(call, case, tmp_path):
    voxels = case.truth.voxels.copy()
    voxels[2, :3, :3] = 5
    write_volume(tmp_path / "edited.nrrd", case.truth.with_voxels(voxels))
    segments = [
        {
            "value": 1,
            "name": "Liver",
            "color": [1, 2, 3],
            "type": {"value": "10200004", "scheme": "SCT", "meaning": "Liver"},
        },
        {
            "value": 5,
            "name": "Spleen",
            "color": [4, 5, 6],
            "type": {"value": "78961009", "scheme": "SCT", "meaning": "Spleen"},
        },
    ]
    (tmp_path / "segments.json").write_text(json.dumps(segments))
    options = ("--labelmap", tmp_path / "edited.nrrd", "--segments", tmp_path / "segments.json")
    path = tmp_path / "a.dcm"
    assert call("export", case.folder, "P1", "--format", "seg", "-o", path, *options).code == 0
    assert np.array_equal(seg_voxels(path, case.truth), np.where(voxels == 5, 2, voxels))
    told = call("export", case.folder, "P1", "--format", "seg", "-o", path, *options[:2])
    assert told.code == 3
    assert "no segment" in told.err


def test_what_was_exported_is_in_the_log_and_nothing_of_the_patient(call, case, tmp_path):
    assert call("export", case.folder, "P1", "--format", "seg", "-o", tmp_path / "a.dcm").code == 0
    (event,) = case.study.events("exported")
    assert {key: event[key] for key in ("case", "what", "format", "round")} == {
        "case": "P1",
        "what": "prediction",
        "format": "seg",
        "round": 0,
    }
    for path in case.folder.rglob("*"):
        text = path.read_bytes() if path.is_file() else b""
        assert not [secret for secret in PLANTED if secret.encode() in text], path


def test_a_tilted_gantry_goes_into_dicom_and_nifti_and_is_refused_where_it_does_not_fit(call, tmp_path):
    case = make_case(tmp_path, tilt=0.4)
    assert not case.truth.orthogonal
    for format, name in (("seg", "a.dcm"), ("nifti", "a.nii.gz"), ("rtstruct", "r.dcm")):
        assert call("export", case.folder, "P1", "--format", format, "-o", tmp_path / name).code == 0
    assert np.array_equal(read_labelmap(tmp_path / "a.nii.gz", grid=case.truth).voxels, case.truth.voxels)
    data = pydicom.dcmread(tmp_path / "a.dcm")
    places = [group.PlanePositionSequence[0].ImagePositionPatient for group in data.PerFrameFunctionalGroupsSequence]
    indices = np.linalg.inv(case.truth.affine) @ np.array([[*place, 1] for place in places]).T
    assert np.allclose(indices[:2], 0, atol=1e-3)
    for plane, index in zip(data.pixel_array, np.rint(indices[2]).astype(int), strict=True):
        assert np.array_equal(plane, case.truth.voxels[index])
    told = call("export", case.folder, "P1", "--format", "nrrd", "-o", tmp_path / "a.seg.nrrd")
    assert told.code == 3
    assert "NIfTI" in told.err


def test_images_that_were_moved_are_named_by_hand(call, case, tmp_path):
    moved = tmp_path / "archive"
    shutil.move(case.series.ct[0].parent, moved)
    told = call("export", case.folder, "P1", "--format", "seg", "-o", tmp_path / "a.dcm")
    assert told.code == 3
    assert "not on this computer" in told.err
    assert "--source" in told.err
    assert call("export", case.folder, "P1", "--format", "seg", "-o", tmp_path / "a.dcm", "--source", moved).code == 0
    files = sorted(str(path) for path in moved.iterdir())
    (tmp_path / "files.txt").write_text("\n".join(files))
    options = ("--source", tmp_path / "files.txt")
    assert call("export", case.folder, "P1", "--format", "seg", "-o", tmp_path / "b.dcm", *options).code == 0
    (tmp_path / "files.txt").write_text("\n".join(files[1:]))
    told = call("export", case.folder, "P1", "--format", "seg", "-o", tmp_path / "c.dcm", *options)
    assert told.code == 3
    assert "1 of the 12 source images" in told.err


def test_a_case_from_nifti_has_no_series_and_is_told_so(call, case, tmp_path):
    write_volume(tmp_path / "ct.nii.gz", case.study.volume("P1"))
    study = Study.create(tmp_path / "other", preset("tiny"), [NewSubject("N", "N", "train", tmp_path / "ct.nii.gz")])
    study.put_prediction(0, "N", case.truth, [0.0] * case.truth.shape[0])
    told = call("export", study.folder, "N", "--format", "seg", "-o", tmp_path / "a.dcm")
    assert told.code == 3
    assert "not added from DICOM" in told.err
    assert "NIfTI" in told.err
    assert call("export", study.folder, "N", "--format", "nifti", "-o", tmp_path / "a.nii.gz").code == 0


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--format", "seg", "-o", "a.nii.gz"), "suffix"),
        (("--format", "nifti", "-o", "nowhere/a.nii.gz"), "does not exist"),
        (("--format", "nifti", "-o", "study/a.nii.gz"), "inside the study"),
        (("--format", "sc", "-o", "study"), "not an empty folder"),
        (("--format", "seg"), "No file is named"),
        (("--format", "seg", "-o", "a.dcm", "--what", "annotation"), "Nothing is annotated"),
        (("--format", "seg", "-o", "a.dcm", "--segments", "nothing.json"), "cannot be read as JSON"),
        (("--format", "seg", "-o", "a.dcm", "--code", "SCT"), "incomplete"),
    ],
)
def test_what_cannot_be_is_told_in_a_sentence(call, case, tmp_path, monkeypatch, options, says):
    monkeypatch.chdir(tmp_path)
    told = call("export", case.folder, "P1", *options)
    assert told.code in (3, 6)
    assert says in told.err
    assert "Traceback" not in told.err


def test_an_empty_result_is_not_exported(call, case, tmp_path):
    case.study.put_prediction(0, "P1", case.truth.with_voxels(case.truth.voxels * 0), [0.0] * case.truth.shape[0])
    for format, name in (("seg", "a.dcm"), ("nifti", "a.nii.gz")):
        told = call("export", case.folder, "P1", "--format", format, "-o", tmp_path / name)
        assert told.code == 3
        assert "empty" in told.err
        assert not (tmp_path / name).exists()


def test_an_organ_without_a_code_can_be_given_one(call, case, tmp_path):
    study = Study.create(
        tmp_path / "other",
        preset("tiny", {"organ": "my structure"}),
        [NewSubject("P1", "P1", "train", case.series.ct[0].parent)],
    )
    study.put_prediction(0, "P1", case.truth, [0.0] * case.truth.shape[0])
    options = ("--format", "seg", "-o", tmp_path / "a.dcm", "--source", case.series.ct[0].parent)
    told = call("export", study.folder, "P1", *options)
    assert told.code == 3
    assert "my structure has no code" in told.err
    assert call("export", study.folder, "P1", *options, "--code", "99LOCAL:1:My structure").code == 0
    coded = pydicom.dcmread(tmp_path / "a.dcm").SegmentSequence[0].SegmentedPropertyTypeCodeSequence[0]
    assert (coded.CodingSchemeDesignator, coded.CodeValue) == ("99LOCAL", "1")


def test_a_full_disk_leaves_what_was_there(call, case, tiny_disk):
    path = tiny_disk / "a.dcm"
    path.write_bytes(b"old")
    (tiny_disk / "filler").write_bytes(b"0" * (250 << 10))
    told = call("export", case.folder, "P1", "--format", "seg", "-o", path)
    assert told.code == 6
    assert "full" in told.err
    assert path.read_bytes() == b"old"
    assert sorted(item.name for item in tiny_disk.iterdir()) == ["a.dcm", "filler"]


def test_another_study_with_the_same_series_changes_nothing_here(call, case, tmp_path):
    """A copy for research under another name, with the same UIDs."""
    for path in case.series.ct:
        data = pydicom.dcmread(path)
        data.PatientID, data.PatientName = "ANON-1", "Anon"
        (tmp_path / "research").mkdir(exist_ok=True)
        data.save_as(tmp_path / "research" / path.name)
    (tmp_path / "cases.csv").write_text(f"case,primary,split\nR,{tmp_path / 'research'},train\n")
    assert call("study", "create", tmp_path / "other", "--table", tmp_path / "cases.csv", "--preset", "tiny").code == 0
    assert call("export", case.folder, "P1", "--format", "seg", "-o", tmp_path / "a.dcm").code == 0
    assert pydicom.dcmread(tmp_path / "a.dcm").PatientID == PLANTED[1]


def test_a_folder_that_is_named_is_the_only_one_that_counts(call, case, tmp_path):
    part = tmp_path / "part"
    part.mkdir()
    for path in case.series.ct[1:]:
        shutil.copy(path, part)
    options = ("--format", "seg", "-o", tmp_path / "a.dcm", "--source", part)
    told = call("export", case.folder, "P1", *options)
    assert told.code == 3
    assert "1 of the 12" in told.err
    rest = tmp_path / "rest"
    rest.mkdir()
    shutil.copy(case.series.ct[0], rest)
    assert call("export", case.folder, "P1", *options, "--source", rest).code == 0


def test_odd_headers_are_told_by_keyword_and_never_by_value(call, case, tmp_path):
    for path in case.series.ct:
        data = pydicom.dcmread(path)
        data["PatientBirthDate"] = pydicom.DataElement("PatientBirthDate", "LO", "1933-02-11")
        data["PatientSex"] = pydicom.DataElement("PatientSex", "LO", "woman")
        data.save_as(path)
    told = call("export", case.folder, "P1", "--format", "seg", "--check", "--debug")
    assert told.code == 0
    assert "PatientBirthDate, PatientSex" in told.out
    made = call("export", case.folder, "P1", "--format", "seg", "-o", tmp_path / "a.dcm", "--debug")
    assert made.code == 0, made.err
    for word in ("1933-02-11", "woman"):
        assert word not in told.out + told.err + made.out + made.err


def test_a_library_that_quotes_a_value_is_not_quoted(call, case, tmp_path, monkeypatch):
    def make(*arguments: object, **options: object) -> None:
        raise ValueError("Unable to convert 'Planted^Liverpatient'")

    monkeypatch.setattr("VQBEGALLib.export.seg.make_seg", make)
    told = call("export", case.folder, "P1", "--format", "seg", "-o", tmp_path / "a.dcm", "--debug")
    assert told.code == 3
    assert "Planted" not in told.out + told.err


def test_a_cancelled_series_of_pictures_leaves_nothing(call, case, tmp_path, monkeypatch):
    real = Stage.advance

    def stop(stage: Stage, *arguments: object, **figures: float) -> None:
        real(stage, *arguments, **figures)
        raise CancelledError()

    with monkeypatch.context() as patch:
        patch.setattr(Stage, "advance", stop)
        assert call("export", case.folder, "P1", "--format", "sc", "-o", tmp_path / "sc").code == 130
    assert not [path for path in tmp_path.iterdir() if path.name not in ("dicom", "study")]
    assert call("export", case.folder, "P1", "--format", "sc", "-o", tmp_path / "sc").code == 0


def test_the_checklist_of_the_command_line_ends_with_an_exit_code(call, case, tmp_path):
    assert call("export", case.folder, "P1", "--format", "seg", "--check").code == 0
    shutil.rmtree(case.series.ct[0].parent)
    told = call("export", case.folder, "P1", "--format", "seg", "--check")
    assert told.code == 3
    assert "✗ Source images" in told.out


def test_options_of_a_case_need_a_case(call, case):
    told = call("push", case.folder, "--format", "seg", "--server", "https://nowhere.example.org")
    assert told.code == 3
    assert "--format is for a case" in told.err
