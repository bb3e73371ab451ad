"""Slices are prepared once, and anew when the image or a setting changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from VQBEGALLib.config import SliceSettings
from VQBEGALLib.errors import InputError, StorageError
from VQBEGALLib.slices import ImageKey, SliceCache, prepare
from VQBEGALLib.volumes import Volume

SETTINGS = SliceSettings(size=32)
KEY = ImageKey("a", "primary", "CT", "digest 1")


def noise(seed: int = 0, slices: int = 5) -> Volume:
    voxels = np.random.default_rng(seed).uniform(-100, 250, (slices, 32, 32))
    return Volume(voxels, np.diag((1.0, 1.0, 3.0, 1.0)))


class Loader:
    """Counts how often the image is read."""

    def __init__(self, volume: Volume | None = None) -> None:
        self.volume = volume or noise()
        self.calls = 0

    def __call__(self) -> Volume:
        self.calls += 1
        return self.volume


@pytest.fixture
def cache(tmp_path: Path) -> SliceCache:
    return SliceCache(tmp_path / "cache", SETTINGS)


def files(cache: SliceCache) -> list[str]:
    return sorted(path.name for path in cache.folder.iterdir())


def test_an_image_is_prepared_once(cache: SliceCache) -> None:
    load = Loader()
    cache.ensure(KEY, load)
    cache.ensure(KEY, load)
    SliceCache(cache.folder, SETTINGS).ensure(KEY, load)
    assert load.calls == 1
    assert files(cache) == [cache.path(KEY).name]


def test_reading_returns_the_slices_asked_for_in_their_order(cache: SliceCache) -> None:
    cache.ensure(KEY, Loader())
    expected = prepare(noise(), "CT", SETTINGS)
    images = cache.read(KEY, [3, 0, 3])
    assert images.dtype == np.float32
    assert np.allclose(images, expected[[3, 0, 3]], atol=5e-4)  # 16-bit floats
    assert cache.read(KEY, []).shape == (0, 32, 32)


def test_another_image_is_prepared_anew_and_the_old_slices_go(cache: SliceCache) -> None:
    cache.ensure(KEY, Loader())
    changed = replace(KEY, digest="digest 2")
    cache.ensure(changed, Loader(noise(1)))
    assert files(cache) == [cache.path(changed).name]
    assert np.allclose(cache.read(changed, [0]), prepare(noise(1), "CT", SETTINGS)[:1], atol=5e-4)


@pytest.mark.parametrize(
    "changes",
    [{"size": 16}, {"pixel_spacing": 1.5}, {"ct_window": (-100.0, 200.0)}, {"mr_percentiles": (2.0, 98.0)}],
)
def test_another_setting_prepares_anew_and_the_old_slices_go(cache: SliceCache, changes: dict[str, object]) -> None:
    cache.ensure(KEY, Loader())
    other = SliceCache(cache.folder, replace(SETTINGS, **changes))
    load = Loader()
    other.ensure(KEY, load)
    assert load.calls == 1
    assert files(cache) == [other.path(KEY).name]


@pytest.mark.parametrize("changes", [{"pairing": "random"}, {"pairing": "none"}, {"auxiliary_share": 0.5}])
def test_another_pairing_needs_no_new_slices(cache: SliceCache, changes: dict[str, object]) -> None:
    cache.ensure(KEY, Loader())
    load = Loader()
    SliceCache(cache.folder, replace(SETTINGS, **changes)).ensure(KEY, load)
    assert load.calls == 0


def test_another_modality_prepares_anew(cache: SliceCache) -> None:
    cache.ensure(KEY, Loader())
    load = Loader()
    cache.ensure(replace(KEY, modality="MR"), load)
    assert load.calls == 1


@pytest.mark.parametrize("other", ["a.b", "a.primary", "b", "a.primary.b", "A b"])
def test_the_slices_of_other_subjects_stay(cache: SliceCache, other: str) -> None:
    neighbours = [ImageKey(other, "primary", "CT", "x"), ImageKey(other, "auxiliary", "MR", "x")]
    neighbours.append(ImageKey("a", "auxiliary", "MR", "x"))
    for key in (KEY, *neighbours):
        cache.ensure(key, Loader())
    cache.ensure(replace(KEY, digest="digest 2"), Loader())
    assert all(cache.path(key).exists() for key in neighbours)
    assert not cache.path(KEY).exists()


@pytest.mark.parametrize("name", ["[1]", "liver [a-c]", "肝臓 1", "a*b", "what?"])
def test_old_slices_go_whatever_the_subjects_name(cache: SliceCache, name: str) -> None:
    key = ImageKey(name, "primary", "CT", "digest 1")
    changed = replace(key, digest="digest 2")
    cache.ensure(key, Loader())
    cache.ensure(changed, Loader())
    assert files(cache) == [cache.path(changed).name]


def test_an_image_that_cannot_be_prepared_leaves_nothing(cache: SliceCache) -> None:
    with pytest.raises(InputError, match="same intensity"):
        cache.ensure(KEY, Loader(Volume(np.zeros((2, 32, 32)), np.eye(4))))
    assert not cache.folder.exists()


def test_a_full_disk_is_told_and_leaves_nothing(tiny_disk: Path) -> None:
    cache = SliceCache(tiny_disk / "cache", SETTINGS)
    with pytest.raises(StorageError, match="disk is full"):
        cache.ensure(KEY, Loader(noise(slices=200)))
    assert files(cache) == []


def test_a_file_is_mapped_only_while_it_is_read(cache: SliceCache) -> None:
    cache.ensure(KEY, Loader())
    path = cache.path(KEY)
    process = psutil.Process()

    def held() -> bool:
        maps: Callable[[], list[object]] | None = getattr(process, "memory_maps", None)
        if maps is None:
            pytest.skip("this system does not list a process's mapped files")
        names = [Path(each.path) for each in maps()] + [Path(each.path) for each in process.open_files()]
        return path in names

    mapped = np.load(path, mmap_mode="r")
    assert held()
    del mapped
    images = cache.read(KEY, [1, 2])
    assert not held()
    assert not isinstance(images, np.memmap)
    images[:] = 0  # ours alone
    assert cache.read(KEY, [1, 2]).any()
