"""Metrics against brute force on small masks, against MONAI and medpy where installed, and on empty masks."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from VQBEGALLib import metrics
from VQBEGALLib.errors import InputError
from VQBEGALLib.metrics import (
    SegmentationScore,
    assd,
    dice,
    hd95,
    mean_score,
    score,
    score_organs,
    summarise,
    surface_distances,
)
from VQBEGALLib.volumes.volume import Volume

Mask = npt.NDArray[np.bool_]
spacings = st.tuples(*[st.floats(0.3, 9)] * 3)


@st.composite
def masks(draw: st.DrawFn) -> tuple[Mask, Mask]:
    shape = tuple(draw(st.integers(1, 6)) for _ in range(3))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    first, second = (generator.random(shape) < draw(st.sampled_from([0.0, 0.05, 0.3, 0.8, 1.0])) for _ in range(2))
    return first, second


def brute_surface(mask: Mask) -> npt.NDArray[np.int64]:
    """A voxel is on the surface if one of its six neighbours is background or outside of the grid."""
    points = []
    for point in np.argwhere(mask):
        for axis in range(3):
            for step in (-1, 1):
                beside = point.copy()
                beside[axis] += step
                if not 0 <= beside[axis] < mask.shape[axis] or not mask[tuple(beside)]:
                    points.append(point)
    return np.unique(np.array(points), axis=0)


def brute_distances(first: Mask, second: Mask, spacing: tuple[float, ...]) -> tuple[list[float], list[float]]:
    one, two = brute_surface(first) * spacing, brute_surface(second) * spacing
    table = np.sqrt(np.square(one[:, None] - two[None]).sum(axis=2))
    return table.min(axis=1).tolist(), table.min(axis=0).tolist()


def blobs(seed: int, shape: tuple[int, int, int] = (14, 48, 44), shift: int = 3) -> tuple[Mask, Mask]:
    generator = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(generator.standard_normal(shape), (2, 6, 6))
    other = smooth + 0.4 * ndimage.gaussian_filter(generator.standard_normal(shape), (2, 6, 6))
    return smooth > smooth.std(), np.roll(other > smooth.std(), shift, axis=2)


@settings(max_examples=80, deadline=None)
@given(masks(), spacings)
def test_every_metric_equals_brute_force(pair: tuple[Mask, Mask], spacing: tuple[float, float, float]) -> None:
    first, second = pair
    if not (first.any() and second.any()):
        empty = 0.0 if first.any() == second.any() else math.dist((0, 0, 0), np.multiply(first.shape, spacing))
        assert hd95(first, second, spacing) == assd(first, second, spacing) == pytest.approx(empty)
        assert dice(first, second) == float(first.any() == second.any())
        return
    there, back = brute_distances(first, second, spacing)
    ours = surface_distances(first, second, spacing)
    assert ours[0] == pytest.approx(there, abs=1e-9)
    assert ours[1] == pytest.approx(back, abs=1e-9)
    assert hd95(first, second, spacing) == pytest.approx(max(np.percentile(there, 95), np.percentile(back, 95)))
    assert assd(first, second, spacing) == pytest.approx(np.mean(there + back))
    assert dice(first, second) == pytest.approx(2 * (first & second).sum() / (first.sum() + second.sum()))


@settings(max_examples=30, deadline=None)
@given(masks(), spacings)
def test_metrics_are_symmetric_and_zero_only_for_equal_masks(
    pair: tuple[Mask, Mask], spacing: tuple[float, float, float]
) -> None:
    first, second = pair
    assert hd95(first, second, spacing) == pytest.approx(hd95(second, first, spacing))
    assert assd(first, second, spacing) == pytest.approx(assd(second, first, spacing))
    assert dice(first, second) == dice(second, first)
    assert hd95(first, first, spacing) == assd(first, first, spacing) == 0
    assert dice(first, first) == 1


@settings(max_examples=30, deadline=None)
@given(masks(), spacings)
def test_tree_and_distance_transform_agree(pair: tuple[Mask, Mask], spacing: tuple[float, float, float]) -> None:
    first, second = pair
    if not (first.any() and second.any()):
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metrics, "_NEAR_STEPS", 0.5)
        patch.setattr(metrics, "_POINTS_PER_VOXEL", 0.0)
        transformed = surface_distances(first, second, spacing)
        patch.setattr(metrics, "_POINTS_PER_VOXEL", 2.0)
        searched = surface_distances(first, second, spacing)
    for one, other in zip(transformed, searched, strict=True):
        assert one == pytest.approx(other, abs=1e-9)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_distance_follows_the_spacing_of_its_axis(axis: int) -> None:
    first, second = np.zeros((2, 9, 9, 9), dtype=bool)
    first[1, 1, 1] = True
    second[tuple(5 if other == axis else 1 for other in range(3))] = True
    spacing = (5.0, 0.7, 1.3)
    assert hd95(first, second, spacing) == pytest.approx(4 * spacing[axis])


def test_masks_far_apart_get_their_true_distances() -> None:
    first, second = np.zeros((2, 20, 60, 60), dtype=bool)
    first[2:8, 2:20, 2:20] = True
    second[10:18, 35:58, 40:58] = True
    spacing = (5.0, 1.0, 1.5)
    there, back = brute_distances(first, second, spacing)
    ours = surface_distances(first, second, spacing)
    assert ours[0] == pytest.approx(there)
    assert ours[1] == pytest.approx(back)


def test_larger_direction_counts() -> None:
    reference = np.zeros((3, 30, 30), dtype=bool)
    reference[1, 5:25, 5:25] = True
    prediction = reference.copy()
    prediction[1, 5:25, 5:12] = False
    there, back = surface_distances(prediction, reference, (1, 1, 1))
    assert np.percentile(there, 95) < np.percentile(back, 95) == hd95(prediction, reference, (1, 1, 1))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_equal_to_monai(seed: int) -> None:
    pytest.importorskip("monai")
    import torch
    from monai.metrics import compute_average_surface_distance, compute_dice, compute_hausdorff_distance

    spacing = (5.0, 1.25, 1.5)
    first, second = blobs(seed)
    one, two = (torch.from_numpy(mask[None, None]) for mask in (first, second))
    options = {"include_background": True, "spacing": spacing}
    assert hd95(first, second, spacing) == pytest.approx(
        float(compute_hausdorff_distance(one, two, percentile=95, **options)), rel=1e-5
    )
    assert assd(first, second, spacing) == pytest.approx(
        float(compute_average_surface_distance(one, two, symmetric=True, **options)), rel=1e-5
    )
    assert dice(first, second) == pytest.approx(float(compute_dice(one.float(), two.float())), rel=1e-5)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_equal_to_medpy(seed: int) -> None:
    binary = pytest.importorskip("medpy.metric.binary")
    spacing = (5.0, 1.25, 1.5)
    first, second = blobs(seed)
    there, back = surface_distances(first, second, spacing)
    assert there.max() == pytest.approx(binary.__surface_distances(first, second, spacing).max())
    assert there.mean() == pytest.approx(binary.asd(first, second, spacing))
    assert back.mean() == pytest.approx(binary.asd(second, first, spacing))
    # medpy takes one percentile over both directions together, we the larger of one each.
    assert np.percentile(np.concatenate([there, back]), 95) == pytest.approx(binary.hd95(first, second, spacing))
    assert dice(first, second) == pytest.approx(binary.dc(first, second))


def labelmap(mask: npt.ArrayLike, affine: npt.ArrayLike | None = None) -> Volume:
    return Volume(np.asarray(mask, dtype=np.uint8), np.diag((1.5, 1.25, 5.0, 1.0)) if affine is None else affine)


def test_score_holds_all_metrics_of_a_patient() -> None:
    first, second = blobs(0)
    result = score(labelmap(first * 3), labelmap(second))
    assert result.dice == dice(first, second)
    assert result.hd95_mm == hd95(first, second, (5.0, 1.25, 1.5))
    assert result.assd_mm == assd(first, second, (5.0, 1.25, 1.5))
    assert result.volume_difference_ml == pytest.approx((first.sum() - second.sum()) * 1.5 * 1.25 * 5 / 1000)
    assert not result.failed


def test_both_empty_is_perfect_and_one_empty_fails_with_the_diagonal() -> None:
    empty, full = np.zeros((4, 10, 20)), np.ones((4, 10, 20))
    assert score(labelmap(empty), labelmap(empty)) == SegmentationScore(1.0, 0.0, 0.0, 0.0, False)
    diagonal = math.sqrt((4 * 5.0) ** 2 + (10 * 1.25) ** 2 + (20 * 1.5) ** 2)
    for prediction, reference, sign in ((empty, full, -1), (full, empty, 1)):
        result = score(labelmap(prediction), labelmap(reference))
        assert result.failed
        assert result.dice == 0
        assert result.hd95_mm == result.assd_mm == pytest.approx(diagonal)
        assert result.volume_difference_ml == pytest.approx(sign * 800 * 9.375 / 1000)


def test_sheared_grid_uses_the_length_of_its_steps_and_its_true_voxel_volume() -> None:
    affine = np.array([[1.0, 0, 0, 0], [0, 1, 3, 0], [0, 0, 4, 0], [0, 0, 0, 1]])
    first, second = np.zeros((2, 6, 5, 5))
    first[1, 2, 2] = 1
    second[1:4, 2, 2] = 1
    result = score(labelmap(second, affine), labelmap(first, affine))
    assert result.hd95_mm == pytest.approx(np.percentile([0, 5, 10], 95))
    assert result.volume_difference_ml == pytest.approx(2 * 4 / 1000)


def test_different_grids_shapes_and_bad_spacings_are_refused() -> None:
    mask = np.ones((2, 3, 4))
    with pytest.raises(InputError, match="different grids"):
        score(labelmap(mask), labelmap(mask, np.diag((1.5, 1.25, 6.0, 1.0))))
    with pytest.raises(InputError, match="cannot be compared"):
        dice(mask, mask[1:])
    for spacing in ((1, 1), (1, 1, 0), (1, -1, 1), (1, 1, math.nan)):
        with pytest.raises(InputError, match="spacing"):
            hd95(mask, mask, spacing)
    with pytest.raises(InputError, match="empty mask"):
        surface_distances(mask, 0 * mask, (1, 1, 1))


def test_summary_gives_mean_deviation_median_and_counts_failures() -> None:
    scores = {
        "a": SegmentationScore(0.9, 4.0, 1.0, 10.0, False),
        "b": SegmentationScore(0.8, 8.0, 2.0, -30.0, False),
        "c": SegmentationScore(0.0, 300.0, 300.0, -900.0, True),
    }
    summary = summarise(scores)
    assert summary["n"] == 3
    assert summary["failures"] == 1
    assert summary["dice"] == pytest.approx({"mean": 1.7 / 3, "sd": np.std([0.9, 0.8, 0], ddof=1), "median": 0.8})
    assert summary["hd95_mm"] == pytest.approx({"mean": 104.0, "sd": np.std([4, 8, 300], ddof=1), "median": 8.0})
    assert summary["volume_difference_ml"]["median"] == -30
    assert summarise({"a": scores["a"]})["dice"] == {"mean": 0.9, "sd": 0.0, "median": 0.9}
    with pytest.raises(InputError, match="no score"):
        summarise({})


def labels(*rows: str) -> Volume:
    return Volume(np.array([[list(map(int, row)) for row in rows]], np.uint8), np.diag((2.0, 3.0, 5.0, 1.0)))


def test_each_organ_is_scored_as_if_it_were_alone() -> None:
    prediction, reference = labels("1102200", "1102200"), labels("1100220", "1100000")
    found = score_organs(prediction, reference, ("liver", "spleen", "kidney"))
    for value, organ in enumerate(("liver", "spleen", "kidney"), start=1):
        alone = [each.with_voxels((each.voxels == value).astype(np.uint8)) for each in (prediction, reference)]
        assert found[organ] == score(*alone)
    assert (found["liver"].dice, found["spleen"].dice, found["kidney"].dice) == (1, pytest.approx(2 / 6), 1)
    assert found["spleen"].volume_difference_ml == pytest.approx(2 * 0.03)
    assert not any(each.failed for each in found.values())


def test_an_organ_that_the_reference_does_not_know_is_left_out() -> None:
    prediction, reference = labels("11022"), labels("11000")
    assert set(score_organs(prediction, reference, ("a", "b"), absent=(2,))) == {"a"}
    assert score_organs(prediction, reference, ("a", "b"))["b"].failed


def test_the_mean_over_organs_by_hand() -> None:
    first, second = SegmentationScore(1.0, 2.0, 1.0, 5.0, False), SegmentationScore(0.5, 8.0, 2.0, -15.0, True)
    assert mean_score([first, second]) == SegmentationScore(0.75, 5.0, 1.5, -5.0, True)
    assert mean_score([first]) == first
    with pytest.raises(InputError, match="no score"):
        mean_score([])
