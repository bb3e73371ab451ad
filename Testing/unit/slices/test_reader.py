"""Pairs come back as arrays in the order asked for, whichever files they lie in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from VQBEGALLib.config import SliceSettings
from VQBEGALLib.slices import ImageKey, SliceCache, SlicePair
from VQBEGALLib.slices.reader import PairReader
from VQBEGALLib.volumes import Volume

MARKS = {("primary", "a"): 0.1, ("primary", "b"): 0.3, ("auxiliary", "a"): 0.5, ("auxiliary", "b"): 0.7}
"""Grey level of slice 0 of each image; slice n is n hundredths brighter."""


class CountingCache(SliceCache):
    """Notes which files are read."""

    def __init__(self, folder: Path, settings: SliceSettings) -> None:
        super().__init__(folder, settings)
        self.reads: list[ImageKey] = []

    def read(self, key: ImageKey, indices: object) -> np.ndarray:
        self.reads.append(key)
        return super().read(key, indices)


@pytest.fixture
def reader(tmp_path: Path) -> PairReader:
    cache = CountingCache(tmp_path, SliceSettings(size=16, ct_window=(0, 1)))
    keys = {"primary": {}, "auxiliary": {}}
    for (which, name), level in MARKS.items():
        voxels = np.full((4, 16, 16), level) + np.arange(4)[:, None, None] / 100
        key = keys[which][name] = ImageKey(name, which, "CT", f"{which} {name}")
        cache.ensure(key, lambda voxels=voxels: Volume(voxels, np.eye(4)))
    return PairReader(cache, keys["primary"], keys["auxiliary"])


def level(image: np.ndarray) -> float:
    assert image.std() < 1e-6
    return float(image.mean())


def test_pairs_come_in_the_order_asked_for(reader: PairReader) -> None:
    pairs = [SlicePair("b", 2, "a", 3), SlicePair("a", 0, "b", 1), SlicePair("b", 0, "b", 0), SlicePair("b", 2, "a", 3)]
    images = reader.read(pairs)
    assert [level(image) for image in images.primary] == pytest.approx([0.32, 0.1, 0.3, 0.32], abs=1e-3)
    assert [level(image) for image in images.auxiliary] == pytest.approx([0.53, 0.71, 0.7, 0.53], abs=1e-3)
    assert images.present.tolist() == [True] * 4
    assert images.primary.shape == images.auxiliary.shape == (4, reader.size, reader.size)
    assert images.primary.dtype == np.float32


def test_a_missing_partner_is_zeros_and_marked_absent(reader: PairReader) -> None:
    images = reader.read([SlicePair("a", 1), SlicePair("b", 1, "a", 0)])
    assert images.present.tolist() == [False, True]
    assert not images.auxiliary[0].any()
    assert level(images.auxiliary[1]) == pytest.approx(0.5, abs=1e-3)


def test_each_file_is_read_once_a_batch(reader: PairReader) -> None:
    reader.read([SlicePair("a", index % 4, "b", 0) for index in range(10)])
    assert len(reader._cache.reads) == 2


def test_no_pairs_no_images(reader: PairReader) -> None:
    images = reader.read([])
    assert images.primary.shape == (0, 16, 16)
    assert images.present.shape == (0,)
