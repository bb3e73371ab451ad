"""Read a volume or a labelmap from any of the formats that clinics and researchers keep them in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from VQBEGALLib.errors import InputError, VQBEGALError
from VQBEGALLib.volumes.dicom import read_series
from VQBEGALLib.volumes.itk import read_itk
from VQBEGALLib.volumes.nifti import read_nifti
from VQBEGALLib.volumes.resample import resample
from VQBEGALLib.volumes.volume import Volume

NIFTI_SUFFIXES = (".nii", ".nii.gz", ".hdr", ".img", ".img.gz", ".hdr.gz")
ITK_SUFFIXES = (".nrrd", ".nhdr", ".mha", ".mhd")
READABLE = "NIfTI (.nii, .nii.gz, .hdr/.img), NRRD (.nrrd, .nhdr), MetaImage (.mha, .mhd) and DICOM series"
GRID_TOLERANCE = 0.01
"""Voxel centres of image and labelmap may differ by this share of the smallest spacing (rounding in headers)."""


def read_volume(path: Path) -> Volume:
    """Read an image; the format follows from the suffix, a folder or a DICOM file stands for its series.

    Integers stay integers where the file declares no scaling; all else becomes float32.

    Raises:
        InputError: no such file, not readable, damaged, or not one scalar 3-D image with finite values. Names the file.
    """
    path = Path(path)
    try:
        return _read(path)
    except InputError as error:
        raise _naming(path, error) from error
    except VQBEGALError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist.", "Check the path.") from error
    except PermissionError as error:
        raise InputError(f"{path} may not be read.", "Ask for permission to read it or copy it.") from error
    except MemoryError as error:
        raise InputError(f"{path} does not fit into memory.", "Check its header or crop the image.") from error
    except Exception as error:  # a reader's own complaint about a damaged file can be of any type
        raise InputError(f"{path} is damaged or incomplete.", "Export or copy it again.") from error


def read_labelmap(path: Path, *, grid: Volume | None = None) -> Volume:
    """Read a labelmap: whole numbers, kept as they are, as small integers where the file had floats.

    Args:
        path: as for :func:`read_volume`.
        grid: the image that the labelmap must lie on; its affine becomes the labelmap's. Voxels that are the
            image's own in another order (flipped or permuted axes) are put into its order, without loss.

    Raises:
        InputError: as :func:`read_volume`; values that are not whole; another grid than ``grid``.
    """
    volume = read_volume(path)
    if np.issubdtype(volume.voxels.dtype, np.floating):
        low, high = float(volume.voxels.min()), float(volume.voxels.max())
        if low < -(2**31) or high >= 2**31 or (volume.voxels != np.rint(volume.voxels)).any():
            raise InputError(
                f"{path} holds fractions or very large values, so it is not a labelmap.",
                "Give the labelmap, not the image or a probability map.",
            )
        smallest = np.promote_types(np.min_scalar_type(int(low)), np.min_scalar_type(int(high)))
        volume = volume.with_voxels(volume.voxels.astype(smallest))
    return volume if grid is None else on_grid(volume, grid, name=str(path))


def on_grid(labelmap: Volume, grid: Volume, *, name: str = "The labelmap") -> Volume:
    """Return a labelmap with the affine of the image that it belongs to, its voxels put into the image's order.

    Args:
        labelmap: its dtype is kept.
        grid: the image, or anything on its grid.
        name: for the error.

    Raises:
        InputError: its voxels are not the image's; says how the grids differ.
    """
    if _same_voxels(labelmap, grid):
        labelmap = resample(labelmap, grid, labels=True)
    if difference := _grid_difference(labelmap, grid):
        raise InputError(
            f"{name} is not on the image's grid: {difference}.",
            "Resample the labelmap to the image or export it with the image as reference.",
        )
    return Volume(labelmap.voxels, grid.affine)


def binary_labelmap(volume: Volume, *, value: int | None = None) -> Volume:
    """Return one structure of a labelmap as uint8: 1 inside, 0 outside.

    Args:
        volume: whole numbers.
        value: the structure's value; not needed where there is only one besides 0, be it 1 or 255.

    Raises:
        InputError: no ``value`` is given and there are several, or negative ones, to choose from.
    """
    if value is None:
        found = np.unique(volume.voxels)
        others = found[found != 0]
        if others.size > 1 or (others < 0).any():
            raise InputError(
                f"The labelmap holds the values {_shown(found)}.", "Name the organ's value, or export the organ alone."
            )
        return volume.with_voxels((volume.voxels != 0).astype(np.uint8))
    return volume.with_voxels((volume.voxels == value).astype(np.uint8))


def organ_labelmap(volume: Volume, count: int, *, values: Sequence[int] | None = None) -> Volume:
    """Return a labelmap of a study's organs as uint8: 0 outside, 1 to ``count`` in their order.

    Args:
        volume: whole numbers.
        count: organs.
        values: value of each organ in ``volume``; all other values are outside, and so is an organ whose value is
            given as 0. Without it one organ is what :func:`binary_labelmap` finds, and several are numbered already.

    Raises:
        InputError: ``values`` are not one to each organ, negative, all 0 or twice the same; without them, the labelmap
            holds others than 0 to ``count``.
    """
    if values is None and count == 1:
        return binary_labelmap(volume)
    if values is None:
        found = np.unique(volume.voxels)
        if found[0] < 0 or found[-1] > count:
            raise InputError(
                f"The labelmap holds the values {_shown(found)}, and the study's organs have 0 to {count}.",
                "Name the value of each organ, in the order of the study's organs.",
            )
        return volume.with_voxels(volume.voxels.astype(np.uint8))
    check_values(values, count)
    voxels = np.zeros(volume.shape, np.uint8)
    for number, value in enumerate(values, start=1):
        if value:
            voxels[volume.voxels == value] = number
    return volume.with_voxels(voxels)


def check_values(values: Sequence[int], count: int) -> None:
    """Make sure that values can be those of a study's organs in a labelmap.

    Raises:
        InputError: not one to each organ, a negative one, all 0, one twice, or one beyond 32 bits.
    """
    given = [value for value in values if value]
    if given and max(given) >= 2**32:
        raise InputError(f"No labelmap holds a value of {max(given)}.", "Correct the value.")
    if len(values) != count or min(values, default=-1) < 0 or len(set(given)) < max(len(given), 1):
        raise InputError(
            f"The values {', '.join(map(str, values))} do not fit {count} organ{'' if count == 1 else 's'}.",
            "Give the value of each organ in its order, each another one; 0 for an organ that the labels do not know.",
        )


def _shown(values: npt.NDArray[np.generic]) -> str:
    return ", ".join(f"{item:g}" for item in values[:20]) + (", …" if values.size > 20 else "")


def _read(path: Path) -> Volume:
    name = path.name.lower()
    if path.is_dir():
        return read_series(path).volume
    with path.open("rb") as stream:
        start = stream.read(132)
    if not start:
        raise InputError("The file is empty.", "Export or copy it again.")
    if name.endswith(NIFTI_SUFFIXES):
        return read_nifti(path)
    if name.endswith(ITK_SUFFIXES):
        return read_itk(path)
    if name.endswith(".dcm") or start[128:] == b"DICM":
        return read_series(path).volume
    raise InputError("The file's format is not known.", f"Use {READABLE}.")


def _naming(path: Path, error: InputError) -> InputError:
    """Put the path ahead of a problem that does not name it yet."""
    problem = error.problem if str(path) in error.problem else f"{path}: {error.problem}"
    return InputError(problem, error.remedy)


def _same_voxels(volume: Volume, grid: Volume) -> bool:
    """Tell whether two grids have the same voxel centres in another order."""
    steps = np.linalg.inv(volume.affine) @ grid.affine  # (i, j, k, 1) of the grid → (i, j, k, 1) of the volume
    whole = np.rint(steps)
    turn = np.abs(whole[:3, :3])
    if not (turn.sum(axis=0) == 1).all() or not (turn.sum(axis=1) == 1).all() or np.array_equal(whole, np.eye(4)):
        return False
    size, other = (np.array(one.shape[::-1]) for one in (volume, grid))
    if not np.array_equal(turn @ other, size):
        return False
    corners = np.array([(i, j, k, 1) for i in (0, other[0] - 1) for j in (0, other[1] - 1) for k in (0, other[2] - 1)])
    places = corners @ whole.T
    off = np.abs(places - corners @ steps.T).max()
    return bool(off <= GRID_TOLERANCE and (places[:, :3] >= 0).all() and (places[:, :3] < size).all())


def _grid_difference(volume: Volume, grid: Volume) -> str:
    """Say in words how two grids differ; nothing where they are the same."""
    if volume.same_grid(grid, tolerance=GRID_TOLERANCE * min(grid.spacing)):
        return ""
    if volume.shape != grid.shape:
        return f"it has {_times(volume.shape)} voxels (slices × rows × columns), the image {_times(grid.shape)}"
    parts = []
    if not np.allclose(volume.spacing, grid.spacing, rtol=1e-3):
        parts.append(f"its spacing is {_times(volume.spacing)} mm, the image's {_times(grid.spacing)} mm")
    ours, theirs = (one.affine[:3, :3] / np.linalg.norm(one.affine[:3, :3], axis=0) for one in (volume, grid))
    cosines = np.clip((ours * theirs).sum(axis=0), -1, 1)
    if cosines.min() < np.cos(1e-3):
        parts.append(f"its axes point {np.degrees(np.arccos(cosines.min())):.3g}° away from the image's")
    shift = float(np.linalg.norm(volume.affine[:3, 3] - grid.affine[:3, 3]))
    if shift > GRID_TOLERANCE * min(grid.spacing) or not parts:
        parts.append(f"its first voxel lies {shift:.3g} mm from the image's")
    return "; ".join(parts)


def _times(numbers: tuple[float, ...]) -> str:
    return " × ".join(f"{number:.4g}" for number in numbers)
