"""How well a segmentation agrees with a reference: Dice, HD95, ASSD and volume, per patient, in mm and ml.

Surfaces are the voxels that a 6-connected erosion removes, where all outside of the grid counts as background;
a distance runs from a surface voxel's centre to the nearest one of the other surface. For sheared grids the
spacing is the length of each axis' step, as everywhere. No result is ever NaN.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import cKDTree

from VQBEGALLib.errors import InputError
from VQBEGALLib.volumes.volume import Volume

Mask = npt.NDArray[np.bool_]
"""(K, J, I), True inside."""
Distances = npt.NDArray[np.float64]
"""(N,), mm."""

_NEAR_STEPS = 5.0
"""Reach of the first search, in units of the largest voxel step."""
_POINTS_PER_VOXEL = 1 / 1000
"""With fewer distant points than this share of the box, a tree finds them sooner than a distance transform would."""


@dataclass(frozen=True)
class SegmentationScore:
    """How one patient's segmentation compares with its reference."""

    dice: float
    """0 to 1."""
    hd95_mm: float
    """The larger of the two directed 95th percentiles of surface distance."""
    assd_mm: float
    """Mean over the distances of both directions together."""
    volume_difference_ml: float
    """Prediction minus reference."""
    failed: bool
    """Whether one of both was empty; both distances are then the diagonal of the volume."""


METRICS = ("dice", "hd95_mm", "assd_mm", "volume_difference_ml")
"""Numbers of a score."""


def dice(prediction: npt.ArrayLike, reference: npt.ArrayLike) -> float:
    """Return the Dice overlap of two masks of one shape; 1 where both are empty.

    Raises:
        InputError: the shapes differ.

    Examples:
        >>> dice([[[1, 1, 0]]], [[[0, 1, 1]]])
        0.5
    """
    first, second = _masks(prediction, reference)
    total = int(np.count_nonzero(first)) + int(np.count_nonzero(second))
    return 2 * int(np.count_nonzero(first & second)) / total if total else 1.0


def hd95(prediction: npt.ArrayLike, reference: npt.ArrayLike, spacing: Sequence[float]) -> float:
    """Return the 95 % Hausdorff distance in mm: the larger of both directions' 95th percentiles.

    Both empty: 0. One empty: the diagonal of the grid.

    Args:
        prediction: (K, J, I), non-zero inside.
        reference: (K, J, I), non-zero inside.
        spacing: along (K, J, I), mm.

    Raises:
        InputError: the shapes differ, or a spacing is not positive.
    """
    first, second = _masks(prediction, reference)
    return _distances(first, second, spacing)[0]


def assd(prediction: npt.ArrayLike, reference: npt.ArrayLike, spacing: Sequence[float]) -> float:
    """Return the average symmetric surface distance in mm; arguments, empty masks and errors as in :func:`hd95`.

    The mean runs over the surface voxels of both masks together (Heimann et al., IEEE TMI 28(8), 2009).
    """
    first, second = _masks(prediction, reference)
    return _distances(first, second, spacing)[1]


def surface_distances(
    prediction: npt.ArrayLike, reference: npt.ArrayLike, spacing: Sequence[float]
) -> tuple[Distances, Distances]:
    """Return the distances from each surface voxel of one mask to the other mask's surface, in both directions.

    Args:
        prediction: (K, J, I), non-zero inside.
        reference: (K, J, I), non-zero inside.
        spacing: along (K, J, I), mm.

    Returns:
        Prediction to reference (N,) and reference to prediction (M,), mm, in the order of the voxels.

    Raises:
        InputError: the shapes differ, a spacing is not positive, or a mask is empty and has no surface.
    """
    first, second = _masks(prediction, reference)
    steps = _steps(spacing, first.ndim)
    if not (first.any() and second.any()):
        raise InputError("An empty mask has no surface.", "Compare masks with at least one voxel each.")
    box = _bounding_box(first | second)
    first, second = _surface(first[box]), _surface(second[box])
    return _to_surface(first, second, steps), _to_surface(second, first, steps)


def score(prediction: Volume, reference: Volume) -> SegmentationScore:
    """Compare a labelmap with its reference on one grid; non-zero voxels are inside.

    Raises:
        InputError: the grids differ.
    """
    if not prediction.same_grid(reference):
        raise InputError(
            "Segmentation and reference lie on different grids.", "Resample the segmentation to the reference's grid."
        )
    first, second = _masks(prediction.voxels, reference.voxels)
    voxel_ml = abs(float(np.linalg.det(reference.affine[:3, :3]))) / 1000
    hd95_mm, assd_mm = _distances(first, second, reference.spacing)
    return SegmentationScore(
        dice=dice(first, second),
        hd95_mm=hd95_mm,
        assd_mm=assd_mm,
        volume_difference_ml=(int(np.count_nonzero(first)) - int(np.count_nonzero(second))) * voxel_ml,
        failed=bool(first.any() != second.any()),
    )


def score_organs(
    prediction: Volume, reference: Volume, organs: Sequence[str], *, absent: Collection[int] = ()
) -> dict[str, SegmentationScore]:
    """Compare two labelmaps organ by organ.

    Args:
        prediction: value of the n-th organ is n, from 1 on.
        reference: the same, on one grid.
        organs: their names.
        absent: values of the organs that the reference says nothing of; they are left out.

    Raises:
        InputError: the grids differ.
    """
    return {
        organ: score(_of_value(prediction, value), _of_value(reference, value))
        for value, organ in enumerate(organs, start=1)
        if value not in absent
    }


def mean_score(scores: Iterable[SegmentationScore]) -> SegmentationScore:
    """Return the mean of each metric over a patient's organs; failed where one of them is.

    Raises:
        InputError: there is no score.
    """
    parts = list(scores)
    if not parts:
        raise InputError("There is no score to take the mean of.", "Compare at least one organ.")
    means = {name: float(np.mean([getattr(item, name) for item in parts])) for name in METRICS}
    return SegmentationScore(**means, failed=any(item.failed for item in parts))


def summarise(scores: Mapping[str, SegmentationScore]) -> dict[str, Any]:
    """Return the patients' mean, standard deviation and median of each metric, their number and the failures.

    The deviation is that of a sample (n - 1), 0 for a single patient. Failures enter with their diagonal.

    Returns:
        ``{"n": …, "failures": …, "dice": {"mean": …, "sd": …, "median": …}, "hd95_mm": …, …}``, plain numbers.

    Raises:
        InputError: there is no score.
    """
    if not scores:
        raise InputError("There is no score to summarise.", "Evaluate at least one patient with a reference.")
    summary: dict[str, Any] = {"n": len(scores), "failures": sum(item.failed for item in scores.values())}
    for name in METRICS:
        values = np.array([getattr(item, name) for item in scores.values()], dtype=np.float64)
        summary[name] = {
            "mean": float(values.mean()),
            "sd": float(values.std(ddof=1)) if len(values) > 1 else 0.0,
            "median": float(np.median(values)),
        }
    return summary


def _of_value(labelmap: Volume, value: int) -> Volume:
    return labelmap.with_voxels(labelmap.voxels == value)


def _distances(first: Mask, second: Mask, spacing: Sequence[float]) -> tuple[float, float]:
    """Return HD95 and ASSD in mm, with the agreed answers for empty masks."""
    steps = _steps(spacing, first.ndim)
    if not (first.any() and second.any()):
        empty = 0.0 if first.any() == second.any() else float(np.linalg.norm(steps * first.shape))
        return empty, empty
    there, back = surface_distances(first, second, spacing)
    hausdorff = max(float(np.percentile(there, 95)), float(np.percentile(back, 95)))
    return hausdorff, float((there.sum() + back.sum()) / (len(there) + len(back)))


def _masks(prediction: npt.ArrayLike, reference: npt.ArrayLike) -> tuple[Mask, Mask]:
    first, second = _mask(prediction), _mask(reference)
    if first.shape != second.shape:
        raise InputError(
            f"Masks of shape {first.shape} and {second.shape} cannot be compared.",
            "Resample one to the other's grid.",
        )
    return first, second


def _mask(values: npt.ArrayLike) -> Mask:
    array = np.asarray(values)
    mask: Mask = array if array.dtype == np.bool_ else array != 0
    return mask


def _steps(spacing: Sequence[float], axes: int) -> Distances:
    steps = np.asarray(spacing, dtype=np.float64)
    if steps.shape != (axes,) or not (np.isfinite(steps).all() and (steps > 0).all()):
        raise InputError(f"The spacing {spacing} does not fit the masks.", f"Give {axes} lengths in mm, all positive.")
    return steps


def _bounding_box(mask: Mask) -> tuple[slice, ...]:
    """Return the box of a mask's voxels plus one on each side, as far as the grid reaches."""
    axes = range(mask.ndim)
    box = []
    for axis in axes:
        where = np.flatnonzero(mask.any(axis=tuple(other for other in axes if other != axis)))
        box.append(slice(max(int(where[0]) - 1, 0), int(where[-1]) + 2))
    return tuple(box)


def _surface(mask: Mask) -> Mask:
    """Return the voxels of a mask that have a background voxel, or the grid's end, beside them along an axis."""
    padded = np.pad(mask, 1)
    middle = slice(1, -1)
    inner = mask.copy()
    for axis in range(mask.ndim):
        for beside in (slice(None, -2), slice(2, None)):
            inner &= padded[tuple(beside if other == axis else middle for other in range(mask.ndim))]
    return mask & ~inner


def _to_surface(start: Mask, target: Mask, steps: Distances) -> Distances:
    """Return the distance of each voxel of ``start`` to the nearest of ``target``, mm (N,).

    Most lie on the target or near it, where a search tree is quickest. Should many lie far away, where a tree has to
    look at much of the target for each, a Euclidean distance transform of the box answers for all of them at once.
    """
    distances = np.zeros(np.count_nonzero(start))
    apart = ~target[start]
    points = np.argwhere(start & ~target) * steps
    tree = cKDTree(np.argwhere(target) * steps, balanced_tree=False, compact_nodes=False)
    near = np.asarray(tree.query(points, distance_upper_bound=_NEAR_STEPS * float(steps.max()))[0])
    far = np.isinf(near)
    if np.count_nonzero(far) > _POINTS_PER_VOXEL * target.size:
        transformed: Distances = ndimage.distance_transform_edt(~target, sampling=steps)
        return transformed[start]
    near[far] = tree.query(points[far])[0]
    distances[apart] = near
    return distances
