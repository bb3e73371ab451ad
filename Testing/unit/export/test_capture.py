from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from scipy.spatial.transform import Rotation

from Testing.dicom_series import PLANTED, write_series
from VQBEGALLib.errors import InputError
from VQBEGALLib.export.capture import make_capture
from VQBEGALLib.export.codes import coded
from VQBEGALLib.export.segmentation import Provenance, Segmentation
from VQBEGALLib.export.source import SourceSeries
from VQBEGALLib.volumes import Volume

LIVER = coded("liver")
assert LIVER is not None
MADE = Provenance(round=2, description="VQ-BEGAL, prediction of round 2", creator="Müller^Änne")


def oblique(tilt: float = 0.0) -> np.ndarray:
    directions = Rotation.from_rotvec((0.2, -0.1, 0.3)).as_matrix()
    directions[:, 2] += tilt * directions[:, 1]
    affine = np.eye(4)
    affine[:3, :3] = directions * (0.8, 1.1, 3.0)
    affine[:3, 3] = (-120.5, 33.25, 1410.125)
    return affine


def image(affine: np.ndarray) -> Volume:
    return Volume(np.random.default_rng(0).integers(-200, 400, (6, 40, 32)).astype(np.int16), affine)


def labels(affine: np.ndarray) -> Volume:
    voxels = np.zeros((6, 40, 32), np.uint8)
    voxels[[1, 2, 4], 10:20, 5:15] = 1
    return Volume(voxels, affine)


def source(folder: Path, volume: Volume, **options: Any) -> SourceSeries:
    files = write_series(folder, volume, shuffled=True, **options)
    return SourceSeries.of(pydicom.dcmread(path, stop_before_pixels=True) for path in files)


def made(labelmap: Volume) -> Segmentation:
    return Segmentation(labelmap=labelmap, segments=(LIVER,), provenance=MADE)


def reread(made_: Iterator[Any], folder: Path) -> list[Any]:
    folder.mkdir()
    for number, data in enumerate(made_):
        data.save_as(folder / f"{number}.dcm", enforce_file_format=True)
    return [pydicom.dcmread(path) for path in sorted(folder.iterdir())]


@pytest.mark.parametrize("tilt", [0.0, 0.3])
def test_slices_with_a_segment_lie_on_their_sources(tmp_path: Path, tilt: float) -> None:
    affine = oblique(tilt)
    series = source(tmp_path / "ct", image(affine))
    captured = reread(make_capture(made(labels(affine)), series, image(affine)), tmp_path / "sc")
    zoom = 16
    assert [data.InstanceNumber for data in captured] == [1, 2, 3]
    for data, index in zip(captured, (1, 2, 4), strict=True):
        header = series.datasets[index]
        assert data.SourceImageSequence[0].ReferencedSOPInstanceUID == header.SOPInstanceUID
        assert np.allclose(data.ImageOrientationPatient, header.ImageOrientationPatient, atol=1e-9)
        assert np.allclose(np.array(data.PixelSpacing) * zoom, header.PixelSpacing)
        assert data.Columns == 32 * zoom and data.Rows > 40 * zoom
        row, column = np.reshape(data.ImageOrientationPatient, (2, 3)).astype(float)
        down, right = map(float, data.PixelSpacing)
        middle = np.array(data.ImagePositionPatient, float) + (zoom - 1) / 2 * (row * right + column * down)
        assert np.allclose(middle, header.ImagePositionPatient, atol=1e-4)
        marked = np.argwhere((data.pixel_array[: 40 * zoom] == LIVER.color).all(axis=2))
        assert marked.min(axis=0).tolist() == [10 * zoom, 5 * zoom]
        assert marked.max(axis=0).tolist() == [20 * zoom - 1, 15 * zoom - 1]


def test_another_order_of_the_voxels_gives_the_same_pictures(tmp_path: Path) -> None:
    affine = oblique()
    series, shown, drawn = source(tmp_path / "ct", image(affine)), image(affine), labels(affine)
    flip = np.diag((-1.0, 1.0, -1.0, 1.0))
    flip[0, 3], flip[2, 3] = 31, 5
    other = [Volume(volume.voxels[::-1, :, ::-1], affine @ flip) for volume in (drawn, shown)]
    straight, turned = (
        list(make_capture(made(labelmap), series, volume)) for labelmap, volume in ((drawn, shown), other)
    )
    for one, two in zip(straight, turned, strict=True):
        assert np.array_equal(one.pixel_array, two.pixel_array)
        assert one.ImagePositionPatient == two.ImagePositionPatient


def test_who_what_and_whose(tmp_path: Path) -> None:
    def edit(data: Any, index: int) -> None:
        data.SpecificCharacterSet, data.PatientName, data.LossyImageCompression = "ISO_IR 100", "Größe", "01"

    affine = oblique()
    series = source(tmp_path / "mr", image(affine).with_voxels(image(affine).voxels + 200), modality="MR", edit=edit)
    first, second, _ = reread(make_capture(made(labels(affine)), series, image(affine)), tmp_path / "sc")
    assert (str(first.PatientName), first.PatientID, first.PatientBirthDate) == ("Größe", *PLANTED[1:3])
    assert first.StudyInstanceUID == series.text("StudyInstanceUID")
    assert first.FrameOfReferenceUID == series.text("FrameOfReferenceUID")
    assert first.SeriesInstanceUID == second.SeriesInstanceUID != series.text("SeriesInstanceUID")
    assert first.SOPInstanceUID != second.SOPInstanceUID
    assert first.SeriesDescription == "Overlay: VQ-BEGAL, prediction of round 2"
    assert list(first.ImageType[:2]) == ["DERIVED", "SECONDARY"]
    assert (first.BurnedInAnnotation, first.ConversionType, first.SeriesNumber) == ("NO", "WSD", 3003)
    assert (str(first.OperatorsName), first.LossyImageCompression) == ("Müller^Änne", "01")
    assert list(first.PatientOrientation) == ["L", "P"]


@pytest.mark.skipif(not shutil.which("dciodvfy"), reason="dicom3tools are not installed")
@pytest.mark.parametrize("with_body_part", [True, False])
def test_a_validator_finds_no_error(tmp_path: Path, with_body_part: bool) -> None:
    def edit(data: Any, index: int) -> None:
        if not with_body_part:
            del data.BodyPartExamined

    series = source(tmp_path / "ct", image(oblique()), edit=edit)
    reread(make_capture(made(labels(oblique())), series, image(oblique())), tmp_path / "sc")
    report = subprocess.run(["dciodvfy", tmp_path / "sc" / "1.dcm"], capture_output=True, text=True, check=False)
    assert "SCImage" in report.stderr
    assert "Error" not in report.stderr


def test_an_empty_segmentation_is_refused_at_once(tmp_path: Path) -> None:
    empty = Volume(np.zeros((6, 40, 32), np.uint8), oblique())
    series = source(tmp_path, image(oblique()))
    with pytest.raises(InputError, match="is empty: nothing to export"):
        make_capture(made(empty), series, image(oblique()))


def test_an_image_on_another_grid_is_refused(tmp_path: Path) -> None:
    series = source(tmp_path, image(oblique()))
    shorter = Volume(image(oblique()).voxels[1:], oblique())
    with pytest.raises(InputError, match="The image is not on"):
        make_capture(made(labels(oblique())), series, shorter)
