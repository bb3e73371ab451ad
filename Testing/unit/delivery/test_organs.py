"""Several organs in every format: one segment to each, with its name, colour and code, read back."""

from __future__ import annotations

import highdicom
import numpy as np
import pydicom
import pytest

from Testing.delivery_case import DeliveryCase, make_case
from Testing.dicom_series import phantom_series
from VQBEGALLib.config import preset
from VQBEGALLib.delivery import Choice, preflight, remember_sources
from VQBEGALLib.delivery.results import organ_segments, result
from VQBEGALLib.errors import InputError
from VQBEGALLib.export.codes import coded
from VQBEGALLib.export.labelmaps import write_labelmap
from VQBEGALLib.study import Study
from VQBEGALLib.study.membership import NewSubject
from VQBEGALLib.volumes import on_grid, read_labelmap, write_volume

NAMES = ("liver", "right kidney", "left kidney")
CODES = ("10200004", "64033007", "64033007")


@pytest.fixture
def several(tmp_path) -> DeliveryCase:
    """A study of three organs, one of whose case's prediction has all of them."""
    series = phantom_series(tmp_path / "dicom", size=40, slices=12, shuffled=True)
    member = NewSubject("P1", "P1", "train", series.ct[0].parent)
    study = Study.create(tmp_path / "study", preset("tiny", {"organ": ", ".join(NAMES)}), [member])
    remember_sources(study, [member])
    truth = on_grid(series.ct_labels, study.grid("P1"))
    voxels = (truth.voxels == 1).astype(np.uint8)
    voxels[5:9, 2:6, 4:12], voxels[3:7, 30:36, 4:9] = 2, 3
    truth = truth.with_voxels(voxels)
    study.put_prediction(0, "P1", truth, [0.1] * truth.shape[0])
    return DeliveryCase(study, truth, series)


def test_the_segments_of_a_studys_organs():
    found = organ_segments(("Liver", "kidney_left", "gizzard", "crop"), "MANUAL")
    assert [segment.value for segment in found] == [1, 2, 3, 4]
    assert found[:2] == (coded("liver", method="MANUAL"), coded("left kidney", value=2, method="MANUAL"))
    assert [(segment.name, segment.type) for segment in found[2:]] == [("gizzard", None), ("crop", None)]
    assert len({segment.color for segment in found}) == 4
    assert organ_segments(("gizzard",), "MANUAL")[0].color == (128, 128, 128)
    twice = organ_segments(("IVC", "inferior vena cava"), "MANUAL")
    assert [segment.name for segment in twice] == ["Inferior vena cava", "inferior vena cava"]


@pytest.mark.parametrize(
    "name",
    [
        *("liver", "spleen", "left_kidney", "right_kidney", "gallbladder", "pancreas", "aorta", "stomach", "esophagus"),
        *("duodenum", "inferior vena cava", "left adrenal gland", "right adrenal gland", "portal vein", "splenic vein"),
    ],
)
def test_common_organs_of_data_sets_are_coded(name):
    segment = coded(name)
    assert segment is not None and segment.type is not None and segment.type.scheme == "SCT"


@pytest.mark.parametrize("format", ["seg", "seg-labelmap"])
def test_dicom_seg_has_a_segment_to_each_organ(call, several, tmp_path, format):
    path = tmp_path / "a.dcm"
    told = call("export", several.folder, "P1", "--format", format, "-o", path, "--events", "json")
    assert told.code == 0, told.out
    assert told.events[-1]["segments"] == 3
    items = pydicom.dcmread(path).SegmentSequence
    items = [item for item in items if item.SegmentNumber]  # a labelmap may describe its background
    assert [item.SegmentLabel for item in items] == ["Liver", "Right kidney", "Left kidney"]
    assert [item.SegmentedPropertyTypeCodeSequence[0].CodeValue for item in items] == list(CODES)
    whole = highdicom.Volume(
        several.truth.voxels * 0, several.truth.affine[:, [2, 1, 0, 3]], coordinate_system="PATIENT"
    )
    found = highdicom.seg.segread(path).get_volume(combine_segments=True).match_geometry(whole).array
    assert np.array_equal(found, several.truth.voxels)


def test_rtstruct_has_a_region_to_each_organ(call, several, tmp_path):
    assert call("export", several.folder, "P1", "--format", "rtstruct", "-o", tmp_path / "r.dcm").code == 0
    data = pydicom.dcmread(tmp_path / "r.dcm")
    assert [item.ROIName for item in data.StructureSetROISequence] == ["Liver", "Right kidney", "Left kidney"]
    for value, item in enumerate(data.ROIContourSequence, start=1):
        planes = {contour.ContourImageSequence[0].ReferencedSOPInstanceUID for contour in item.ContourSequence}
        assert len(planes) == int((several.truth.voxels == value).any(axis=(1, 2)).sum())


def test_captures_show_every_organ(call, several, tmp_path):
    assert call("export", several.folder, "P1", "--format", "sc", "-o", tmp_path / "sc").code == 0
    captures = [pydicom.dcmread(path) for path in sorted((tmp_path / "sc").iterdir())]
    assert len(captures) == int(several.truth.voxels.any(axis=(1, 2)).sum())
    assert all("Liver, Right kidney, Left kidney" in data.DerivationDescription for data in captures)
    pixels = np.stack([data.pixel_array for data in captures])
    for name in NAMES:
        assert (pixels == coded(name).color).all(axis=-1).any()


def test_nrrd_and_nifti_hold_the_values_and_the_names(several, tmp_path):
    made = result(several.study, "P1")
    for name in ("a.seg.nrrd", "a.nii.gz"):
        write_labelmap(tmp_path / name, made)
        assert np.array_equal(read_labelmap(tmp_path / name, grid=several.truth).voxels, several.truth.voxels)
    header = (tmp_path / "a.seg.nrrd").read_bytes().partition(b"\n\n")[0].decode()
    for index, name in enumerate(("Liver", "Right kidney", "Left kidney")):
        assert f"Segment{index}_Name:={name}\n" in header
        assert f"Segment{index}_LabelValue:={index + 1}\n" in header
        assert CODES[index] in header


def test_a_correction_replaces_all_organs_of_its_slices(several):
    painted = np.zeros(several.truth.shape, np.uint8)
    painted[6, 10:14, 10:14], painted[6, 20:24, 10:14] = 3, 1
    several.study.put_labels("P1", several.truth.with_voxels(painted), [6], round=0)
    expected = several.truth.voxels.copy()
    expected[6] = painted[6]
    assert np.array_equal(result(several.study, "P1", what="corrected").labelmap.voxels, expected)
    assert np.array_equal(result(several.study, "P1", what="annotation").labelmap.voxels, painted)


def test_the_list_tells_of_organs_that_were_not_found(several):
    voxels = np.where(several.truth.voxels == 2, 0, several.truth.voxels)
    several.study.put_prediction(0, "P1", several.truth.with_voxels(voxels), [0.1] * voxels.shape[0])
    checks = {check.name: check for check in preflight(several.study, Choice(case="P1", format="seg"))}
    assert (checks["Empty segments"].level, checks["Empty segments"].text) == ("warning", "Right kidney: no voxel.")
    assert checks["Codes"].level == "ok"


def test_own_segments_stand_for_all_organs_or_are_refused(several):
    own = organ_segments(("a", "b", "c"), "AUTOMATIC")
    assert result(several.study, "P1", segments=own).segments == own
    for wrong in (own[:2], (*own, *organ_segments(("d",), "AUTOMATIC"))):
        with pytest.raises(InputError, match=r"do not stand for the study's organs: liver, right kidney, left kidney"):
            result(several.study, "P1", segments=wrong)


def test_a_code_from_the_command_line_is_for_one_organ(call, several, tmp_path):
    told = call("export", several.folder, "P1", "--format", "seg", "-o", tmp_path / "a.dcm", "--code", "SCT:1:One")
    assert told.code == 3 and "study of one organ" in told.err


def test_a_labelmap_from_elsewhere_has_the_studys_organs(call, several, tmp_path):
    write_volume(tmp_path / "mine.nii.gz", several.truth)
    path = tmp_path / "a.dcm"
    told = call("export", several.folder, "P1", "--format", "seg", "-o", path, "--labelmap", tmp_path / "mine.nii.gz")
    assert told.code == 0, told.err
    items = pydicom.dcmread(path).SegmentSequence
    assert [item.SegmentLabel for item in items] == ["Liver", "Right kidney", "Left kidney"]
    assert {item.SegmentAlgorithmType for item in items} == {"MANUAL"}


def test_one_organ_is_one_segment(tmp_path):
    made = result(make_case(tmp_path).study, "P1")
    assert made.segments == (coded("liver"),)
