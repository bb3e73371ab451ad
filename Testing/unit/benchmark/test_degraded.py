"""Each way to make one slice worse, against what its level promises."""

from __future__ import annotations

import numpy as np
import pytest

from VQBEGALLib.benchmark.degraded import Degrade, blanked, blurred, noisy, shaded


def texture(size: int = 64) -> np.ndarray:
    return np.random.default_rng(7).random((size, size), np.float32)


def draw(degrade: Degrade, image: np.ndarray, level: float, seed: int = 0) -> np.ndarray:
    return degrade(image, level, np.random.default_rng(seed))


@pytest.mark.parametrize("degrade", [noisy, blurred, shaded, blanked])
def test_level_zero_changes_nothing_and_no_level_the_input_or_its_type(degrade: Degrade) -> None:
    image = texture()
    kept = image.copy()
    assert np.array_equal(draw(degrade, image, 0.0), kept)
    worse = draw(degrade, image, 1.0)
    assert worse.dtype == np.float32
    assert worse.shape == image.shape
    assert not np.array_equal(worse, kept)
    assert np.array_equal(image, kept)
    assert np.array_equal(draw(degrade, image, 1.0), worse)


@pytest.mark.parametrize("level", [0.05, 0.1, 0.2])
def test_noise_has_the_deviation_asked_for_and_no_mean(level: float) -> None:
    image = texture()
    noise = draw(noisy, image, level) - image
    assert noise.std() == pytest.approx(level, rel=0.05)  # 4,096 draws: five standard errors
    assert abs(noise.mean()) < 5 * level / 64
    assert np.allclose(noise / level, draw(noisy, image, 1.0) - image, atol=1e-4)


@pytest.mark.parametrize("level", [1.0, 2.0, 4.0])
def test_blur_spreads_a_point_by_its_level_and_keeps_its_mass(level: float) -> None:
    point = np.zeros((65, 65), np.float32)
    point[32, 32] = 1
    spread = draw(blurred, point, level)
    assert spread.sum() == pytest.approx(1, abs=1e-3)
    places = np.arange(65) - 32
    for axis in (0, 1):
        assert (spread.sum(axis=axis) * places**2).sum() == pytest.approx(level**2, rel=0.02)


def test_blur_keeps_a_flat_slice_flat_up_to_its_border() -> None:
    assert np.allclose(draw(blurred, np.full((32, 32), 0.4, np.float32), 3.0), 0.4, atol=1e-6)


@pytest.mark.parametrize("level", [0.25, 1.0])
def test_shade_is_the_exponential_of_a_cubic_that_reaches_its_level(level: float) -> None:
    gain = np.log(draw(shaded, np.ones((48, 48), np.float32), level).astype(np.float64))
    assert np.abs(gain).max() == pytest.approx(level, rel=1e-5)
    assert abs(gain.mean()) < 1e-5
    for axis in (0, 1):
        assert np.abs(np.diff(gain, n=4, axis=axis)).max() < 1e-5  # fourth differences of a cubic are 0
        assert np.abs(np.diff(gain, axis=axis)).max() > 1e-3


def test_shade_multiplies_what_is_there() -> None:
    image = texture()
    assert np.allclose(draw(shaded, image, 0.5), image * draw(shaded, np.ones_like(image), 0.5), atol=1e-6)


def test_a_share_of_slices_is_blank_and_stays_so_at_higher_levels() -> None:
    image = texture(4) + 1
    blank = {level: [not draw(blanked, image, level, seed).any() for seed in range(400)] for level in (0.25, 0.5, 1.0)}
    assert sum(blank[0.25]) == pytest.approx(100, abs=43)  # five standard deviations
    assert sum(blank[0.5]) == pytest.approx(200, abs=50)
    assert all(blank[1.0])
    assert all(more for less, more in zip(blank[0.25], blank[0.5], strict=True) if less)
