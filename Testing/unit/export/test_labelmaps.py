from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from VQBEGALLib.errors import InputError, StorageError
from VQBEGALLib.export.codes import coded
from VQBEGALLib.export.labelmaps import write_labelmap
from VQBEGALLib.export.segmentation import Code, Segment, Segmentation
from VQBEGALLib.volumes import Volume, read_labelmap

SUFFIXES = [".nii.gz", ".nii", ".nrrd", ".seg.nrrd", ".mha"]
LIVER = coded("liver", value=2)
assert LIVER is not None
LESION = Segment(
    value=7,
    name="Läsion n 1 | ~ ^ : = α",
    color=(255, 0, 51),
    type=Code("4147007", "SCT", "Mass^|~"),
    category=Code("49755003", "SCT", "Morphologically Altered Structure"),
)
UNCODED = Segment(value=9, name="What is this?", color=(1, 2, 3), type=None)
EMPTY = Segment(value=12, name="Nothing", color=(0, 0, 0), type=None)


def oblique(left_handed: bool = False, shear: float = 0.0) -> np.ndarray:
    affine = np.eye(4)
    turned = Rotation.from_rotvec((0.3, -0.5, 0.2)).as_matrix()
    turned[:, 2] = turned[:, 2] * (-1 if left_handed else 1) + shear * turned[:, 1]
    affine[:3, :3] = turned * (0.7, 0.9, 2.5)
    affine[:3, 3] = (-31.5, 12.25, -700.125)
    return affine


def made(affine: np.ndarray, segments: tuple[Segment, ...] = (LIVER, LESION, UNCODED, EMPTY)) -> Segmentation:
    voxels = np.zeros((6, 11, 13), np.uint8)
    held = [segment for segment in segments if segment != EMPTY]
    for number, segment in enumerate(held):
        voxels[1 + number : 4, 2:7, 3 + 2 * number : 10] = segment.value
    return Segmentation(labelmap=Volume(voxels, affine), segments=segments)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("left_handed", [False, True])
def test_voxels_and_places_come_back(tmp_path: Path, suffix: str, left_handed: bool) -> None:
    segmentation = made(oblique(left_handed))
    write_labelmap(tmp_path / f"out{suffix}", segmentation)
    read = read_labelmap(tmp_path / f"out{suffix}")
    assert read.voxels.dtype == np.uint8
    assert np.array_equal(read.voxels, segmentation.labelmap.voxels)
    assert read.same_grid(segmentation.labelmap)
    assert [path.name for path in tmp_path.iterdir()] == [f"out{suffix}"]


def opened(path: Path) -> Any:
    """Read a segmentation as the application does; skipped where its libraries are not installed."""
    slicer = pytest.importorskip("slicer")
    scene = slicer.vtkMRMLScene()
    node, storage = (scene.AddNewNodeByClass(f"vtkMRMLSegmentation{kind}") for kind in ("Node", "StorageNode"))
    storage.SetFileName(str(path))
    assert storage.ReadData(node) == 1
    assert storage.GetUserMessages().GetNumberOfMessages() == 0
    segmentation = node.GetSegmentation()
    segmentation.scene = scene  # lives as long as what was read
    return segmentation


def lps_affine(image: Any) -> np.ndarray:
    from vtkmodules.vtkCommonMath import vtkMatrix4x4

    matrix = vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    return np.diag((-1, -1, 1, 1)) @ [[matrix.GetElement(row, column) for column in range(4)] for row in range(4)]


def mask_of(found: Any, grid: Volume) -> np.ndarray:
    """Return the voxels that a segment has in the application, put onto the grid by the extent of its image."""
    from vtkmodules.util.numpy_support import vtk_to_numpy

    image, mask = found.GetRepresentation("Binary labelmap"), np.zeros(grid.shape, bool)
    i, i_end, j, j_end, k, k_end = image.GetExtent()
    values = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(k_end - k + 1, j_end - j + 1, i_end - i + 1)
    mask[k : k_end + 1, j : j_end + 1, i : i_end + 1] = values == found.GetLabelValue()
    assert np.allclose(lps_affine(image), grid.affine, atol=1e-9)
    return mask


@pytest.mark.parametrize("left_handed", [False, True])
def test_slicer_finds_names_colours_and_voxels(tmp_path: Path, left_handed: bool) -> None:
    segmentation = made(oblique(left_handed))
    write_labelmap(tmp_path / "out.seg.nrrd", segmentation)
    read = opened(tmp_path / "out.seg.nrrd")
    assert read.GetNumberOfSegments() == 4
    for index, segment in enumerate(segmentation.segments):
        found = read.GetNthSegment(index)
        assert (found.GetName(), found.GetLabelValue()) == (segment.name, segment.value)
        assert np.allclose(np.array(found.GetColor()) * 255, segment.color, atol=1e-3)
        mask = mask_of(found, segmentation.labelmap)
        assert np.array_equal(mask, segmentation.labelmap.voxels == segment.value)
        assert found.GetRepresentation("Binary labelmap").GetExtent() == (3, 9, 2, 6, 1, 3)  # no larger than needed


def test_slicer_paints_on_the_whole_grid_afterwards(tmp_path: Path) -> None:
    import slicer

    segmentation = made(oblique())
    write_labelmap(tmp_path / "out.seg.nrrd", segmentation)
    read, converter = opened(tmp_path / "out.seg.nrrd"), slicer.vtkSegmentationConverter
    text = read.GetConversionParameter(converter.GetReferenceImageGeometryParameterName())
    geometry = slicer.vtkOrientedImageData()
    assert converter.DeserializeImageGeometry(text, geometry, False)
    assert geometry.GetExtent() == (0, 12, 0, 10, 0, 5)
    assert np.allclose(lps_affine(geometry), segmentation.labelmap.affine, atol=1e-9)


def test_slicer_reads_the_terminology(tmp_path: Path) -> None:
    import slicer

    write_labelmap(tmp_path / "out.seg.nrrd", made(oblique()))
    read, logic, codes = opened(tmp_path / "out.seg.nrrd"), slicer.vtkSlicerTerminologiesModuleLogic(), []
    for index in range(2):
        entry = slicer.vtkSlicerTerminologyEntry()
        assert logic.DeserializeTerminologyEntry(read.GetNthSegment(index).GetTerminology(), entry)
        codes.append(
            [(part.GetCodeValue(), part.GetCodeMeaning()) for part in (entry.category_object, entry.type_object)]
        )
    assert codes[0] == [("123037004", "Anatomical Structure"), ("10200004", "Liver")]
    assert codes[1] == [("49755003", "Morphologically Altered Structure"), ("4147007", "Mass   ")]
    assert read.GetNthSegment(2).GetTerminology() == slicer.vtkSegment().GetTerminology()


def test_an_empty_segmentation_is_written_too(tmp_path: Path) -> None:
    write_labelmap(tmp_path / "out.seg.nrrd", made(oblique(), (EMPTY,)))
    assert opened(tmp_path / "out.seg.nrrd").GetNthSegment(0).GetName() == "Nothing"
    assert not read_labelmap(tmp_path / "out.seg.nrrd").voxels.any()


@pytest.mark.parametrize("suffix", [".nrrd", ".seg.nrrd", ".mha"])
def test_a_tilted_gantry_needs_nifti(tmp_path: Path, suffix: str) -> None:
    segmentation = made(oblique(shear=0.3))
    with pytest.raises(InputError, match="gantry") as caught:
        write_labelmap(tmp_path / f"out{suffix}", segmentation)
    assert "NIfTI" in caught.value.remedy
    assert list(tmp_path.iterdir()) == []
    write_labelmap(tmp_path / "out.nii.gz", segmentation)
    assert read_labelmap(tmp_path / "out.nii.gz").same_grid(segmentation.labelmap)


def test_an_unknown_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="suffix"):
        write_labelmap(tmp_path / "out.jpg", made(oblique()))


def test_a_full_disk_leaves_the_old_file(tiny_disk: Path) -> None:
    path = tiny_disk / "out.seg.nrrd"
    write_labelmap(path, made(oblique()))
    before = path.read_bytes()
    noise = np.random.default_rng(0).choice(np.uint8([0, 2, 7, 9]), (40, 200, 200))
    with pytest.raises(StorageError, match="full"):
        write_labelmap(path, Segmentation(labelmap=Volume(noise, np.eye(4)), segments=(LIVER, LESION, UNCODED)))
    assert path.read_bytes() == before
    assert [item.name for item in tiny_disk.iterdir()] == ["out.seg.nrrd"]
