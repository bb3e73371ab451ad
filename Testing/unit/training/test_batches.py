"""The batch of a step is a function of seed, round and step; each labelled slice comes once a turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import torch

from VQBEGALLib.config import Config, preset
from VQBEGALLib.slices import SlicePair
from VQBEGALLib.slices.reader import PairImages
from VQBEGALLib.training import Example, Role
from VQBEGALLib.training.augmentation import Augmentation
from VQBEGALLib.training.batches import Batch, Batches

CPU = torch.device("cpu")


def batches(cohort: Any, *, seed: tuple[int, ...] = (0, 0), dropout: float = 0.5, **changes: object) -> Batches:
    config = cohort.config.replace(changes)
    return Batches(cohort.reader, cohort.examples, cohort.rest, config.training, modality_dropout=dropout, seed=seed)


def equal(first: Batch, second: Batch) -> bool:
    names = [each.name for each in fields(Batch) if each.name != "share"]
    return all(torch.equal(getattr(first, name), getattr(second, name)) for name in names)


class Recorder:
    """A reader of grey images that notes what is asked for."""

    size = 16

    def __init__(self) -> None:
        self.asked: list[list[SlicePair]] = []

    def read(self, pairs: Sequence[SlicePair]) -> PairImages:
        self.asked.append(list(pairs))
        images = np.full((len(pairs), 16, 16), 0.5, np.float32)
        return PairImages(images, images, np.ones(len(pairs), np.bool_))


def drawn(labelled: int, unlabelled: int, steps: int, **changes: object) -> list[list[SlicePair]]:
    """Pairs of each step, labelled first."""
    config: Config = preset("small", changes)
    mask = np.zeros((16, 16), np.uint8)
    examples = [Example(SlicePair("l", index, "x", 0), Role.ALL, mask) for index in range(labelled)]
    pool = [SlicePair("u", index, "x", 0) for index in range(unlabelled)]
    reader = Recorder()
    found = Batches(reader, examples, pool, config.training, modality_dropout=0.5, seed=(0, 0))
    for step in range(steps):
        found.draw(step, CPU)
    return reader.asked


def test_a_batch_depends_only_on_seed_round_and_step(tiny_cohort: Callable[..., Any]) -> None:
    cohort = tiny_cohort()
    forward = [batches(cohort).draw(step, CPU) for step in range(4)]
    one = batches(cohort)
    backward = [one.draw(step, CPU) for step in (3, 2, 1, 0)][::-1]
    assert all(equal(a, b) for a, b in zip(forward, backward, strict=True))
    assert not any(torch.equal(forward[0].primary, other.primary) for other in forward[1:])
    for seed in ((1, 0), (0, 1)):
        assert not torch.equal(batches(cohort, seed=seed).draw(0, CPU).primary, forward[0].primary)


def test_drawing_leaves_the_global_random_state_alone(tiny_cohort: Callable[..., Any]) -> None:
    before = np.random.get_state()[1].tolist(), torch.get_rng_state()  # noqa: NPY002
    batches(tiny_cohort()).draw(0, CPU)
    assert np.random.get_state()[1].tolist() == before[0]  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), before[1])


@pytest.mark.parametrize(("labelled", "size"), [(5, 3), (7, 7), (3, 8), (1, 4), (12, 5)])
def test_every_labelled_slice_comes_once_a_turn(labelled: int, size: int) -> None:
    steps = drawn(labelled, 0, labelled * 2, batch_size=size, unlabelled_per_step=0)
    assert all(len(step) == size for step in steps)
    order = [pair.slice for step in steps for pair in step]
    turns = [order[start : start + labelled] for start in range(0, len(order), labelled)]
    assert all(sorted(turn) == list(range(labelled)) for turn in turns)
    if labelled >= 5:
        assert len({tuple(turn) for turn in turns}) > 1


def test_unlabelled_pairs_come_after_the_labelled_and_none_twice() -> None:
    steps = drawn(5, 6, 40, batch_size=3, unlabelled_per_step=4)
    assert all([pair.case for pair in step] == ["l"] * 3 + ["u"] * 4 for step in steps)
    spare = [[pair.slice for pair in step[3:]] for step in steps]
    assert all(len(set(each)) == 4 for each in spare)
    assert {index for each in spare for index in each} == set(range(6))


@pytest.mark.parametrize(("pool", "wanted", "found"), [(0, 4, 0), (2, 4, 2), (6, 0, 0)])
def test_no_more_unlabelled_pairs_than_there_are(pool: int, wanted: int, found: int) -> None:
    (step,) = drawn(3, pool, 1, batch_size=3, unlabelled_per_step=wanted)
    assert len(step) == 3 + found


def test_without_augmentation_the_images_and_masks_are_returned(tiny_cohort: Callable[..., Any]) -> None:
    cohort = tiny_cohort()
    examples = cohort.examples[:4]
    config = cohort.config.replace({"augmentation": 0.0, "unlabelled_per_step": 0})
    found = Batches(cohort.reader, examples, [], config.training, modality_dropout=0, seed=(0, 0)).draw(0, CPU)
    images = cohort.reader.read([example.pair for example in examples])
    order = [int(np.abs(images.primary - each.numpy()).mean(axis=(1, 2)).argmin()) for each in found.primary]
    assert sorted(order) == [0, 1, 2, 3]
    assert np.allclose(found.primary[:, 0], images.primary[order], atol=1e-4)
    assert np.allclose(found.auxiliary[:, 0], images.auxiliary[order], atol=1e-4)
    assert np.array_equal(found.masks[:, 0], np.stack([examples[index].mask for index in order]))
    assert np.array_equal(found.auxiliary_masks[:, 0], np.stack([examples[index].auxiliary_mask for index in order]))


def test_masks_roles_and_partners_stay_with_their_slices(tiny_cohort: Callable[..., Any]) -> None:
    cohort = tiny_cohort()
    roles = [Role.ALL, Role.ENCODER, Role.DECODER, Role.ENCODER]
    examples = [replace(example, role=role) for example, role in zip(cohort.examples, roles, strict=False)]
    examples[1] = replace(examples[1], auxiliary_mask=None)
    examples[2] = replace(examples[2], pair=SlicePair("a", 2), auxiliary_mask=None)
    config = cohort.config.replace({"augmentation": 0.0, "unlabelled_per_step": 2})
    found = Batches(cohort.reader, examples, cohort.rest, config.training, modality_dropout=0, seed=(0, 0)).draw(0, CPU)
    assert found.primary.shape == found.auxiliary.shape == (6, 1, 32, 32)
    assert found.masks.shape == found.auxiliary_masks.shape == (4, 1, 32, 32)
    for row in range(4):
        match = [index for index, each in enumerate(examples) if np.array_equal(each.mask, found.masks[row, 0])]
        assert len(match) == 1
        example = examples[match[0]]
        assert found.roles[row] == example.role
        assert bool(found.auxiliary_labelled[row]) is (example.auxiliary_mask is not None)
        assert bool(found.present[row]) is (example.pair.partner is not None)
    assert not found.auxiliary_masks[~found.auxiliary_labelled].any()
    assert not found.auxiliary[~found.present].any()


def test_mask_and_image_are_turned_alike(tiny_cohort: Callable[..., Any]) -> None:
    cohort = tiny_cohort()
    changed = 0
    for step in range(6):
        found = batches(cohort, unlabelled_per_step=0).draw(step, CPU)
        for images, masks, bright in (
            (found.primary, found.masks, True),
            (found.auxiliary, found.auxiliary_masks, False),
        ):
            for image, mask in zip(images, masks, strict=True):
                inside, outside = image[mask == 1].median(), image[mask == 0]
                outside = outside[outside > image.min() + 0.1].median()  # what was turned in from beyond is black
                assert (inside > outside) == bright
                guess = (image > (inside + outside) / 2) if bright else (image < (inside + outside) / 2)
                overlap = (guess & (mask == 1)).sum() / (mask == 1).sum()
                assert overlap > 0.9
        plain = batches(cohort, unlabelled_per_step=0, augmentation=0.0).draw(step, CPU)
        changed += int((plain.masks != found.masks).any(dim=(1, 2, 3)).sum())
        assert set(found.masks.unique().tolist()) <= {0.0, 1.0}
    assert changed >= 20  # of 24


def test_only_slices_that_show_the_same_anatomy_are_turned_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Labelled and unlabelled pairs, every second of them aligned; the turns are those that the images get."""
    mask = np.zeros((16, 16), np.uint8)
    mask[3:9, 5:14] = 1
    examples = [
        Example(SlicePair("l", number, "l", number, number % 2 == 0), Role.ALL, mask, mask) for number in range(6)
    ]
    pool = [SlicePair("u", number, "u", number, number % 2 == 0) for number in range(4)]
    turns: list[torch.Tensor] = []
    monkeypatch.setattr(Augmentation, "images", lambda turn, x: turns.append(turn.matrices) or x)
    config, reader = preset("small", {"batch_size": 6, "unlabelled_per_step": 4}), Recorder()
    found = Batches(reader, examples, pool, config.training, modality_dropout=0.5, seed=(0, 0)).draw(0, CPU)
    (pairs,), (primary, auxiliary) = reader.asked, turns
    alike = torch.tensor([pair.slice % 2 == 0 for pair in pairs])
    assert alike.tolist().count(True) == 5
    assert torch.equal(found.aligned, alike)
    assert torch.equal((primary == auxiliary).all(dim=(1, 2)), alike)
    assert torch.equal((found.masks == found.auxiliary_masks).all(dim=(1, 2, 3)), alike[:6])


@pytest.mark.parametrize("dropout", [0.0, 0.5, 1.0])
def test_partners_are_hidden_with_the_set_probability(tiny_cohort: Callable[..., Any], dropout: float) -> None:
    one = batches(tiny_cohort(batch_size=16), dropout=dropout)
    hidden = torch.cat([one.draw(step, CPU).dropped for step in range(12)]).double().mean()
    assert abs(float(hidden) - dropout) < (0.13 if dropout == 0.5 else 1e-9)


def test_both_orders_are_shown_about_equally(tiny_cohort: Callable[..., Any]) -> None:
    one = batches(tiny_cohort(batch_size=16))
    swapped = torch.cat([one.draw(step, CPU).swap for step in range(12)]).double().mean()
    assert abs(float(swapped) - 0.5) < 0.13


def test_the_strength_scales_every_range_of_the_augmentation() -> None:
    def drawn(strength: float) -> Augmentation:
        return Augmentation.draw(200, 8, strength, np.random.default_rng(0))

    none, half, full = drawn(0.0), drawn(0.5), drawn(1.0)
    assert torch.equal(none.matrices, torch.eye(2, 3).expand(200, 2, 3))
    assert (none.gamma == 1).all()
    assert (none.contrast == 1).all()
    assert not none.brightness.any()
    assert not none.noise.any()
    for name in ("gamma", "contrast"):
        assert torch.allclose(getattr(half, name).log() * 2, getattr(full, name).log(), atol=1e-5)
    assert torch.allclose(half.brightness * 2, full.brightness, atol=1e-6)
    assert torch.allclose(half.noise * 2, full.noise, atol=1e-6)
    assert torch.allclose(half.matrices[:, :, 2] * 2, full.matrices[:, :, 2], atol=1e-6)
    angle = torch.rad2deg(torch.atan2(full.matrices[:, 1, 0], full.matrices[:, 0, 0]))
    assert 13 < angle.abs().max() <= 15
    assert torch.allclose(
        torch.atan2(half.matrices[:, 1, 0], half.matrices[:, 0, 0]) * 2, torch.deg2rad(angle), atol=1e-5
    )


def test_intensities_keep_their_order_without_noise() -> None:
    turn = Augmentation.draw(3, 8, 2.0, np.random.default_rng(0))
    still = replace(turn, matrices=torch.eye(2, 3).expand(3, 2, 3), noise=torch.zeros_like(turn.noise))
    ramp = torch.linspace(0, 1, 64).reshape(1, 1, 8, 8).expand(3, 1, 8, 8)
    found = still.images(ramp).flatten(1)
    assert (found[:, 1:] > found[:, :-1]).all()
    assert not torch.allclose(found, ramp.flatten(1), atol=0.02)
