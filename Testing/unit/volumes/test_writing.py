from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from VQBEGALLib.errors import InputError, StorageError
from VQBEGALLib.volumes import Volume, read_labelmap, read_volume, write_volume

FORMATS = (".nii", ".nii.gz", ".nrrd", ".mha")
few = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def grids(draw: st.DrawFn, *, shear: bool = False) -> tuple[tuple[int, int, int], np.ndarray]:
    """Shape and affine of an acquisition: oblique, flipped, axial, coronal or sagittal, anisotropic, far from 0."""
    turn = Rotation.from_rotvec([draw(st.floats(-2, 2)) for _ in range(3)]).as_matrix()
    flips = np.diag([draw(st.sampled_from((-1.0, 1.0))) for _ in range(3)])
    axes = np.eye(3)[:, draw(st.permutations(range(3)))]
    directions = (turn if draw(st.booleans()) else np.eye(3)) @ flips @ axes
    if shear:
        directions[:, 2] += draw(st.floats(-0.5, 0.5)) * directions[:, 1]
    affine = np.eye(4)
    affine[:3, :3] = directions * [draw(st.floats(0.3, 8)) for _ in range(3)]
    affine[:3, 3] = [draw(st.floats(-800, 800)) for _ in range(3)]
    shape = (draw(st.integers(1, 6)), draw(st.integers(1, 6)), draw(st.integers(1, 6)))
    return shape, affine


def numbered(shape: tuple[int, int, int], dtype: type = np.int16) -> np.ndarray:
    """Voxels that all differ, so that no exchange of axes goes unseen."""
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


@pytest.mark.parametrize("suffix", FORMATS)
@few
@given(grid=grids())
def test_every_acquisition_comes_back_where_it_was(tmp_path: Path, suffix: str, grid: tuple) -> None:
    volume = Volume(numbered(grid[0]), grid[1])
    write_volume(tmp_path / f"a{suffix}", volume)
    back = read_volume(tmp_path / f"a{suffix}")
    assert np.array_equal(back.voxels, volume.voxels)
    assert back.voxels.dtype == np.int16
    assert np.allclose(back.affine, volume.affine, rtol=1e-6, atol=1e-4)
    assert back.same_grid(volume)


@few
@given(grid=grids(shear=True))
def test_nifti_keeps_a_tilted_gantry(tmp_path: Path, grid: tuple) -> None:
    volume = Volume(numbered(grid[0]), grid[1])
    write_volume(tmp_path / "a.nii.gz", volume)
    assert read_volume(tmp_path / "a.nii.gz").same_grid(volume)


@pytest.mark.parametrize("image_suffix", FORMATS)
@pytest.mark.parametrize("suffix", FORMATS)
@settings(few, max_examples=4)
@given(grid=grids())
def test_a_labelmap_lies_on_the_grid_of_its_source_as_read(
    tmp_path: Path, image_suffix: str, suffix: str, grid: tuple
) -> None:
    write_volume(tmp_path / f"image{image_suffix}", Volume(numbered(grid[0]), grid[1]))
    source = read_volume(tmp_path / f"image{image_suffix}")
    write_volume(tmp_path / f"labels{suffix}", source.with_voxels((source.voxels % 2).astype(np.uint8)))
    assert read_volume(tmp_path / f"labels{suffix}").same_grid(source)
    labels = read_labelmap(tmp_path / f"labels{suffix}", grid=source)
    assert np.array_equal(labels.voxels, source.voxels % 2)
    assert np.array_equal(labels.affine, source.affine)


@few
@given(grid=grids())
def test_itk_reads_our_nifti_at_the_same_place(tmp_path: Path, grid: tuple) -> None:
    volume = Volume(numbered(grid[0]), grid[1])
    write_volume(tmp_path / "a.nii", volume)
    image = SimpleITK.ReadImage(str(tmp_path / "a.nii"))
    corner = [length - 1 for length in reversed(volume.shape)]
    assert np.allclose(image.TransformIndexToPhysicalPoint(corner), (volume.affine @ [*corner, 1])[:3], atol=1e-2)
    assert np.array_equal(SimpleITK.GetArrayFromImage(image), volume.voxels)


def test_nifti_carries_sform_and_qform_of_the_scanner(tmp_path: Path) -> None:
    straight = np.diag((0.7, -0.7, 5.0, 1.0))
    tilted = straight.copy()
    tilted[1, 2] = 1.0
    for affine, qform_code in ((straight, 1), (tilted, 0)):
        write_volume(tmp_path / "a.nii", Volume(np.zeros((2, 2, 2), np.uint8), affine))
        header = nibabel.load(tmp_path / "a.nii").header
        assert (int(header["sform_code"]), int(header["qform_code"])) == (1, qform_code)
        assert header.get_xyzt_units()[0] == "mm"


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_a_tilted_gantry_is_refused_where_the_format_cannot_hold_it(tmp_path: Path, suffix: str) -> None:
    affine = np.eye(4)
    affine[1, 2] = 0.3
    with pytest.raises(InputError, match=r"NIfTI") as caught:
        write_volume(tmp_path / f"a{suffix}", Volume(np.zeros((2, 2, 2)), affine))
    assert f"a{suffix}" in caught.value.problem
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize(
    "dtype", [np.uint8, np.int8, np.uint16, np.int16, np.int32, np.int64, np.float16, np.float32, np.float64]
)
def test_values_of_every_type_come_back(tmp_path: Path, suffix: str, dtype: type) -> None:
    volume = Volume(numbered((2, 3, 4), dtype), np.eye(4))
    write_volume(tmp_path / f"a{suffix}", volume)
    back = read_volume(tmp_path / f"a{suffix}").voxels
    assert np.array_equal(back, volume.voxels)
    assert back.dtype == (dtype if np.issubdtype(dtype, np.integer) else np.float32)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_labelmaps_are_compressed(tmp_path: Path, suffix: str) -> None:
    write_volume(tmp_path / f"a{suffix}", Volume(np.zeros((50, 50, 50), np.uint8), np.eye(4)))
    assert (tmp_path / f"a{suffix}").stat().st_size < 10_000


def test_the_same_volume_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.nii.gz", "b.nii.gz"):
        write_volume(tmp_path / name, Volume(numbered((3, 4, 5)), np.eye(4)))
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


def test_an_existing_file_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    for suffix in FORMATS:
        (tmp_path / f"a{suffix}").write_text("old")
        write_volume(tmp_path / f"a{suffix}", Volume(numbered((2, 2, 2)), np.eye(4)))
        assert read_volume(tmp_path / f"a{suffix}").voxels.max() == 7
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(f"a{suffix}" for suffix in FORMATS)


def test_an_unknown_suffix_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.nii\.gz, \.nii, \.nrrd, \.mha"):
        write_volume(tmp_path / "a.png", Volume(np.zeros((2, 2, 2)), np.eye(4)))


def test_long_and_foreign_names_work(tmp_path: Path) -> None:
    folder = tmp_path.joinpath(*["Leber 肝臓 " + "ü" * 50] * 5)
    folder.mkdir(parents=True)
    for suffix in FORMATS:
        path = folder / f"{'é' * 100}{suffix}"
        write_volume(path, Volume(numbered((2, 3, 4)), np.eye(4)))
        assert np.array_equal(read_volume(path).voxels, numbered((2, 3, 4)))


def test_a_missing_folder_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"a\.nii\.gz"):
        write_volume(tmp_path / "nowhere" / "a.nii.gz", Volume(np.zeros((2, 2, 2)), np.eye(4)))


LIMITED = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from VQBEGALLib.errors import StorageError
from VQBEGALLib.volumes import Volume, write_volume
volume = Volume(np.random.default_rng(0).integers(0, 9999, (20, 60, 60)).astype(np.int16), np.eye(4))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
for name in sys.argv[1:]:
    try:
        write_volume(Path(name), volume)
    except StorageError:
        continue
    sys.exit(f"{name} was written in full")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file sizes")
def test_a_write_that_breaks_off_leaves_the_old_file(tmp_path: Path) -> None:
    paths = [tmp_path / f"a{suffix}" for suffix in FORMATS]
    for path in paths:
        path.write_text("old")
    done = subprocess.run([sys.executable, "-c", LIMITED, *map(str, paths)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [path.read_text() for path in paths] == ["old"] * len(paths)
    assert sorted(tmp_path.iterdir()) == sorted(paths)
