"""Windowing, percentiles, and the way to the square grid and back."""

from __future__ import annotations

import numpy as np
import pytest

from VQBEGALLib.config import SliceSettings
from VQBEGALLib.errors import InputError
from VQBEGALLib.slices import PlaneGrid, SliceFrame, prepare, prepare_masks
from VQBEGALLib.slices.preprocessing import normalise
from VQBEGALLib.volumes import Volume

SMALL = SliceSettings(size=32)


def volume(voxels: object, spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Volume:
    """A volume with spacing along (K, J, I), mm."""
    return Volume(np.asarray(voxels), np.diag((*spacing[::-1], 1.0)))


def blob(shape: tuple[int, int], pixel: tuple[float, float], centre: tuple[float, float], width: float) -> np.ndarray:
    """A Gaussian, round in mm; centre and width in mm from the middle of the plane."""
    row, column = ((np.arange(n) - (n - 1) / 2) * p - c for n, p, c in zip(shape, pixel, centre, strict=True))
    return np.exp(-(row[:, None] ** 2 + column**2) / (2 * width**2)).astype(np.float32)


def moments(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centre of mass and standard deviation along rows and columns, pixels."""
    places = np.indices(image.shape).reshape(2, -1)
    weights = image.ravel() / image.sum()
    centre = places @ weights
    return centre, np.sqrt((places - centre[:, None]) ** 2 @ weights)


def grid(planes: np.ndarray, pixel: tuple[float, float], settings: SliceSettings) -> PlaneGrid:
    return PlaneGrid.of(SliceFrame.of(volume(planes, (2.0, *pixel))), settings)


@pytest.mark.parametrize("dtype", [np.int16, np.float32, np.float64])
def test_ct_is_windowed_in_hounsfield_units(dtype: type) -> None:
    ct = volume(np.array([[[-1000, -125, -25, 75, 275, 3000]]], dtype=dtype))
    assert normalise(ct, "CT", SMALL).ravel().tolist() == pytest.approx([0, 0, 0.25, 0.5, 1, 1])
    other = SliceSettings(ct_window=(-1000, 1000))
    assert normalise(ct, "CT", other).ravel()[1] == pytest.approx(875 / 2000)


def test_mr_is_mapped_between_its_percentiles() -> None:
    values = np.random.default_rng(0).normal(400, 80, (5, 6, 7))
    low, high = np.percentile(values, (1, 99))
    expected = np.clip((values - low) / (high - low), 0, 1)
    assert np.allclose(normalise(volume(values), "MR", SMALL), expected, atol=1e-5)


def test_mr_does_not_depend_on_the_scanners_scale_nor_on_one_bright_voxel() -> None:
    values = np.random.default_rng(0).normal(400, 80, (9, 9, 9))
    plain = normalise(volume(values), "MR", SMALL)
    assert np.allclose(normalise(volume(values * 7 - 3000), "MR", SMALL), plain, atol=1e-4)
    values[4, 4, 4] = 1e6
    assert np.abs(normalise(volume(values), "MR", SMALL) - plain).mean() < 0.03


def test_percentiles_are_a_setting() -> None:
    values = np.arange(1000.0).reshape(10, 10, 10)
    wide = normalise(volume(values), "MR", SliceSettings(mr_percentiles=(0, 100)))
    assert np.allclose(wide.ravel(), np.arange(1000) / 999, atol=1e-6)


@pytest.mark.parametrize(
    ("modality", "values"), [("CT", (40, 40)), ("CT", (-1000, -300)), ("CT", (500, 3000)), ("MR", (7, 7))]
)
def test_a_volume_without_contrast_is_refused(modality: str, values: tuple[int, int]) -> None:
    flat = volume(np.array([values, values], dtype=np.int16)[None])
    with pytest.raises(InputError, match=f"The {modality} volume shows the same intensity everywhere"):
        prepare(flat, modality, SMALL)


@pytest.mark.parametrize("settings", [SliceSettings(size=64), SliceSettings(size=128, pixel_spacing=0.8)])
@pytest.mark.parametrize("centre", [(0.0, 0.0), (9.0, -14.0)])
def test_to_the_grid_and_back_returns_a_smooth_plane(settings: SliceSettings, centre: tuple[float, float]) -> None:
    pixel = (1.1, 0.7)
    plane = blob((60, 96), pixel, centre, 8.0)
    there = grid(plane[None], pixel, settings)
    back = there.to_plane(there.to_grid(plane[None]))[0]
    assert np.abs(back - plane).max() < 0.04
    assert np.allclose(moments(back)[0], moments(plane)[0], atol=0.05)


@pytest.mark.parametrize(("shape", "pixel"), [((48, 48), (1.0, 1.0)), ((40, 96), (1.5, 0.75)), ((120, 50), (0.5, 0.9))])
def test_what_is_round_in_the_body_is_round_on_the_grid(shape: tuple[int, int], pixel: tuple[float, float]) -> None:
    plane = blob(shape, pixel, (0, 0), 6.0)
    settings = SliceSettings(size=64)
    centre, width = moments(grid(plane[None], pixel, settings).to_grid(plane[None])[0])
    assert np.allclose(centre, 31.5, atol=0.02)
    spacing = max(n * p for n, p in zip(shape, pixel, strict=True)) / 64
    assert np.allclose(width, 6.0 / spacing, rtol=0.04)


@pytest.mark.parametrize("size", [16, 32, 64])
def test_a_set_pixel_spacing_crops_or_pads_about_the_centre(size: int) -> None:
    plane = blob((40, 48), (1.0, 1.0), (0, 0), 4.0)
    image = grid(plane[None], (1.0, 1.0), SliceSettings(size=size, pixel_spacing=2.0)).to_grid(plane[None])[0]
    assert image.shape == (size, size)
    assert np.allclose(moments(image)[0], (size - 1) / 2, atol=0.02)
    assert np.allclose(moments(image)[1], 4.0 / 2.0, rtol=0.1)


def test_beyond_the_field_of_view_is_the_fill_value() -> None:
    plane = np.full((1, 40, 48), 0.7, np.float32)
    there = grid(plane, (1.0, 1.0), SliceSettings(size=64, pixel_spacing=2.0))
    image = there.to_grid(plane, fill=0.2)[0]
    inside = np.zeros((64, 64), bool)
    inside[22:42, 20:44] = True  # 20 × 24 pixels of 2 mm about the middle
    assert np.allclose(image[inside], 0.7)
    assert np.allclose(image[~inside], 0.2)
    assert not there.to_grid(plane)[0][~inside].any()


@pytest.mark.parametrize("seed", range(40))
def test_the_whole_field_of_view_stays_to_its_border(seed: int) -> None:
    generator = np.random.default_rng(seed)
    size = 16 * int(generator.integers(1, 9))
    count = size if seed < 20 else int(generator.integers(size // 2, 3 * size))
    pixel = float(generator.uniform(0.4, 2.0))  # rounding must not push the border pixels' centres outside
    labels = volume(np.ones((1, count, count), np.uint8), (2.0, pixel, pixel))
    assert prepare_masks(labels, SliceSettings(size=size), [0]).all()


def test_masks_hold_pixels_that_are_half_organ_or_more() -> None:
    labels = np.zeros((2, 128, 128), np.uint8)
    labels[0, :, :64] = 1  # ends between two pixels of 4 × 4
    labels[1, :, 50] = 1  # a quarter of a pixel wide
    first, second = prepare_masks(volume(labels), SMALL, [0, 1])
    assert first.dtype == np.uint8
    assert first[:, :16].all()
    assert not first[:, 16:].any()
    assert not second.any()


def test_masks_keep_an_organs_area() -> None:
    y, x = np.mgrid[:200, :160]
    labels = (np.hypot((y - 90) * 0.8, (x - 80) * 1.0) < 40).astype(np.uint8)[None]
    pixel = 160 / 64
    area = prepare_masks(volume(labels, (2.0, 0.8, 1.0)), SliceSettings(size=64), [0]).sum() * pixel**2
    assert area == pytest.approx(np.pi * 40**2, rel=0.02)


def test_masks_come_in_the_order_asked_for() -> None:
    labels = np.zeros((4, 32, 32), np.uint8)
    for index in range(4):
        labels[index, : 8 * index] = 1
    areas = prepare_masks(volume(labels), SMALL, [3, 0, 2]).sum(axis=(1, 2))
    assert areas.tolist() == [24 * 32, 0, 16 * 32]


def test_slices_come_in_the_volumes_own_order_turned_for_reading() -> None:
    voxels = np.full((3, 32, 32), -125.0)
    voxels[0, 0, 0] = 275
    affine = np.diag((-1.0, -1.0, -3.0, 1.0))  # head first in the array, rows to anterior, columns to right
    images = prepare(Volume(voxels, affine), "CT", SMALL)
    assert images.shape == (3, 32, 32)
    assert images.dtype == np.float32
    assert np.unravel_index(images.argmax(), images.shape) == (0, 31, 31)


def test_images_and_masks_lie_on_the_same_grid() -> None:
    y, x = np.mgrid[:90, :70]
    organ = np.hypot(y - 30, x - 45) < 15
    affine = np.diag((-0.8, 1.3, 3.0, 1.0))
    image = prepare(Volume(np.where(organ, 275, -125)[None], affine), "CT", SliceSettings(size=64))[0]
    mask = prepare_masks(Volume(organ[None].astype(np.uint8), affine), SliceSettings(size=64), [0])[0]
    assert np.array_equal(image >= 0.5, mask == 1)


def test_a_pixel_belongs_to_the_organ_of_largest_share_unless_more_of_it_is_background() -> None:
    labels = np.random.default_rng(0).choice([0, 2, 7, 9], (6, 17, 17)).astype(np.uint8)
    labels[0, :4, :6] = [[2, 2, 0, 2, 2, 7], [7, 0, 7, 0, 7, 0], [0, 0, 0, 0, 0, 0], [0, 0, 2, 2, 2, 9]]
    settings = SliceSettings(size=16, pixel_spacing=1)  # each pixel lies between four of the plane: a quarter of each
    found = prepare_masks(volume(labels), settings, list(range(6)))
    assert found.dtype == np.uint8
    for index, row, column in np.ndindex(found.shape):
        parts = labels[index, row : row + 2, column : column + 2]
        shares = {value: np.mean(parts == value) for value in (2, 7, 9)}
        best = max(shares, key=lambda value: shares[value])  # the first of equal ones
        assert found[index, row, column] == (best if shares[best] >= np.mean(parts == 0) else 0)
    assert found[0, 0, :5].tolist() == [2, 0, 0, 2, 7] and found[0, 2, :4].tolist() == [0, 0, 2, 2]


def test_one_organ_among_several_is_what_it_is_alone() -> None:
    y, x = np.mgrid[:90, :70]
    alone = (np.hypot(y - 40, x - 25) < 15).astype(np.uint8)[None]
    both = alone.copy()
    both[0, :, 50:60] = 2
    found = prepare_masks(volume(both), SMALL, [0])
    assert np.array_equal(found == 1, prepare_masks(volume(alone), SMALL, [0]) == 1)
    assert (found == 2).any()
