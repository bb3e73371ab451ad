from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from VQBEGALLib.volumes import Volume, resample

few = settings(max_examples=15, deadline=None)


def oblique(angles: list[float], spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_rotvec(angles).as_matrix() * spacing
    affine[:3, 3] = 20, -30, 5
    return affine


def coordinates(volume: Volume) -> np.ndarray:
    """LPS mm of every voxel centre, (K, J, I, 3)."""
    k, j, i = np.indices(volume.shape)
    return np.stack([i, j, k, np.ones_like(i)], axis=-1) @ volume.affine[:3].T


def test_the_own_grid_changes_nothing() -> None:
    voxels = np.random.default_rng(0).normal(size=(4, 5, 6)).astype(np.float32)
    volume = Volume(voxels, oblique([0.3, -0.2, 0.5], (0.7, 0.8, 4.0)))
    assert np.allclose(resample(volume, volume).voxels, voxels, atol=1e-5)


@few
@given(
    order=st.permutations(range(3)),
    flips=st.tuples(*[st.booleans()] * 3),
    angles=st.lists(st.floats(-1, 1), min_size=3, max_size=3),
)
def test_flipped_and_permuted_axes_come_back_exactly(order: list[int], flips: tuple, angles: list[float]) -> None:
    """The same voxels stored in another order of axes: no value may change, at the edges neither."""
    labels = Volume(np.random.default_rng(1).integers(0, 5, (4, 5, 6)).astype(np.uint8), oblique(angles, (1, 2, 3)))
    permuted = np.transpose(labels.voxels, order)
    matrix = np.zeros((4, 4))
    matrix[3, 3] = 1
    for new, old in enumerate(order):
        length = labels.shape[old]
        matrix[2 - old, 2 - new] = -1 if flips[new] else 1
        matrix[2 - old, 3] = length - 1 if flips[new] else 0
        if flips[new]:
            permuted = np.flip(permuted, axis=new)
    other = Volume(permuted, labels.affine @ matrix)
    assert np.array_equal(resample(labels, other, labels=True).voxels, permuted)
    assert np.array_equal(resample(other, labels, labels=True).voxels, labels.voxels)
    assert np.allclose(resample(labels, other).voxels, permuted, atol=1e-3)


@few
@given(angles=st.lists(st.floats(-1, 1), min_size=3, max_size=3))
def test_a_linear_image_stays_linear_inside_its_source(angles: list[float]) -> None:
    source = Volume(np.zeros((12, 14, 16)), oblique([0.0, 0.0, 0.0], (1.0, 1.2, 1.5)))
    source = source.with_voxels((coordinates(source) @ [1.0, 2.0, -3.0]).astype(np.float32))
    affine = oblique(angles, (0.6, 0.6, 0.6))
    centre = (source.affine @ [7.5, 6.5, 5.5, 1])[:3]
    affine[:3, 3] = centre - affine[:3, :3] @ [2.5, 2.5, 2.5]
    grid = Volume(np.zeros((6, 6, 6)), affine)
    assert np.allclose(resample(source, grid).voxels, coordinates(grid) @ [1.0, 2.0, -3.0], atol=1e-2)


@few
@given(angles=st.lists(st.floats(-0.5, 0.5), min_size=3, max_size=3))
def test_there_and_back_keeps_a_smooth_image_and_a_labelmap(angles: list[float]) -> None:
    ball = Volume(np.zeros((24, 24, 24)), oblique([0, 0, 0]))
    distance = np.linalg.norm(np.indices(ball.shape) - 11.5, axis=0)
    grid = Volume(np.zeros((80, 80, 80), np.uint8), oblique(angles, (0.5, 0.5, 0.5)))
    shift = (ball.affine @ [11.5, 11.5, 11.5, 1] - grid.affine @ [39.5, 39.5, 39.5, 1])[:3]
    affine = grid.affine.copy()
    affine[:3, 3] += shift
    grid = Volume(grid.voxels, affine)
    smooth = ball.with_voxels(np.exp(-((distance / 5) ** 2)).astype(np.float32))
    assert np.allclose(resample(resample(smooth, grid), smooth).voxels, smooth.voxels, atol=0.05)
    labels = ball.with_voxels((distance < 8).astype(np.uint8))
    back = resample(resample(labels, grid, labels=True), labels, labels=True).voxels
    assert back.dtype == np.uint8
    assert 2 * (back & labels.voxels).sum() / (back.sum() + labels.voxels.sum()) > 0.97


def test_outside_is_the_minimum_or_background() -> None:
    image = Volume(np.full((3, 3, 3), 40, np.int16), np.eye(4))
    image.voxels[1, 1, 1] = -1000
    affine = np.eye(4)
    affine[:3, 3] = -2
    grid = Volume(np.zeros((7, 7, 7)), affine)
    result = resample(image, grid).voxels
    assert result.dtype == np.float32
    assert (result[2:5, 2:5, 2:5] == image.voxels).all()
    assert (result.sum() - result[2:5, 2:5, 2:5].sum()) == -1000.0 * (7**3 - 27)
    labels = resample(Volume(np.ones((3, 3, 3), np.uint8), np.eye(4)), grid, labels=True).voxels
    assert labels.sum() == 27
    assert labels.dtype == np.uint8


@pytest.mark.parametrize("labels", [True, False])
def test_one_slice_reaches_half_its_thickness(labels: bool) -> None:
    slab = Volume(np.ones((1, 2, 2), np.uint8), np.diag((1.0, 1.0, 5.0, 1.0)))
    slab.voxels[0, 0, 0] = 0
    affine = np.eye(4)
    affine[2, 3] = -5
    result = resample(slab, Volume(np.zeros((11, 2, 2)), affine), labels=labels).voxels
    assert result[:, 1, 1].tolist() == [0, 0, 0, 1, 1, 1, 1, 1, 0, 0, 0]
