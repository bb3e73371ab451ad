from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless
from scipy.spatial.transform import Rotation

from VQBEGALLib.errors import InputError
from VQBEGALLib.volumes import Volume, read_labelmap, read_series, read_volume

Edit = Callable[[FileDataset, int], None]
STORED = np.random.default_rng(0).integers(0, 4000, (5, 6, 7)).astype(np.uint16)


def series(
    folder: Path,
    *,
    affine: np.ndarray | None = None,
    stored: np.ndarray = STORED,
    uid: str = "2.25.77",
    modality: str = "CT",
    syntax: str = ExplicitVRLittleEndian,
    shuffled: bool = False,
    edit: Edit = lambda dataset, index: None,
) -> Volume:
    """Write voxels (K, J, I) as one file a slice; return the volume they stand for.

    Args:
        affine: (i, j, k, 1) → LPS mm; its K axis may be sheared.
        edit: changes a slice's data set before it is written.
    """
    folder.mkdir(exist_ok=True, parents=True)
    affine = np.diag((0.8, 0.7, 2.5, 1.0)) if affine is None else affine
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    order = np.random.default_rng(3).permutation(len(stored)) if shuffled else np.arange(len(stored))
    for index, plane in enumerate(stored):
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = syntax
        meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
        meta.MediaStorageSOPInstanceUID = f"{uid}.{index + 1}"
        big, implicit = syntax == ExplicitVRBigEndian, syntax == ImplicitVRLittleEndian
        data = FileDataset(
            None, {}, file_meta=meta, preamble=b"\0" * 128, is_implicit_VR=implicit, is_little_endian=not big
        )
        data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
        data.SeriesInstanceUID, data.StudyInstanceUID, data.FrameOfReferenceUID = uid, "2.25.1", "2.25.2"
        data.Modality, data.PatientName = modality, "Secret^Name"
        data.Rows, data.Columns = plane.shape
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.BitsAllocated = data.BitsStored = 16
        data.HighBit, data.PixelRepresentation = 15, int(plane.dtype.kind == "i")
        data.RescaleSlope, data.RescaleIntercept = 1, -1024
        data.SliceThickness = 99  # never to be believed
        data.PixelSpacing = [f"{spacing[1]:.10g}", f"{spacing[0]:.10g}"]
        data.ImageOrientationPatient = [f"{x:.12f}" for x in (affine[:3, :2] / spacing[:2]).T.ravel()]
        data.ImagePositionPatient = [f"{x:.8f}" for x in (affine @ [0, 0, index, 1])[:3]]
        data.PixelData = plane.astype(plane.dtype.newbyteorder(">" if big else "<")).tobytes()
        data["PixelData"].VR = "OW"
        edit(data, index)
        data.save_as(folder / f"IM{order[index]:04d}")
    return Volume(stored.astype(np.int64) - 1024, affine)


def refused(path: Path, says: str) -> InputError:
    with pytest.raises(InputError, match=says) as caught:
        read_series(path)
    assert caught.value.remedy
    assert "Secret" not in str(caught.value)
    return caught.value


@st.composite
def right_handed(draw: st.DrawFn) -> np.ndarray:
    """Oblique, flipped, axial, coronal or sagittal acquisitions, some with a tilted gantry; K along the normal."""
    turn = Rotation.from_rotvec([draw(st.floats(-2, 2)) for _ in range(3)]).as_matrix()
    axes = np.eye(3)[:, draw(st.permutations(range(3)))] * [draw(st.sampled_from((-1.0, 1.0))) for _ in range(3)]
    directions = turn @ axes if draw(st.booleans()) else axes
    directions[:, 2] = np.cross(directions[:, 0], directions[:, 1])
    directions[:, 2] += draw(st.sampled_from((0.0, 0.3, -0.4))) * directions[:, 1]
    affine = np.eye(4)
    affine[:3, :3] = directions * [draw(st.floats(0.4, 2)), draw(st.floats(0.4, 2)), draw(st.floats(0.5, 8))]
    affine[:3, 3] = [draw(st.floats(-500, 500)) for _ in range(3)]
    return affine


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(affine=right_handed(), reverse=st.booleans())
def test_every_acquisition_lies_where_its_positions_say(tmp_path: Path, affine: np.ndarray, reverse: bool) -> None:
    """Slices written against their normal come back along it, at the same places."""
    written_affine, stored = affine.copy(), STORED
    if reverse:
        stored = STORED[::-1]
        written_affine[:3, 3] = (affine @ [0, 0, len(STORED) - 1, 1])[:3]
        written_affine[:3, 2] *= -1
    series(tmp_path, affine=written_affine, stored=stored, shuffled=True)
    read = read_series(tmp_path)
    assert np.array_equal(read.volume.voxels, STORED.astype(int) - 1024)
    assert read.volume.same_grid(Volume(STORED, affine))
    numbers = range(1, 6) if not reverse else range(5, 0, -1)
    assert read.sop_instance_uids == tuple(f"2.25.77.{number}" for number in numbers)


def test_what_refers_to_the_series_is_kept(tmp_path: Path) -> None:
    series(tmp_path)
    read = read_series(tmp_path)
    assert (read.modality, read.series_uid, read.study_uid) == ("CT", "2.25.77", "2.25.1")
    assert read.frame_of_reference_uid == "2.25.2"
    assert read_volume(tmp_path).same_grid(read.volume)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("dtype", [np.uint16, np.int16])
def test_every_uncompressed_encoding_gives_the_same_values(tmp_path: Path, syntax: str, dtype: type) -> None:
    written = series(tmp_path, syntax=syntax, stored=STORED.astype(dtype))
    read = read_series(tmp_path).volume
    assert np.array_equal(read.voxels, written.voxels)
    assert read.voxels.dtype == np.int16


@pytest.mark.parametrize("size", [7, 65])  # GDCM refuses very small RLE images; pydicom decodes those
def test_compressed_pixels_are_decoded_without_a_sop_class(tmp_path: Path, size: int) -> None:
    stored = np.random.default_rng(1).integers(0, 4000, (3, size, size)).astype(np.uint16)

    def edit(data: FileDataset, index: int) -> None:
        data.compress(RLELossless, generate_instance_uid=False)
        del data.SOPClassUID, data.file_meta.MediaStorageSOPClassUID

    written = series(tmp_path, stored=stored, edit=edit)
    assert np.array_equal(read_series(tmp_path).volume.voxels, written.voxels)


def test_slope_and_intercept_of_each_slice_are_applied_to_mr_too(tmp_path: Path) -> None:
    def edit(data: FileDataset, index: int) -> None:
        data.RescaleSlope, data.RescaleIntercept = 0.5 + index, index
        data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.4"

    series(tmp_path, modality="MR", edit=edit)
    voxels = read_series(tmp_path).volume.voxels
    k = np.arange(5).reshape(5, 1, 1)
    assert voxels.dtype == np.float32
    assert np.allclose(voxels, STORED * (0.5 + k) + k)


def test_attributes_that_are_not_needed_may_be_absent(tmp_path: Path) -> None:
    def edit(data: FileDataset, index: int) -> None:
        for keyword in ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "RescaleSlope"):
            delattr(data, keyword)
        for keyword in ("RescaleIntercept", "Modality", "SliceThickness", "FrameOfReferenceUID", "PatientName"):
            delattr(data, keyword)
        del data.file_meta.MediaStorageSOPClassUID

    series(tmp_path, edit=edit)
    read = read_series(tmp_path)
    assert np.array_equal(read.volume.voxels, STORED)
    assert (read.modality, read.series_uid) == ("", "")
    assert read.sop_instance_uids[0] == "2.25.77.1"


def test_files_without_a_preamble_are_found(tmp_path: Path) -> None:
    written = series(tmp_path, syntax=ImplicitVRLittleEndian)
    for path in tmp_path.iterdir():
        data = pydicom.dcmread(path)
        data.preamble, data.file_meta = None, FileMetaDataset()
        data.save_as(path, implicit_vr=True, little_endian=True, enforce_file_format=False)
        assert path.read_bytes()[128:132] != b"DICM"
    assert np.array_equal(read_series(tmp_path).volume.voxels, written.voxels)


def test_other_files_and_objects_are_passed_over(tmp_path: Path) -> None:
    written = series(tmp_path / "nested")
    series(tmp_path / "seg", uid="2.25.88", modality="SEG")
    series(tmp_path / "report", uid="2.25.99", modality="SR", edit=lambda data, index: delattr(data, "Rows"))
    for path in (tmp_path / "report").iterdir():
        report = pydicom.dcmread(path)
        report.SOPClassUID = report.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.88.11"
        report.save_as(path)
    (tmp_path / "readme.txt").write_text("no image")
    (tmp_path / "empty").touch()
    assert np.array_equal(read_series(tmp_path).volume.voxels, written.voxels)


def test_several_series_are_listed_and_one_can_be_chosen(tmp_path: Path) -> None:
    series(tmp_path / "a")
    series(tmp_path / "b", uid="2.25.5", modality="MR", stored=STORED[:3] + 1)
    error = refused(tmp_path, "2 series")
    assert "5 CT images, series 2.25.77; 3 MR images, series 2.25.5" in error.problem
    assert read_series(tmp_path, series_uid="2.25.5").volume.shape == (3, 6, 7)
    with pytest.raises(InputError, match=r"no images of series 2\.25\.6"):
        read_series(tmp_path, series_uid="2.25.6")


def test_one_file_stands_for_its_series(tmp_path: Path) -> None:
    series(tmp_path)
    for path in list(tmp_path.iterdir()):
        path.rename(tmp_path / f"first-{path.name}")
    series(tmp_path, uid="2.25.5", stored=STORED[:3])
    assert read_volume(tmp_path / "IM0001").shape == (3, 6, 7)
    assert read_volume(tmp_path / "first-IM0001").shape == (5, 6, 7)


def test_a_gap_is_refused_with_its_place(tmp_path: Path) -> None:
    series(tmp_path)
    (tmp_path / "IM0003").unlink()
    refused(tmp_path, r"5\.00 mm between slices 3 and 4 \(IM0002, IM0004\), 2\.50 mm elsewhere")


@pytest.mark.parametrize(("shift", "accepted"), [(0.1, True), (0.5, False)])
def test_spacing_may_vary_by_a_tenth(tmp_path: Path, shift: float, accepted: bool) -> None:
    def edit(data: FileDataset, index: int) -> None:
        if index == 2:
            data.ImagePositionPatient[2] = f"{5.0 + shift:.3f}"

    series(tmp_path, edit=edit)
    if accepted:
        assert read_series(tmp_path).volume.spacing[0] == pytest.approx(2.5)
    else:
        refused(tmp_path, "not evenly spaced")


def test_slices_that_stray_sideways_are_refused(tmp_path: Path) -> None:
    def edit(data: FileDataset, index: int) -> None:
        if index == 2:
            data.ImagePositionPatient[0] = "4"

    series(tmp_path, edit=edit)
    refused(tmp_path, "straight line")


def test_a_copy_of_a_file_is_dropped_and_another_image_in_its_place_is_not(tmp_path: Path) -> None:
    written = series(tmp_path)
    (tmp_path / "copy").write_bytes((tmp_path / "IM0002").read_bytes())
    assert np.array_equal(read_series(tmp_path).volume.voxels, written.voxels)
    other = pydicom.dcmread(tmp_path / "copy")
    other.SOPInstanceUID = "2.25.4"
    other.save_as(tmp_path / "copy")
    error = refused(tmp_path, "same position")
    assert "copy" in error.problem and "IM0002" in error.problem


@pytest.mark.parametrize(
    ("keyword", "value", "says"),
    [
        ("Rows", 3, "different sizes"),
        ("ImageOrientationPatient", [0, 1, 0, 0, 0, -1], "different orientations"),
        ("PixelSpacing", [0.7, 0.9], "different pixel sizes"),
        ("NumberOfFrames", 4, "many frames"),
        ("SamplesPerPixel", 3, "colour"),
    ],
)
def test_images_that_do_not_belong_together_are_refused(tmp_path: Path, keyword: str, value: object, says: str) -> None:
    series(tmp_path, edit=lambda data, index: setattr(data, keyword, value) if index == 3 else None)
    assert "IM0003" in refused(tmp_path, says).problem


@pytest.mark.parametrize("keyword", ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"])
@pytest.mark.parametrize("empty", [True, False])
def test_without_geometry_a_series_is_refused(tmp_path: Path, keyword: str, empty: bool) -> None:
    def edit(data: FileDataset, index: int) -> None:
        if index == 1:
            setattr(data, keyword, None) if empty else delattr(data, keyword)

    series(tmp_path, edit=edit)
    assert "IM0001" in refused(tmp_path, keyword).problem


@pytest.mark.parametrize("orientation", [[0, 0, 0, 0, 1, 0], [1, 0, 0, 1, 0, 0]])
def test_an_orientation_that_spans_no_plane_is_refused(tmp_path: Path, orientation: list[float]) -> None:
    series(tmp_path, edit=lambda data, index: setattr(data, "ImageOrientationPatient", orientation))
    refused(tmp_path, "perpendicular")


def test_one_slice_takes_its_thickness(tmp_path: Path) -> None:
    series(tmp_path, stored=STORED[:1])
    volume = read_series(tmp_path).volume
    assert volume.shape == (1, 6, 7)
    assert volume.spacing == pytest.approx((99, 0.7, 0.8))


@pytest.mark.parametrize("kept", [0, 200, 0.6, 0.95])
def test_damaged_files_are_named(tmp_path: Path, kept: float, capfd: pytest.CaptureFixture[str]) -> None:
    series(tmp_path)
    for path in list(tmp_path.iterdir()):
        path.rename(path.with_suffix(".dcm"))
    whole = (tmp_path / "IM0002.dcm").read_bytes()
    (tmp_path / "IM0002.dcm").write_bytes(whole[: int(len(whole) * kept) if kept < 1 else int(kept)])
    with pytest.raises(InputError, match=r"IM0002\.dcm") as caught:
        read_volume(tmp_path)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    refused(tmp_path / "nothing", "does not exist")


def test_real_compressed_series_without_sop_class_lies_where_its_labels_say(shared_data: Path) -> None:
    read = read_series(shared_data / "ct_dicom")
    volume, liver = read.volume, read_labelmap(shared_data / "ct_dicom_liver.nii.gz")
    assert (volume.shape, volume.voxels.dtype, read.modality) == ((20, 512, 512), np.int16, "CT")
    assert len(set(read.sop_instance_uids)) == 20
    flip = np.diag((1.0, -1.0, 1.0, 1.0))  # the labels' rows run the other way
    flip[1, 3] = 511
    turned = Volume(liver.voxels[:, ::-1], liver.affine @ flip)
    assert turned.same_grid(volume)
    inside = volume.voxels[turned.voxels == 1]
    assert 50 < inside.mean() < 130 and inside.std() < 40
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(shared_data / "ct_dicom")))
    assert np.array_equal(SimpleITK.GetArrayFromImage(reader.Execute()), volume.voxels)


@pytest.mark.parametrize("keyword", ["PatientID", "PatientName", "StudyInstanceUID", "FrameOfReferenceUID"])
def test_images_of_several_patients_or_studies_are_no_series(tmp_path, keyword):
    def edit(data: FileDataset, index: int) -> None:
        setattr(data, keyword, "2.25.9" if index == 2 else "2.25.8")

    series(tmp_path, edit=edit)
    refused(tmp_path, f"differ in {keyword}")


@pytest.mark.filterwarnings("ignore:Invalid value for VR DS")
@pytest.mark.parametrize("index", range(5))
def test_a_position_that_is_no_number_is_refused_wherever_it_stands(tmp_path, index):
    """NaN sorts anywhere: the slices after it would come in a wrong order, and no distance would look odd."""

    def edit(data: FileDataset, number: int) -> None:
        if number == index:
            data["ImagePositionPatient"].value = ["0", "0", "nan"]

    series(tmp_path, shuffled=True, edit=edit)
    refused(tmp_path, "no ImagePositionPatient")


def test_spacing_that_is_not_positive_is_refused(tmp_path):
    def edit(data: FileDataset, index: int) -> None:
        data.PixelSpacing = ["-0.8", "0.7"]

    series(tmp_path, edit=edit)
    refused(tmp_path, "not positive")


def test_values_stay_what_they_are_where_the_display_is_inverted(tmp_path):
    def edit(data: FileDataset, index: int) -> None:
        data.PhotometricInterpretation = "MONOCHROME1"

    expected = series(tmp_path, edit=edit)
    assert np.array_equal(read_series(tmp_path).volume.voxels, expected.voxels)


def test_a_list_with_a_byte_order_mark_loses_no_file_and_a_missing_file_is_told(tmp_path):
    expected = series(tmp_path / "a")
    files = sorted((tmp_path / "a").iterdir())
    (tmp_path / "list.txt").write_text("\r\n".join(map(str, files)), encoding="utf-8-sig")
    assert np.array_equal(read_series(tmp_path / "list.txt").volume.voxels, expected.voxels)
    files[0].unlink()
    refused(tmp_path / "list.txt", "which is not there")


def test_an_image_too_many_is_to_be_removed_and_a_missing_one_exported(tmp_path):
    def between(data: FileDataset, index: int) -> None:
        if index == 4:
            data.ImagePositionPatient = ["0", "0", "8.3"]  # 7.5 and 10 are the places of its neighbours

    series(tmp_path / "more", edit=between)
    assert "Remove" in refused(tmp_path / "more", "not evenly spaced").remedy
    series(tmp_path / "less")
    (tmp_path / "less" / "IM0002").unlink()
    assert "all its slices" in refused(tmp_path / "less", "not evenly spaced").remedy
