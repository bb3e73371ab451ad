"""DICOM SEG: read by highdicom, by plain pydicom and by dcmqi, the voxels are the same and lie in the same place."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import dcmqi
import highdicom
import numpy as np
import pydicom
import pytest
import SimpleITK
from scipy.spatial.transform import Rotation

from Testing.dicom_series import write_series
from VQBEGALLib.errors import InputError
from VQBEGALLib.export.seg import make_seg
from VQBEGALLib.export.segmentation import Code, Provenance, Segment, Segmentation
from VQBEGALLib.export.source import SourceSeries, read_source
from VQBEGALLib.volumes import Volume, on_grid, read_series

LIVER = Segment(value=1, name="Liver", color=(221, 130, 101), type=Code("10200004", "SCT", "Liver"))
SPLEEN = Segment(value=7, name="Spleen", color=(157, 108, 162), type=Code("78961009", "SCT", "Spleen"), method="MANUAL")
SHAPE = (9, 24, 20)


def affine(*, turn: tuple[float, float, float] = (0, 0, 0), tilt: float = 0.0) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(turn).as_matrix() * (0.8, 0.7, 2.5)
    matrix[:3, 2] += tilt * matrix[:3, 1]
    matrix[:3, 3] = (-90.5, -120.25, 33)
    return matrix


RIGHT_ANGLED = {
    "axial": affine(),
    "oblique": affine(turn=(0.3, -0.2, 0.15)),
    "coronal": affine(turn=(-np.pi / 2, 0, 0)),
}
POSES = {**RIGHT_ANGLED, "tilted gantry": affine(tilt=1.3)}


def labelmap_at(place: np.ndarray) -> Volume:
    """A liver without any symmetry on slices 2 to 6, and a spleen on one."""
    voxels = np.zeros(SHAPE, dtype=np.uint8)
    for index in range(2, 7):
        voxels[index, 3 : 10 + index, 2 : 8 + 2 * (index % 2)] = 1
    voxels[3, 18:22, 12:17] = 7
    return Volume(voxels, place)


def source_of(labelmap: Volume, folder: Path, **options: object) -> SourceSeries:
    image = np.random.default_rng(0).integers(0, 300, labelmap.shape).astype(np.int16)
    files = write_series(folder, labelmap.with_voxels(image), shuffled=True, **options)
    return read_source(files, read_series(folder).sop_instance_uids)


def both(labelmap: Volume, **made: object) -> Segmentation:
    return Segmentation(labelmap=labelmap, segments=(LIVER, SPLEEN), provenance=Provenance(**made))


def saved(dataset: pydicom.Dataset, folder: Path) -> Path:
    path = folder / "result.dcm"
    dataset.save_as(path, enforce_file_format=True)
    return path


def frames(path: Path, labelmap: Volume) -> np.ndarray:
    """Decode with pydicom alone, each frame put where its position says, as segment numbers (K, J, I)."""
    data = pydicom.dcmread(path)
    found = np.zeros(labelmap.shape, dtype=np.uint8)
    to_voxel = np.linalg.inv(labelmap.affine)
    planes = data.pixel_array.reshape(-1, *labelmap.shape[1:])
    for plane, group in zip(planes, data.PerFrameFunctionalGroupsSequence, strict=True):
        place = to_voxel @ [*group.PlanePositionSequence[0].ImagePositionPatient, 1]
        assert np.allclose(place, np.rint(place), atol=0.01)
        assert np.allclose(place[:2], 0, atol=0.01)
        number = group.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        found[round(place[2])][plane > 0] = number
    return found


def numbered(labelmap: Volume) -> np.ndarray:
    return np.where(labelmap.voxels == 7, 2, labelmap.voxels)


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
@pytest.mark.parametrize("pose", RIGHT_ANGLED)
def test_highdicom_reads_the_same_voxels_in_the_same_place(tmp_path, pose, kind):
    labelmap = labelmap_at(POSES[pose])
    path = saved(make_seg(both(labelmap), source_of(labelmap, tmp_path / "series"), kind=kind), tmp_path)
    whole = highdicom.Volume(np.zeros(SHAPE, np.uint8), labelmap.affine[:, [2, 1, 0, 3]], coordinate_system="PATIENT")
    read = highdicom.seg.segread(path).get_volume(combine_segments=True).match_geometry(whole)
    assert np.allclose(read.affine, whole.affine, atol=1e-4)
    assert np.array_equal(read.array, numbered(labelmap))


@pytest.mark.parametrize("pose", POSES)
def test_plain_pydicom_reads_the_same_voxels_in_the_same_place(tmp_path, pose):
    labelmap = labelmap_at(POSES[pose])
    path = saved(make_seg(both(labelmap), source_of(labelmap, tmp_path / "series")), tmp_path)
    assert np.array_equal(frames(path, labelmap), numbered(labelmap))


@pytest.mark.parametrize("pose", RIGHT_ANGLED)
def test_dcmqi_reads_the_same_voxels_in_the_same_place(tmp_path, pose):
    labelmap = labelmap_at(POSES[pose])
    path = saved(make_seg(both(labelmap), source_of(labelmap, tmp_path / "series")), tmp_path)
    program = Path(dcmqi.__file__).parent / "bin" / "segimage2itkimage"
    command = [program, "--inputDICOM", path, "--outputDirectory", tmp_path, "--outputType", "nrrd"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    for number in (1, 2):
        image = SimpleITK.ReadImage(str(tmp_path / f"{number}.nrrd"))
        start = labelmap.affine[:3, :3] @ np.zeros(3) + np.array(image.GetOrigin())
        offset = np.linalg.inv(labelmap.affine) @ [*start, 1]  # it keeps the slices that hold a segment only
        first = round(offset[2])
        assert np.allclose(offset[:3], (0, 0, first), atol=0.01)
        part = SimpleITK.GetArrayFromImage(image)
        found = np.zeros(SHAPE, dtype=bool)
        found[first : first + len(part)] = part > 0
        assert np.array_equal(found, numbered(labelmap) == number)


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
def test_voxels_in_another_order_than_the_images_are_turned(tmp_path, kind):
    """As of a volume that the application read from the other end."""
    labelmap = labelmap_at(POSES["oblique"])
    turned = labelmap.affine.copy()
    turned[:3, 3] += turned[:3, 2] * (SHAPE[0] - 1)
    turned[:3, 2] *= -1
    other = Volume(labelmap.voxels[::-1].copy(), turned)
    source = source_of(labelmap, tmp_path / "series")
    assert np.array_equal(
        make_seg(both(other), source, kind=kind).pixel_array, make_seg(both(labelmap), source, kind=kind).pixel_array
    )


def test_it_refers_to_every_image_and_tells_what_made_it(tmp_path):
    labelmap = labelmap_at(POSES["axial"])
    source = source_of(labelmap, tmp_path / "series")
    data = make_seg(both(labelmap, round=3, creator="Doe^Jane", description="Prediction of round 3"), source)
    references = data.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    assert {item.ReferencedSOPInstanceUID for item in references} == {item.SOPInstanceUID for item in source.datasets}
    liver, spleen = data.SegmentSequence
    assert (liver.SegmentedPropertyTypeCodeSequence[0].CodeValue, liver.SegmentAlgorithmType) == (
        "10200004",
        "AUTOMATIC",
    )
    assert liver.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "123037004"
    algorithm = liver.SegmentationAlgorithmIdentificationSequence[0]
    assert (algorithm.AlgorithmName, algorithm.AlgorithmParameters) == ("VQBEGAL", "round=3")
    assert algorithm.AlgorithmVersion
    assert spleen.SegmentAlgorithmType == "MANUAL"
    assert "SegmentationAlgorithmIdentificationSequence" not in spleen
    assert data.ContentCreatorName == "Doe^Jane"
    assert data.SeriesDescription == "Prediction of round 3"
    assert data.StudyInstanceUID == source.text("StudyInstanceUID")
    assert data.FrameOfReferenceUID == source.text("FrameOfReferenceUID")


def test_every_export_has_new_uids(tmp_path):
    labelmap = labelmap_at(POSES["axial"])
    source = source_of(labelmap, tmp_path / "series")
    first, second = (make_seg(both(labelmap), source) for _ in range(2))
    assert first.SOPInstanceUID != second.SOPInstanceUID
    assert first.SeriesInstanceUID != second.SeriesInstanceUID


def test_a_validator_finds_no_error(tmp_path):
    """Only the binary kind: Debian's validator does not know the other yet."""
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy (Debian: dicom3tools) is not installed")
    labelmap = labelmap_at(POSES["axial"])
    path = saved(make_seg(both(labelmap, round=1), source_of(labelmap, tmp_path / "series")), tmp_path)
    done = subprocess.run(["dciodvfy", path], capture_output=True, text=True, timeout=60)
    errors = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]
    assert not errors
    assert "Segmentation" in done.stdout + done.stderr


def test_names_outside_ascii_survive_whatever_the_source_was_written_in(tmp_path):
    def rename(data: pydicom.Dataset, index: int) -> None:
        data.SpecificCharacterSet = "ISO_IR 100"
        data.PatientName = "Müller^Jörg"

    labelmap = labelmap_at(POSES["axial"])
    odd = Segmentation(
        labelmap=labelmap, segments=(replace(LIVER, name="Läsion α"), SPLEEN), provenance=Provenance(creator="Ño^Zoë")
    )
    path = saved(make_seg(odd, source_of(labelmap, tmp_path / "series", edit=rename)), tmp_path)
    data = pydicom.dcmread(path)
    assert (data.PatientName, data.ContentCreatorName) == ("Müller^Jörg", "Ño^Zoë")
    assert data.SegmentSequence[0].SegmentLabel == "Läsion α"


@pytest.mark.filterwarnings("default")
def test_a_name_without_parts_is_not_shouted_out(tmp_path, recwarn):
    def rename(data: pydicom.Dataset, index: int) -> None:
        data.PatientName = "PLANTEDNAME"

    labelmap = labelmap_at(POSES["axial"])
    data = make_seg(both(labelmap), source_of(labelmap, tmp_path / "series", edit=rename))
    assert data.PatientName == "PLANTEDNAME"
    assert not [item for item in recwarn if "PLANTEDNAME" in str(item.message)]


def test_an_empty_segment_is_left_out_and_an_empty_segmentation_refused(tmp_path):
    labelmap = labelmap_at(POSES["axial"])
    source = source_of(labelmap, tmp_path / "series")
    only = labelmap.with_voxels(np.where(labelmap.voxels == 7, 7, 0).astype(np.uint8))
    assert [item.SegmentLabel for item in make_seg(both(only), source).SegmentSequence] == ["Spleen"]
    with pytest.raises(InputError, match="empty"):
        make_seg(both(labelmap.with_voxels(np.zeros(SHAPE, np.uint8))), source)


def test_a_segment_without_a_code_is_refused(tmp_path):
    labelmap = labelmap_at(POSES["axial"])
    unknown = Segmentation(labelmap=labelmap, segments=(replace(LIVER, type=None), SPLEEN))
    with pytest.raises(InputError, match="Liver has no code"):
        make_seg(unknown, source_of(labelmap, tmp_path / "series"))


def test_another_grid_is_refused(tmp_path):
    labelmap = labelmap_at(POSES["axial"])
    source = source_of(labelmap, tmp_path / "series")
    with pytest.raises(InputError, match="not on the image's grid"):
        make_seg(both(Volume(labelmap.voxels, POSES["oblique"])), source)


def test_the_source_grid_is_the_volume_that_was_read(tmp_path):
    labelmap = labelmap_at(POSES["tilted gantry"])
    source = source_of(labelmap, tmp_path / "series")
    assert source.grid.same_grid(read_series(tmp_path / "series").volume)
    assert np.array_equal(on_grid(labelmap, source.grid).voxels, labelmap.voxels)
