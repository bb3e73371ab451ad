from __future__ import annotations

import numpy as np
import pytest

from VQBEGALLib.export.codes import coded
from VQBEGALLib.export.overlay import Overlay, window_of
from VQBEGALLib.export.segmentation import Segment

LIVER = coded("liver")
assert LIVER is not None
COLOR = np.array(LIVER.color)


def overlay(*segments: Segment, columns: int = 512, note: str = "VQ-BEGAL, prediction of round 2") -> Overlay:
    return Overlay(segments=segments, window=(-150, 250), note=note, columns=columns)


def named(*names: str) -> list[Segment]:
    return [Segment(value=n, name=name, color=(0, 9 * n, 255), type=None) for n, name in enumerate(names, start=1)]


def test_grey_outline_tint_and_banner_are_where_they_belong() -> None:
    plane, labels = np.full((512, 512), 50, np.int16), np.zeros((512, 512), np.uint8)
    plane[0, :2] = -900, 900
    labels[100:200, 300:400] = 1
    picture = overlay(LIVER).draw(plane, labels)
    assert picture.dtype == np.uint8 and picture.shape[1:] == (512, 3) and 512 < picture.shape[0] < 640
    assert picture[0, :2].tolist() == [[0, 0, 0], [255, 255, 255]]
    assert picture[400, 10].tolist() == [127, 127, 127]
    assert (picture[100, 300:400] == COLOR).all() and (picture[199, 300:400] == COLOR).all()
    assert np.abs(picture[150, 350] - (0.75 * 127 + 0.25 * COLOR)).max() <= 1
    outside = np.ones((512, 512), bool)
    outside[100:200, 300:400] = outside[0, :2] = False
    assert (picture[:512][outside] == 127).all()


@pytest.mark.parametrize(("columns", "zoom"), [(512, 1), (700, 1), (511, 2), (256, 2), (96, 6)])
def test_small_images_are_enlarged_for_the_banner(columns: int, zoom: int) -> None:
    labels = np.zeros((40, columns), np.uint8)
    labels[10, 20] = 1
    picture = overlay(LIVER, columns=columns).draw(np.zeros((40, columns), np.float32), labels)
    assert picture.shape[1] == zoom * columns >= 512
    found = np.argwhere((picture[: 40 * zoom] == COLOR).all(axis=2))
    assert found.min(axis=0).tolist() == [10 * zoom, 20 * zoom]
    assert found.max(axis=0).tolist() == [11 * zoom - 1, 21 * zoom - 1]


def test_a_pixel_at_the_edge_is_drawn() -> None:
    labels = np.zeros((512, 512), np.uint8)
    labels[511, 511] = 1
    assert (overlay(LIVER).draw(np.zeros((512, 512)), labels)[511, 511] == COLOR).all()


def banner(made: Overlay) -> np.ndarray:
    blank = np.zeros((8, made.columns), np.uint8)
    return made.draw(blank, blank)[8 * made.zoom :]


def test_a_long_legend_takes_more_lines_and_stays_inside() -> None:
    short, long = banner(overlay(*named("Liver"))), banner(overlay(*named(*(f"Segment number {n}" for n in range(9)))))
    assert len(long) > len(short)
    for picture in (short, long):
        edges = np.concatenate((picture[:, :4], picture[:, -4:]), axis=1)
        assert (edges == edges[0, 0]).all()
    swatches = {tuple(color) for color in long.reshape(-1, 3)}
    assert {(0, 9 * n, 255) for n in range(1, 10)} <= swatches


def test_too_long_a_line_is_cut() -> None:
    picture = banner(overlay(*named("W" * 64), note="M" * 64))
    assert (picture[:, -4:] == picture[0, 0]).all()


def test_letters_that_the_font_lacks_are_replaced() -> None:
    assert np.array_equal(banner(overlay(*named("Läsion"))), banner(overlay(*named("Lasion"))))
    assert np.array_equal(banner(overlay(*named("肝"))), banner(overlay(*named("?"))))


def test_windows_follow_the_modality() -> None:
    signal = np.random.default_rng(0).normal(500, 100, (4, 200, 200)).astype(np.float32)
    signal[0, 0, 0] = 10**6
    assert window_of(signal, "CT") == (-150, 250)
    low, high = window_of(signal, "MR")
    assert 250 < low < 290 and 710 < high < 750
    flat = window_of(np.zeros((2, 8, 8), np.uint8), "MR")
    assert flat[0] < flat[1]
