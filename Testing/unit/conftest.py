"""What the library's tests share."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from VQBEGALLib.config import Config
    from VQBEGALLib.slices import SlicePair
    from VQBEGALLib.slices.reader import PairReader
    from VQBEGALLib.training import Example


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four small phantoms of 14 CT slices in folders by kind: s0 and s1 to train, s2 to validate, s3 to test."""
    from VQBEGALLib.volumes import write_volume
    from VQBEGALLib.volumes.phantom import make_subject

    folder = tmp_path_factory.mktemp("cohort")
    for number in range(4):
        subject = make_subject(number, ct_size=48, ct_slices=14, mr_size=48, mr_slices=10)
        volumes = {"ct": subject.ct, "mr": subject.mr, "ct_liver": subject.ct_labels, "mr_liver": subject.mr_labels}
        for kind, volume in volumes.items():
            (folder / kind).mkdir(exist_ok=True)
            write_volume(folder / kind / f"s{number}.nii.gz", volume)
    split = {"train": ["s0", "s1"], "validation": ["s2"], "test": ["s3"]}
    (folder / "split.json").write_text(json.dumps(split), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def study_settings() -> dict[str, object]:
    """Settings of a study of the cohort that trains a round in a moment."""
    return {
        "size": 32,
        "base_channels": 4,
        "stages": 2,
        "codes": 16,
        "code_dim": 8,
        "steps": 4,
        "batch_size": 4,
        "unlabelled_per_step": 2,
        "seed_budget": 6,
        "round_budget": 4,
        "plateau_rounds": 0,
    }


TINY = {
    "size": 32,
    "base_channels": 4,
    "stages": 3,
    "codes": 16,
    "code_dim": 8,
    "steps": 6,
    "batch_size": 4,
    "unlabelled_per_step": 2,
}


@dataclass(frozen=True)
class TinyCohort:
    """Bright discs in grey noise.

    Args:
        config: settings that a test can train with in less than a second.
        reader: reads the slices.
        pairs: all pairs, each with a partner; subject c borrows its partners.
        examples: the first pairs, labelled on both slices, with role ALL.
        rest: the pairs after them.
    """

    config: Config
    reader: PairReader
    pairs: list[SlicePair]
    examples: list[Example]
    rest: list[SlicePair]


@pytest.fixture
def tiny_cohort(tmp_path: Path) -> Callable[..., TinyCohort]:
    """Makes a cohort of three subjects of five slices; keyword arguments change its settings."""
    from VQBEGALLib.config import preset
    from VQBEGALLib.slices import ImageKey, SliceCache, SliceFrame, pair_slices, prepare_masks
    from VQBEGALLib.slices.reader import PairReader
    from VQBEGALLib.training import Example, Role
    from VQBEGALLib.volumes import Volume

    def discs(seed: int, inside: float, outside: float) -> tuple[Volume, Volume]:
        generator = np.random.default_rng(seed)
        y, x = np.mgrid[:40, :40]
        centres, radii = generator.uniform(14, 26, (5, 2)), generator.uniform(5, 10, 5)
        mask = np.stack([np.hypot(y - cy, x - cx) < r for (cy, cx), r in zip(centres, radii, strict=True)])
        voxels = np.where(mask, inside, outside) + generator.normal(0, 20, mask.shape)
        affine = np.diag((1.0, 1.0, 3.0, 1.0))
        return Volume(voxels.astype(np.float32), affine), Volume(mask.astype(np.uint8), affine)

    def make(**changes: object) -> TinyCohort:
        config = preset("small", {**TINY, **changes})
        cache = SliceCache(tmp_path / "cache", config.slices)
        images = {("primary", name): discs(seed, 150, 0) for seed, name in enumerate("abc")}
        images |= {("auxiliary", name): discs(seed + 9, 300, 600) for seed, name in enumerate("ab")}
        keys, frames, masks = {}, {}, {}
        for (which, name), (volume, mask) in images.items():
            key = ImageKey(name, which, "CT" if which == "primary" else "MR", f"{which} {name}")
            cache.ensure(key, lambda volume=volume: volume)
            keys.setdefault(which, {})[name] = key
            frames.setdefault(which, {})[name] = SliceFrame.of(volume)
            masks[which, name] = prepare_masks(mask, config.slices, list(range(5)))
        pairs = pair_slices(
            frames["primary"],
            frames["auxiliary"],
            pairing=config.slices.pairing,
            generator=np.random.default_rng(config.seed),
        )
        examples = [
            Example(
                pair,
                Role.ALL,
                masks["primary", pair.case][pair.slice],
                masks["auxiliary", pair.partner][pair.partner_slice],
            )
            for pair in pairs[:6]
        ]
        return TinyCohort(config, PairReader(cache, keys["primary"], keys["auxiliary"]), pairs, examples, pairs[6:])

    return make
