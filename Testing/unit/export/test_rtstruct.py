"""Structure sets: read back by pydicom and matplotlib, or by rt-utils, they give the same mask."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from matplotlib.path import Path as Outline
from scipy.spatial.transform import Rotation

from Testing.dicom_series import PLANTED, phantom_series, write_series
from VQBEGALLib.errors import InputError
from VQBEGALLib.export.codes import coded
from VQBEGALLib.export.contours import MOST_POINTS, outlines
from VQBEGALLib.export.rtstruct import make_rtstruct
from VQBEGALLib.export.segmentation import Provenance, Segment, Segmentation
from VQBEGALLib.export.source import SourceSeries
from VQBEGALLib.volumes import Volume

LIVER = coded("liver")
assert LIVER is not None
LESION = Segment(value=200, name="Läsion α of a very long name", color=(9, 8, 7), type=None, method="MANUAL")
MADE = Provenance(round=2, description="VQ-BEGAL, prediction of round 2", creator="Müller^Änne")

READ = """
import sys
import numpy as np
from rt_utils import RTStructBuilder
read = RTStructBuilder.create_from(dicom_series_path=sys.argv[1], rt_struct_path=sys.argv[2])
masks = {name: read.get_roi_mask_by_name(name) for name in read.get_roi_names()}
np.savez(sys.argv[3], **masks)
"""


def headers(files: list[Path]) -> SourceSeries:
    return SourceSeries.of(pydicom.dcmread(path, stop_before_pixels=True) for path in files)


def oblique(tilt: float = 0.0) -> np.ndarray:
    directions = Rotation.from_rotvec((0.4, -0.3, 0.8)).as_matrix()
    directions[:, 2] += tilt * directions[:, 1]
    affine = np.eye(4)
    affine[:3, :3] = directions * (0.8, 1.1, 3.0)
    affine[:3, 3] = (-120.5, 33.25, 1410.125)
    return affine


def blocks(affine: np.ndarray) -> Volume:
    """A liver with a hole, an island in it, a part on its own and a lesion of one voxel, up to the image's edge."""
    voxels = np.zeros((7, 30, 24), np.uint8)
    voxels[0:5, 4:20, 0:14] = 1
    voxels[1:4, 8:16, 4:10] = 0
    voxels[2, 11:13, 6:8] = 1
    voxels[3, 22:29, 15:24] = 1
    voxels[2, 6, 2] = 200
    voxels[6, 29, 23] = 200
    return Volume(voxels, affine)


def made(labelmap: Volume, *segments: Segment) -> Segmentation:
    return Segmentation(labelmap=labelmap, segments=segments, provenance=MADE)


def saved(data: Any, path: Path) -> Any:
    data.save_as(path, enforce_file_format=True)
    return pydicom.dcmread(path)


def filled(contours: Any, source: SourceSeries) -> np.ndarray:
    """Fill contours by the definition: centres of pixels inside an odd number of the image's polygons."""
    shape, mask = source.grid.shape, np.zeros(source.grid.shape, bool)
    numbers = {header.SOPInstanceUID: index for index, header in enumerate(source.datasets)}
    rows, columns = np.mgrid[: shape[1], : shape[2]]
    for item in contours:
        points = np.reshape(np.array(item.ContourData, float), (-1, 3))
        assert len(points) == item.NumberOfContourPoints >= 3
        index = numbers[item.ContourImageSequence[0].ReferencedSOPInstanceUID]
        ijk = np.linalg.solve(source.grid.affine, np.column_stack((points, np.ones(len(points)))).T)[:3].T
        assert np.allclose(ijk[:, 2], index, atol=1e-3)
        inside = Outline(ijk[:, :2]).contains_points(np.column_stack((columns.ravel(), rows.ravel())))
        mask[index] ^= inside.reshape(shape[1:])
    return mask


@pytest.mark.parametrize("tilt", [0.0, 0.3])
@pytest.mark.parametrize("reverse", [False, True])
def test_outlines_enclose_the_voxels_of_an_oblique_shuffled_series(tmp_path: Path, tilt: float, reverse: bool) -> None:
    labelmap = blocks(oblique(tilt))
    source = headers(write_series(tmp_path / "ct", labelmap, shuffled=True))
    affine, voxels = labelmap.affine.copy(), labelmap.voxels
    if reverse:  # the labelmap's slices run the other way than the images
        affine[:3, 3], affine[:3, 2], voxels = (affine @ [0, 0, 6, 1])[:3], -affine[:3, 2], voxels[::-1]
    data = saved(make_rtstruct(made(Volume(voxels, affine), LIVER, LESION), source), tmp_path / "rt.dcm")
    for item, value in zip(data.ROIContourSequence, (1, 200), strict=True):
        assert np.array_equal(filled(item.ContourSequence, source), labelmap.voxels == value)
    assert len(data.ROIContourSequence[0].ContourSequence) == 7  # one with a hole is one; island and part are more


def test_a_library_reads_the_same_liver(tmp_path: Path) -> None:
    phantom = phantom_series(tmp_path, size=256, slices=12, shuffled=True)
    voxels = phantom.ct_labels.voxels.copy()
    voxels[5, 128:131, :3] = 1
    holed = np.argwhere(voxels[6])[len(np.argwhere(voxels[6])) // 2]
    voxels[6, holed[0] - 3 : holed[0] + 3, holed[1] - 3 : holed[1] + 3] = 0
    turned = oblique()
    turned[:3, 1] *= 0.8 / 1.1
    cases = {"ct": Volume(voxels, phantom.ct_labels.affine), "oblique": Volume(voxels, turned)}
    write_series(tmp_path / "oblique", cases["oblique"], shuffled=True)
    for name, labelmap in cases.items():
        source = headers(sorted((tmp_path / name).iterdir()))
        saved(make_rtstruct(made(labelmap, LIVER), source), tmp_path / "rt.dcm")
        target = tmp_path / f"{name}.npz"
        command = [sys.executable, "-c", READ, tmp_path / name, tmp_path / "rt.dcm", target]
        subprocess.run(command, check=True, capture_output=True)  # a process of its own: OpenCV changes Qt's settings
        mask = np.load(target)["Liver"].transpose(2, 0, 1)
        assert np.array_equal(mask, voxels == 1)


def test_who_what_and_whose(tmp_path: Path) -> None:
    labelmap = blocks(oblique())
    source = headers(write_series(tmp_path / "mr", labelmap, modality="MR"))
    empty = Segment(value=3, name="Spleen", color=(1, 1, 1), type=None)
    data = saved(make_rtstruct(made(labelmap, LIVER, empty, LESION), source), tmp_path / "rt.dcm")
    assert (str(data.PatientName), data.PatientID, data.PatientBirthDate, data.AccessionNumber) == PLANTED[:4]
    assert data.StudyInstanceUID == source.text("StudyInstanceUID")
    assert data.FrameOfReferenceUID == source.text("FrameOfReferenceUID")
    assert (data.Modality, data.ApprovalStatus, data.SeriesNumber) == ("RTSTRUCT", "UNAPPROVED", 2003)
    assert (str(data.OperatorsName), data.Manufacturer) == ("Müller^Änne", "VQBEGAL")
    assert [item.ROIName for item in data.StructureSetROISequence] == ["Liver", "Läsion α of a very long name"]
    assert [item.ROIGenerationAlgorithm for item in data.StructureSetROISequence] == ["AUTOMATIC", "MANUAL"]
    assert list(data.ROIContourSequence[0].ROIDisplayColor) == [221, 130, 101]
    first, second = data.RTROIObservationsSequence
    assert first.RTROIIdentificationCodeSequence[0].CodeValue == "10200004"
    assert "RTROIIdentificationCodeSequence" not in second
    referenced = data.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0].RTReferencedSeriesSequence[0]
    images = {(item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID) for item in referenced.ContourImageSequence}
    assert images == {(header.SOPClassUID, header.SOPInstanceUID) for header in source.datasets}


def test_every_export_has_new_uids(tmp_path: Path) -> None:
    labelmap = blocks(oblique())
    source = headers(write_series(tmp_path, labelmap))
    first, second = (make_rtstruct(made(labelmap, LIVER, LESION), source) for _ in range(2))
    assert first.SOPInstanceUID != second.SOPInstanceUID
    assert first.SeriesInstanceUID not in (second.SeriesInstanceUID, source.text("SeriesInstanceUID"))


@pytest.mark.skipif(not shutil.which("dciodvfy"), reason="dicom3tools are not installed")
@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_a_validator_finds_no_error(tmp_path: Path, modality: Any) -> None:
    labelmap = blocks(oblique(0.2))
    source = headers(write_series(tmp_path / "images", labelmap, modality=modality))
    saved(make_rtstruct(made(labelmap, LIVER, LESION), source), tmp_path / "rt.dcm")
    report = subprocess.run(["dciodvfy", tmp_path / "rt.dcm"], capture_output=True, text=True, check=False)
    assert "RTStructureSet" in report.stderr
    assert "Error" not in report.stderr


def test_names_in_another_character_set_stay_readable(tmp_path: Path) -> None:
    def edit(data: Any, index: int) -> None:
        data.SpecificCharacterSet, data.PatientName = "ISO_IR 100", "Größe^Ægir"

    labelmap = blocks(oblique())
    source = headers(write_series(tmp_path / "ct", labelmap, edit=edit))
    data = saved(make_rtstruct(made(labelmap, LIVER, LESION), source), tmp_path / "rt.dcm")
    assert str(data.PatientName) == "Größe^Ægir"
    assert "Größe^Ægir".encode() in (tmp_path / "rt.dcm").read_bytes()


def test_an_outline_longer_than_an_element_holds_is_cut(tmp_path: Path) -> None:
    voxels = (np.random.default_rng(0).random((2, 90, 90)) < 0.8).astype(np.uint8)
    assert len(outlines(voxels[0], 1, most=10**6)[0]) > 3 * MOST_POINTS
    labelmap = Volume(voxels, oblique())
    source = headers(write_series(tmp_path / "ct", labelmap))
    data = saved(make_rtstruct(made(labelmap, LIVER), source), tmp_path / "rt.dcm")
    assert np.array_equal(filled(data.ROIContourSequence[0].ContourSequence, source), labelmap.voxels == 1)


def test_an_empty_segmentation_is_refused(tmp_path: Path) -> None:
    empty = Volume(np.zeros((3, 20, 20), np.uint8), oblique())
    source = headers(write_series(tmp_path, empty))
    with pytest.raises(InputError, match="is empty: nothing to export"):
        make_rtstruct(made(empty, LIVER), source)


def test_another_grid_is_refused(tmp_path: Path) -> None:
    labelmap = blocks(oblique())
    source = headers(write_series(tmp_path, labelmap.with_voxels(labelmap.voxels)))
    with pytest.raises(InputError, match="grid"):
        make_rtstruct(made(Volume(labelmap.voxels[1:], labelmap.affine), LIVER, LESION), source)
