"""Outlines filled again, by matplotlib's test of which points lie inside a path, give the mask."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from matplotlib.path import Path as Outline

from VQBEGALLib.export.contours import keyhole, outlines, to_patient, without_needless


def filled(polygons: list[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """Return how many polygons hold each pixel's centre."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    centres = np.column_stack((columns.ravel(), rows.ravel()))
    inside = [Outline(np.concatenate((points, points[:1]))).contains_points(centres) for points in polygons]
    return np.sum(inside, axis=0, dtype=int).reshape(shape) if inside else np.zeros(shape, int)


def area(points: np.ndarray) -> float:
    """Signed, by the shoelace formula."""
    x, y = points.T
    return float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum() / 2)


RING = np.array([[0, 0, 0, 0, 0, 0], [0, 1, 1, 1, 1, 0], [0, 1, 0, 0, 1, 0], [0, 1, 1, 1, 1, 0], [0, 0, 0, 0, 0, 0]])


@settings(max_examples=200, deadline=None)
@given(plane=arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 2)))
def test_each_pixel_lies_in_one_polygon_and_no_other_pixel_does(plane: np.ndarray) -> None:
    polygons = outlines(plane, 2)
    assert np.array_equal(filled(polygons, plane.shape), plane == 2)
    assert all(len(points) >= 3 and area(points) > 0 for points in polygons)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), dense=st.floats(0.5, 0.95))
def test_many_nested_holes_and_islands(seed: int, dense: float) -> None:
    plane = (np.random.default_rng(seed).random((30, 40)) < dense).astype(np.uint8)
    plane[5:25, 5:35] = 0
    plane[8:22, 8:32] = np.random.default_rng(seed + 1).random((14, 24)) < dense
    assert np.array_equal(filled(outlines(plane, 1), plane.shape), plane)


@pytest.mark.parametrize("most", [4, 20, 200])
def test_polygons_that_are_too_long_are_cut_without_a_loss(most: int) -> None:
    plane = (np.random.default_rng(0).random((60, 50)) < 0.8).astype(np.uint8)
    assert max(map(len, outlines(plane, 1))) > 200
    polygons = outlines(plane, 1, most=most)
    assert max(map(len, polygons)) <= most
    assert np.array_equal(filled(polygons, plane.shape), plane)


def test_a_ring_is_one_polygon_of_the_rings_area() -> None:
    (points,) = outlines(RING, 1)
    assert area(points) == pytest.approx(RING.sum(), rel=0.02)  # corners lost outside and won inside
    assert filled([points], RING.shape)[2, 2] == 0
    assert len(np.unique(points, axis=0)) == len(points) - 2  # the cut's two ends, walked by twice


def test_one_pixel_gives_a_diamond_around_its_centre() -> None:
    plane = np.zeros((3, 4), np.uint8)
    plane[2, 3] = 5
    (points,) = outlines(plane, 5)
    assert sorted(map(tuple, points.round(9))) == [(3 - 0.49, 2), (3, 2 - 0.49), (3, 2 + 0.49), (3 + 0.49, 2)]


def test_nothing_gives_nothing() -> None:
    assert outlines(np.zeros((3, 3), np.uint8), 1) == []


def test_holes_in_one_row_are_joined_to_their_neighbours() -> None:
    outer = np.array([(-0.5, 1), (0, 0.5), (8, 0.5), (8.5, 1), (8, 1.5), (0, 1.5)])
    holes = [np.array([(x - 0.5, 1), (x, 1.25), (x + 0.5, 1), (x, 0.75)]) for x in (2, 5)]
    joined = keyhole(outer, holes)
    assert len(joined) == 6 + 5 + 1 + 5 + 1
    assert area(joined) == pytest.approx(area(outer) + sum(map(area, holes)))
    assert all(area(hole) < 0 for hole in holes)
    cuts = [{tuple(a), tuple(b)} for a, b in zip(joined, np.roll(joined, -1, axis=0), strict=True) if a[1] == b[1] == 1]
    assert [cuts.count(cut) for cut in ({(5.5, 1), (8.5, 1)}, {(2.5, 1), (4.5, 1)})] == [2, 2]
    assert len(cuts) == 4


def test_only_points_within_straight_lines_are_left_out() -> None:
    points = np.array([(0, 0), (1, 0), (2, 0), (2, 1), (4, 1), (2, 1), (2, 2), (0, 2), (0, 1)], float)
    kept = without_needless(points)
    assert kept.tolist() == [[0, 0], [2, 0], [2, 1], [4, 1], [2, 1], [2, 2], [0, 2]]


def test_points_go_where_the_affine_says() -> None:
    affine = np.array([[0, 0, 3, 1], [2, 0, 0, 2], [0, -1, 0.5, 3], [0, 0, 0, 1]], float)
    assert to_patient(np.array([[1.5, 2.0]]), 4, affine).tolist() == [[13, 5, 3]]
