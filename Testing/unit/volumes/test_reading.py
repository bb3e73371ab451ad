from __future__ import annotations

import os
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st

from VQBEGALLib.errors import InputError, MissingDependencyError
from VQBEGALLib.volumes import Volume, binary_labelmap, organ_labelmap, read_labelmap, read_volume, write_volume

RAS = np.array([[0.7, 0, 0, 10], [0, 0.8, 0, 20], [0, 0, 5, 30], [0, 0, 0, 1.0]])
SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".mha")


def nifti(path: Path, voxels: np.ndarray, affine: np.ndarray | None = RAS, **header: object) -> Path:
    """Write with nibabel alone; header fields as given."""
    image = nibabel.Nifti1Image(voxels, affine, dtype=voxels.dtype)
    for name, value in header.items():
        image.header[name] = value
    nibabel.save(image, path)
    return path


def refused(path: Path, says: str | None = None) -> InputError:
    """Read what must not be read; return the error, which names the file and says what to do."""
    with pytest.raises(InputError, match=says) as caught:
        read_volume(path)
    assert path.name in caught.value.problem
    assert caught.value.remedy
    assert "\n" not in str(caught.value)
    return caught.value


def test_nifti_is_turned_from_ras_to_lps(tmp_path: Path) -> None:
    voxels = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    volume = read_volume(nifti(tmp_path / "a.nii.gz", voxels))
    assert np.array_equal(volume.voxels, voxels.transpose(2, 1, 0))
    assert np.allclose(volume.affine, np.diag((-1, -1, 1, 1)) @ RAS)


def test_a_pair_of_header_and_image_is_read_by_either_name(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Pair(np.ones((2, 3, 4), np.int16), RAS), tmp_path / "a.img")
    assert read_volume(tmp_path / "a.img").same_grid(read_volume(tmp_path / "a.hdr"))
    (tmp_path / "a.img").unlink()
    refused(tmp_path / "a.hdr")


def test_the_sform_comes_before_the_qform(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(np.zeros((2, 3, 4), np.int16), None)
    image.set_qform(np.diag((2.0, 2, 2, 1)), code=1)
    image.set_sform(RAS, code=1)
    nibabel.save(image, tmp_path / "both.nii")
    image.set_sform(RAS, code=0)
    nibabel.save(image, tmp_path / "qform.nii")
    assert read_volume(tmp_path / "both.nii").spacing == pytest.approx((5, 0.8, 0.7))
    assert read_volume(tmp_path / "qform.nii").spacing == pytest.approx((2, 2, 2))


def test_without_a_form_we_agree_with_itk(tmp_path: Path) -> None:
    path = nifti(tmp_path / "a.nii", np.zeros((2, 3, 4), np.int16), sform_code=0, qform_code=0)
    image, affine = SimpleITK.ReadImage(str(path)), read_volume(path).affine
    assert np.allclose(np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing(), affine[:3, :3])
    assert np.allclose(image.GetOrigin(), affine[:3, 3])


def test_lengths_in_metres_become_mm(tmp_path: Path) -> None:
    path = nifti(tmp_path / "a.nii", np.zeros((2, 3, 4), np.int16), np.diag((0.001, 0.002, 0.003, 1)), xyzt_units=1)
    assert read_volume(path).spacing == pytest.approx((3, 2, 1))


def test_scaling_is_applied_and_integers_without_it_stay(tmp_path: Path) -> None:
    path = nifti(tmp_path / "plain.nii", np.full((2, 2, 2), 10, np.int16))
    content = bytearray(path.read_bytes())
    content[112:120] = np.array([0.5, -3], "<f4").tobytes()  # scl_slope, scl_inter
    (tmp_path / "scaled.nii").write_bytes(content)
    plain, scaled = read_volume(path).voxels, read_volume(tmp_path / "scaled.nii").voxels
    assert (plain.dtype, plain.max()) == (np.int16, 10)
    assert scaled.dtype == np.float32
    assert (scaled == 2).all()


@pytest.mark.parametrize("order", ["<", ">"])
def test_either_byte_order_gives_native_numbers(tmp_path: Path, order: str) -> None:
    header = nibabel.Nifti1Header(endianness=order)
    header.set_data_dtype(np.int16)
    nibabel.save(nibabel.Nifti1Image(np.full((2, 2, 2), 258, np.int16), RAS, header), tmp_path / "a.nii")
    voxels = read_volume(tmp_path / "a.nii").voxels
    assert voxels.dtype.isnative
    assert (voxels == 258).all()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_one_slice_is_a_volume(tmp_path: Path, suffix: str) -> None:
    write_volume(tmp_path / f"a{suffix}", Volume(np.ones((1, 4, 5), np.int16), np.diag((1.0, 1.0, 5.0, 1.0))))
    volume = read_volume(tmp_path / f"a{suffix}")
    assert volume.shape == (1, 4, 5)
    assert volume.spacing[0] == pytest.approx(5)


@pytest.mark.parametrize("name", ["a.nii", "a.nrrd", "a.mha"])
def test_a_flat_image_is_one_slice(tmp_path: Path, name: str) -> None:
    if name == "a.nii":
        nifti(tmp_path / name, np.ones((5, 4), np.int16), np.eye(4))
    else:
        SimpleITK.WriteImage(SimpleITK.Image(5, 4, SimpleITK.sitkInt16), str(tmp_path / name))
    assert read_volume(tmp_path / name).shape == (1, 4, 5)


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nrrd", "a.mha"])
@pytest.mark.parametrize("times", [1, 3])
def test_one_time_point_is_a_volume_and_several_are_not(tmp_path: Path, name: str, times: int) -> None:
    if name == "a.nii.gz":
        nifti(tmp_path / name, np.ones((2, 3, 4, times), np.int16))
    else:
        image = SimpleITK.Image([2, 3, 4, times], SimpleITK.sitkInt16)
        image.SetSpacing((0.7, 0.8, 5, 1))
        SimpleITK.WriteImage(image, str(tmp_path / name))
    if times == 1:
        volume = read_volume(tmp_path / name)
        assert volume.shape == (4, 3, 2)
        assert volume.spacing == pytest.approx((5, 0.8, 0.7))
    else:
        refused(tmp_path / name, "4 axes")


def test_colours_are_refused(tmp_path: Path) -> None:
    colour = np.zeros((2, 3, 4), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    refused(nifti(tmp_path / "a.nii", colour), "colours")
    for name, says in (("a.nrrd", "colour"), ("a.mha", "colour"), ("a.seg.nrrd", "overlap")):
        SimpleITK.WriteImage(SimpleITK.Image([2, 3, 4], SimpleITK.sitkVectorUInt8, 3), str(tmp_path / name))
        refused(tmp_path / name, says)


def test_complex_numbers_are_refused(tmp_path: Path) -> None:
    refused(nifti(tmp_path / "a.nii", np.ones((2, 3, 4), np.complex64)), "complex")


def test_analyze_is_refused_since_it_leaves_left_and_right_open(tmp_path: Path) -> None:
    nibabel.save(nibabel.AnalyzeImage(np.ones((2, 3, 4), np.int16), np.eye(4)), tmp_path / "a.img")
    refused(tmp_path / "a.img", "Analyze")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_is_refused(tmp_path: Path, suffix: str, value: float) -> None:
    voxels = np.zeros((4, 4, 4), np.float32)
    voxels[1, 2, 3] = value
    if suffix.startswith(".nii"):
        nifti(tmp_path / f"a{suffix}", voxels)
    else:
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(voxels), str(tmp_path / f"a{suffix}"))
    refused(tmp_path / f"a{suffix}", "NaN")


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".nhdr", ".mhd", ".hdr", ".img", ".dcm"])
@pytest.mark.parametrize("content", [b"", b"nonsense\n" * 500])
def test_empty_and_nonsense_files_are_refused(
    tmp_path: Path, suffix: str, content: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / f"a{suffix}").write_bytes(content)
    refused(tmp_path / f"a{suffix}")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("kept", [0.05, 0.5, 0.99])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16])
def test_truncated_files_are_refused_without_noise(
    tmp_path: Path, suffix: str, kept: float, dtype: type, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"a{suffix}"
    write_volume(path, Volume(np.random.default_rng(0).integers(0, 200, (9, 30, 30)).astype(dtype), np.eye(4)))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    refused(path, "damaged")
    assert capfd.readouterr() == ("", "")


def test_a_damaged_gzip_stream_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    write_volume(path, Volume(np.random.default_rng(0).integers(0, 200, (9, 30, 30)).astype(np.int16), np.eye(4)))
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 255
    path.write_bytes(whole)
    refused(path, "damaged")


def test_a_header_that_promises_more_than_memory_is_refused(tmp_path: Path) -> None:
    path = nifti(tmp_path / "a.nii", np.ones((2, 3, 4), np.int16))
    content = bytearray(path.read_bytes())
    content[42:48] = np.array([32000, 32000, 32000], "<i2").tobytes()
    path.write_bytes(content)
    refused(path)


def test_missing_and_unknown_files_are_refused(tmp_path: Path) -> None:
    refused(tmp_path / "nothing.nii.gz", "does not exist")
    refused(tmp_path / "nothing", "does not exist")
    (tmp_path / "a.png").write_bytes(b"\x89PNG" * 100)
    assert "NRRD" in refused(tmp_path / "a.png", "format").remedy
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "no DICOM")


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="needs a user whom permissions bind")
def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    path = nifti(tmp_path / "a.nii", np.ones((2, 3, 4), np.int16))
    path.chmod(0)
    refused(path, "may not be read")


def test_a_refusal_by_the_system_is_told_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = nifti(tmp_path / "a.nii", np.ones((2, 3, 4), np.int16))

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    refused(path, "may not be read")


def test_a_missing_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = nifti(tmp_path / "a.nii", np.ones((2, 3, 4), np.int16))
    monkeypatch.setitem(sys.modules, "nibabel", None)
    with pytest.raises(MissingDependencyError, match="nibabel"):
        read_volume(path)


def labelmap(tmp_path: Path, values: list[float], dtype: type = np.uint8) -> Path:
    write_volume(tmp_path / "labels.nii.gz", Volume(np.array(values, dtype).reshape(1, 1, -1), np.eye(4)))
    return tmp_path / "labels.nii.gz"


def test_a_labelmap_keeps_the_values_of_several_organs(tmp_path: Path) -> None:
    labels = read_labelmap(labelmap(tmp_path, [0, 1, 6, 13]))
    assert labels.voxels.ravel().tolist() == [0, 1, 6, 13]


@pytest.mark.parametrize(
    ("values", "dtype"), [([0, 1], np.uint8), ([0, 300], np.uint16), ([-1, 2], np.int16), ([-1, 200], np.int16)]
)
def test_whole_floats_become_integers(tmp_path: Path, values: list[float], dtype: type) -> None:
    voxels = read_labelmap(labelmap(tmp_path, values, np.float32)).voxels
    assert voxels.dtype == dtype
    assert voxels.ravel().tolist() == values


@pytest.mark.parametrize("values", [[0, 0.5], [0, 1e-3], [0, 1e30]])
def test_fractions_are_no_labels(tmp_path: Path, values: list[float]) -> None:
    with pytest.raises(InputError, match=r"labels\.nii\.gz holds fractions"):
        read_labelmap(labelmap(tmp_path, values, np.float32))


@pytest.mark.parametrize(
    ("shape", "change", "says"),
    [
        ((3, 4, 6), np.eye(4), "3 × 4 × 6 voxels"),
        ((3, 4, 5), np.diag((1.0, 1.0, 2.0, 1.0)), "spacing is 4 × 1 × 1 mm, the image's 2 × 1 × 1 mm"),
        ((3, 4, 5), np.diag((-1.0, 1.0, 1.0, 1.0)), "180° away"),
        ((3, 4, 5), np.eye(4) + 0.5 * np.eye(4, k=3), "first voxel lies 0.5 mm"),
    ],
)
def test_a_labelmap_on_another_grid_is_told_how_it_differs(
    tmp_path: Path, shape: tuple[int, int, int], change: np.ndarray, says: str
) -> None:
    image = Volume(np.zeros((3, 4, 5), np.int16), np.diag((1.0, 1.0, 2.0, 1.0)))
    write_volume(tmp_path / "labels.nii.gz", Volume(np.zeros(shape, np.uint8), change @ image.affine))
    with pytest.raises(InputError, match=says) as caught:
        read_labelmap(tmp_path / "labels.nii.gz", grid=image)
    assert "labels.nii.gz" in caught.value.problem
    assert "Resample" in caught.value.remedy


def test_rounding_in_a_header_is_not_another_grid(tmp_path: Path) -> None:
    affine = np.diag((0.7, 0.7, 5.0, 1.0))
    affine[:3, 3] = -351.123456, 212.654321, 1802.987654
    image = Volume(np.zeros((3, 4, 5), np.int16), affine)
    shifted = affine.copy()
    shifted[0, 3] += 0.005
    write_volume(tmp_path / "labels.nii.gz", Volume(np.zeros((3, 4, 5), np.uint8), shifted))
    assert np.array_equal(read_labelmap(tmp_path / "labels.nii.gz", grid=image).affine, affine)


@pytest.mark.parametrize("values", [[0, 1], [0, 255], [1, 1], [0, 0], [7, 0]])
def test_one_structure_is_made_binary_without_naming_it(values: list[int]) -> None:
    mask = binary_labelmap(Volume(np.array(values, np.int16).reshape(1, 1, 2), np.eye(4))).voxels
    assert mask.dtype == np.uint8
    assert mask.ravel().tolist() == [int(value > 0) for value in values]


def test_of_several_structures_one_must_be_named() -> None:
    organs = Volume(np.array([0, 1, 6, 6], np.int16).reshape(1, 1, 4), np.eye(4))
    assert binary_labelmap(organs, value=6).voxels.ravel().tolist() == [0, 0, 1, 1]
    assert binary_labelmap(organs, value=9).voxels.sum() == 0
    with pytest.raises(InputError, match="0, 1, 6"):
        binary_labelmap(organs)
    with pytest.raises(InputError, match="-1"):
        binary_labelmap(Volume(np.array([0, -1]).reshape(1, 1, 2), np.eye(4)))


@pytest.mark.parametrize("modality", ["ct", "mr"])
def test_real_volumes_and_their_labels_lie_on_one_grid(shared_data: Path, modality: str) -> None:
    path = sorted((shared_data / "cohort" / modality).iterdir())[0]
    volume = read_volume(path)
    liver = read_labelmap(shared_data / "cohort" / f"{modality}_liver" / path.name, grid=volume)
    organs = read_labelmap(shared_data / "cohort" / f"{modality}_organs" / path.name, grid=volume)
    assert volume.shape[1:] == (256, 256)
    assert set(np.unique(liver.voxels)) == {0, 1}
    chosen = binary_labelmap(organs, value={"ct": 6, "mr": 1}[modality])
    assert np.array_equal(chosen.voxels, liver.voxels)
    litres = liver.voxels.sum() * abs(np.linalg.det(volume.affine[:3, :3])) / 1e6
    assert 0.5 < litres < 4


@settings(max_examples=30, deadline=None)
@given(order=st.permutations([0, 1, 2]), flips=st.tuples(*[st.booleans()] * 3), seed=st.integers(0, 99))
def test_labelmap_with_the_same_voxels_in_another_order_is_put_into_the_images(tmp_path_factory, order, flips, seed):
    generator = np.random.default_rng(seed)
    voxels = generator.integers(0, 3, (2, 3, 4)).astype(np.uint8)
    turn = np.linalg.qr(generator.standard_normal((3, 3)))[0] * (0.7, 1.1, 5.0)
    grid = Volume(voxels, np.block([[turn, generator.uniform(-100, 100, (3, 1))], [np.zeros((1, 3)), np.ones((1, 1))]]))
    index = np.stack(np.meshgrid(*(np.arange(n) for n in voxels.shape), indexing="ij"))  # which voxel of the image
    turned = np.transpose(index, (0, *(axis + 1 for axis in order)))
    turned = turned[(slice(None), *(slice(None, None, -1 if flip else 1) for flip in flips))]
    first = turned[:, 0, 0, 0]
    steps = [turned[(slice(None), *(1 if n == axis else 0 for n in range(3)))] - first for axis in (2, 1, 0)]
    to_image = np.eye(4)
    to_image[:3, :3] = np.array([step[::-1] for step in steps]).T
    to_image[:3, 3] = first[::-1]
    path = tmp_path_factory.mktemp("turned") / "labels.nii.gz"
    write_volume(path, Volume(voxels[tuple(turned)], grid.affine @ to_image))
    found = read_labelmap(path, grid=grid)
    assert np.array_equal(found.voxels, voxels)
    assert np.array_equal(found.affine, grid.affine)


def test_real_labels_with_flipped_rows_lie_on_their_dicom_series(shared_data):
    series = read_volume(shared_data / "ct_dicom")
    liver = read_labelmap(shared_data / "ct_dicom_liver.nii.gz", grid=series)
    assert 50 < series.voxels[liver.voxels > 0].mean() < 150  # Hounsfield units of enhanced liver


def numbered(*values: int) -> Volume:
    """A labelmap of one row."""
    return Volume(np.array(values, np.int16)[None, None], np.eye(4))


def test_organs_get_their_numbers() -> None:
    found = organ_labelmap(numbered(0, 6, 1, 2, 3, 6, 9), 3, values=(6, 2, 3))
    assert found.voxels.dtype == np.uint8
    assert found.voxels.ravel().tolist() == [0, 1, 0, 2, 3, 1, 0]
    swapped = organ_labelmap(numbered(0, 1, 2, 2), 2, values=(2, 1))
    assert swapped.voxels.ravel().tolist() == [0, 2, 1, 1]
    unknown = organ_labelmap(numbered(0, 1, 2), 2, values=(0, 2))  # 0: the first organ is not in these labels
    assert unknown.voxels.ravel().tolist() == [0, 0, 2]


def test_without_values_one_organ_may_have_any_and_several_are_numbered_already() -> None:
    assert organ_labelmap(numbered(0, 255, 255), 1).voxels.ravel().tolist() == [0, 1, 1]
    assert organ_labelmap(numbered(0, 3, 1), 3).voxels.ravel().tolist() == [0, 3, 1]
    assert organ_labelmap(numbered(0, 0), 2).voxels.ravel().tolist() == [0, 0]
    with pytest.raises(InputError, match=r"values 0, 1, 4.*0 to 3.*Name the value of each organ"):
        organ_labelmap(numbered(0, 1, 4), 3)
    with pytest.raises(InputError, match=r"values -1, 0.*0 to 3"):
        organ_labelmap(numbered(-1, 0), 3)
    with pytest.raises(InputError, match=r"values 0, 1, 2\."):
        organ_labelmap(numbered(0, 1, 2), 1)


@pytest.mark.parametrize("values", [(), (6,), (6, 1, 2), (0, 0), (6, 6), (-1, 2)])
def test_values_that_cannot_be_those_of_two_organs_are_refused(values: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="do not fit 2 organs"):
        organ_labelmap(numbered(0, 6, 1), 2, values=values)


def test_a_value_that_no_labelmap_can_hold_is_refused() -> None:
    with pytest.raises(InputError, match="No labelmap holds a value of 4294967296"):
        organ_labelmap(numbered(0, 1), 2, values=(2**32, 1))
