from __future__ import annotations

import numpy as np
import pytest

from VQBEGALLib.errors import InputError
from VQBEGALLib.volumes import Volume


def test_spacing_and_shape_follow_the_stored_array() -> None:
    volume = Volume(np.zeros((2, 3, 4)), np.diag((0.5, 0.7, 5.0, 1.0)))
    assert volume.shape == (2, 3, 4)
    assert volume.spacing == pytest.approx((5.0, 0.7, 0.5))


@pytest.mark.parametrize(
    ("voxels", "says"),
    [
        (np.zeros((2, 3)), "axes"),
        (np.zeros((2, 3, 4, 5)), "axes"),
        (np.zeros((2, 0, 4)), "no voxels"),
        (np.full((2, 2, 2), np.nan), "NaN"),
        (np.full((2, 2, 2), np.inf), "infinite"),
        (np.zeros((2, 2, 2), dtype=complex), "not numbers"),
        (np.full((2, 2, 2), "a"), "not numbers"),
    ],
)
def test_what_is_not_a_scalar_volume_is_refused(voxels: np.ndarray, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        Volume(voxels, np.eye(4))
    assert caught.value.remedy


@pytest.mark.parametrize(
    "affine", [np.eye(3), np.zeros((4, 4)), np.diag((1.0, 1, 0, 1)), np.diag((1, 1, np.nan, 1)), np.full((4, 4), 1.0)]
)
def test_an_affine_that_maps_nowhere_is_refused(affine: np.ndarray) -> None:
    with pytest.raises(InputError):
        Volume(np.zeros((2, 2, 2)), affine)


def test_bool_becomes_uint8() -> None:
    assert Volume(np.ones((1, 1, 1), dtype=bool), np.eye(4)).voxels.dtype == np.uint8


def test_the_affine_is_a_copy() -> None:
    affine = np.eye(4)
    volume = Volume(np.zeros((1, 1, 1)), affine)
    affine[0, 3] = 7
    assert volume.affine[0, 3] == 0


@pytest.mark.parametrize(("shear", "orthogonal"), [(0.0, True), (1e-6, True), (0.01, False)])
def test_a_sheared_axis_is_told_from_an_oblique_one(shear: float, orthogonal: bool) -> None:
    affine = np.diag((0.7, 0.8, 3.0, 1.0))
    affine[1, 2] = shear * 3
    turn = np.eye(4)
    turn[:2, :2] = [[0.6, -0.8], [0.8, 0.6]]
    assert Volume(np.zeros((2, 2, 2)), turn @ affine).orthogonal is orthogonal


def test_grids_are_the_same_only_where_all_voxels_meet() -> None:
    volume = Volume(np.zeros((5, 100, 100)), np.eye(4))
    moved, stretched = np.eye(4), np.eye(4)
    moved[0, 3] = 0.01
    stretched[1, 1] = 1.0005  # 0.05 mm at the far corner
    assert volume.same_grid(Volume(np.ones((5, 100, 100)), np.eye(4)))
    assert not volume.same_grid(Volume(np.ones((5, 100, 100)), moved))
    assert not volume.same_grid(Volume(np.ones((5, 100, 100)), stretched))
    assert not volume.same_grid(Volume(np.ones((4, 100, 100)), np.eye(4)))
    assert volume.same_grid(Volume(np.ones((5, 100, 100)), moved), tolerance=0.02)


def test_other_voxels_must_fit_the_grid() -> None:
    volume = Volume(np.zeros((2, 3, 4)), np.diag((1.0, 2.0, 3.0, 1.0)))
    assert volume.with_voxels(np.ones((2, 3, 4))).same_grid(volume)
    with pytest.raises(InputError):
        volume.with_voxels(np.ones((4, 3, 2)))
