"""However a volume was acquired, its planes are read rows to posterior, columns to left."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from VQBEGALLib.slices import SliceFrame
from VQBEGALLib.volumes import Volume

SHAPE = (4, 5, 6)
SPACING = (3.0, 0.9, 0.7)
"""Along body, rows and columns, mm."""

BLOCK = np.arange(np.prod(SHAPE)).reshape(SHAPE)
"""Body axis to the head, rows to posterior, columns to left."""


@dataclass(frozen=True)
class Acquisition:
    """How a scanner stored the block: array axis a holds the block's axis order[a], reversed where flipped[a]."""

    order: tuple[int, int, int]
    flipped: tuple[bool, bool, bool]
    turn: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @property
    def volume(self) -> Volume:
        steps = tuple(-1 if flip else 1 for flip in self.flipped)
        voxels = BLOCK.transpose(self.order)[:: steps[0], :: steps[1], :: steps[2]]
        # LPS directions of the block's axes: z up, y to posterior, x to left
        directions = np.diag(SPACING)[:, ::-1].T.astype(float)
        rotation = Rotation.from_rotvec(self.turn).as_matrix()
        affine = np.eye(4)
        affine[:3, 3] = 10, -20, 30
        for axis, (source, flip) in enumerate(zip(self.order, self.flipped, strict=True)):
            direction = rotation @ directions[:, source]
            affine[:3, 2 - axis] = -direction if flip else direction
            if flip:
                affine[:3, 3] += direction * (SHAPE[source] - 1)
        return Volume(voxels, affine)

    @property
    def body(self) -> int:
        return self.order.index(0)


angle = st.floats(-0.3, 0.3)
flips = st.tuples(st.booleans(), st.booleans(), st.booleans())
acquisitions = st.builds(Acquisition, st.permutations(range(3)).map(tuple), flips, st.tuples(angle, angle, angle))
few = settings(max_examples=60, deadline=None)


def in_own_order(acquisition: Acquisition, block: np.ndarray) -> np.ndarray:
    """The block's planes in the order in which the acquisition counts its slices."""
    return block[::-1] if acquisition.flipped[acquisition.body] else block


def test_the_helper_puts_voxels_where_the_block_has_them() -> None:
    plain, turned = (
        Acquisition(order, flipped).volume
        for order, flipped in (((0, 1, 2), (False,) * 3), ((2, 0, 1), (True, False, True)))
    )

    def places(volume: Volume) -> dict[int, tuple[float, ...]]:
        found = {}
        for (k, j, i), value in np.ndenumerate(volume.voxels):
            found[int(value)] = tuple(np.round(volume.affine[:3] @ (i, j, k, 1), 6))
        return found

    assert places(plain) == places(turned)


@few
@given(acquisitions)
def test_planes_read_rows_to_posterior_and_columns_to_left(acquisition: Acquisition) -> None:
    volume = acquisition.volume
    frame = SliceFrame.of(volume)
    assert np.array_equal(frame.planes(volume.voxels), in_own_order(acquisition, BLOCK))
    assert frame.shape == SHAPE
    assert frame.count == SHAPE[0]
    assert frame.pixel == pytest.approx(SPACING[1:])


@few
@given(acquisitions, st.integers(0, SHAPE[0] - 1))
def test_the_slice_index_counts_along_the_arrays_own_axis(acquisition: Acquisition, index: int) -> None:
    volume = acquisition.volume
    frame = SliceFrame.of(volume)
    assert frame.axis == acquisition.body
    stored = np.take(volume.voxels, index, axis=frame.axis)
    assert set(frame.planes(volume.voxels)[index].ravel()) == set(stored.ravel())


@few
@given(acquisitions, st.integers(0, SHAPE[0] - 1), st.integers(0, SHAPE[1] - 1), st.integers(0, SHAPE[2] - 1))
def test_writing_into_planes_marks_the_voxel_at_that_place(
    acquisition: Acquisition, index: int, row: int, column: int
) -> None:
    volume = acquisition.volume
    mask = np.zeros(volume.shape, np.uint8)
    SliceFrame.of(volume).planes(mask)[index, row, column] = 1
    assert mask.sum() == 1
    assert volume.voxels[mask == 1] == in_own_order(acquisition, BLOCK)[index, row, column]


@few
@given(acquisitions)
def test_height_grows_towards_the_head_and_at_height_inverts_it(acquisition: Acquisition) -> None:
    volume = acquisition.volume
    frame = SliceFrame.of(volume)
    heights = [frame.height(index) for index in range(frame.count)]
    up = volume.affine[2, 2 - frame.axis]  # mm towards the head from one slice to the next
    assert all((later - earlier) * up > 0 for earlier, later in itertools.pairwise(heights))
    assert min(heights) == pytest.approx(0.5 / frame.count)
    assert max(heights) == pytest.approx(1 - 0.5 / frame.count)
    assert [frame.at_height(height) for height in heights] == list(range(frame.count))


@few
@given(acquisitions, st.floats(0, 1))
def test_at_height_finds_a_slice_at_every_height(acquisition: Acquisition, height: float) -> None:
    frame = SliceFrame.of(acquisition.volume)
    found = frame.at_height(height)
    assert 0 <= found < frame.count
    assert abs(frame.height(found) - height) <= 0.5 / frame.count + 1e-9


@pytest.mark.parametrize("count", [1, 3, 49, 97, 1013])
@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_at_height_inverts_height_at_any_number_of_slices(count: int, direction: float) -> None:
    frame = SliceFrame.of(Volume(np.zeros((count, 2, 2)), np.diag((1, 1, direction, 1))))
    assert [frame.at_height(frame.height(index)) for index in range(count)] == list(range(count))


def test_a_gantry_tilt_does_not_change_the_reading_direction() -> None:
    affine = np.diag((0.8, 0.8, 5.0, 1.0))
    affine[1, 2] = 5.0 * np.tan(np.deg2rad(25))
    frame = SliceFrame.of(Volume(BLOCK, affine))
    assert frame.axes == (0, 1, 2)
    assert frame.flips == (False, False)
    assert frame.upward
