"""Evaluation under conditions: repeatable, the clean result at level 0, worse where it should be."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from VQBEGALLib.benchmark.conditions import CONDITIONS, DegradedReader, evaluate_under, find_condition
from VQBEGALLib.benchmark.partners import Lenders, other_height, other_patient
from VQBEGALLib.errors import InputError
from VQBEGALLib.events import Reporter
from VQBEGALLib.rounds import evaluate
from VQBEGALLib.slices import SliceFrame, SlicePair
from VQBEGALLib.slices.reader import PairImages
from VQBEGALLib.volumes import Volume

if TYPE_CHECKING:
    from Testing.unit.benchmark.conftest import Trained

QUIET: dict[str, Any] = {"device": torch.device("cpu"), "reporter": Reporter()}
every_condition = pytest.mark.parametrize("name", CONDITIONS)


def under(trained: Trained, name: str, level: float, **more: Any) -> dict[str, Any]:
    return evaluate_under(trained.material, trained.model, trained.config, "validation", name, level, **QUIET, **more)


def clean(trained: Trained, auxiliary: str = "any") -> dict[str, Any]:
    return evaluate(trained.material, trained.model, trained.config, "validation", auxiliary=auxiliary, **QUIET)


def mean_dice(result: dict[str, Any]) -> float:
    return float(result["summary"]["dice"]["mean"])


def degraded(trained: Trained, name: str, level: float) -> DegradedReader:
    material = trained.material
    return DegradedReader(material.reader, CONDITIONS[name], level, Lenders.of(material, "validation"))


def frame(count: int) -> SliceFrame:
    return SliceFrame.of(Volume(np.zeros((count, 2, 2)), np.diag((1.0, 1.0, 2.0, 1.0))))


def changed(before: PairImages, after: PairImages) -> tuple[bool, bool]:
    return not np.array_equal(before.primary, after.primary), not np.array_equal(before.auxiliary, after.auxiliary)


# The registry --------------------------------------------------------------------------------------------------


def test_conditions_know_their_names_and_take_their_own_levels() -> None:
    for name, condition in CONDITIONS.items():
        assert condition.name == name
        assert list(condition.levels) == sorted(set(condition.levels))
        for level in (0.0, *condition.levels):
            condition.check(level)
        assert (condition.degrade is None) != (condition.redraw is None)


def test_an_unknown_condition_is_told_with_those_there_are() -> None:
    with pytest.raises(InputError, match="no condition 'fog'") as caught:
        find_condition("fog")
    assert "noise_primary" in caught.value.remedy


@pytest.mark.parametrize(
    ("name", "level"),
    [("noise_primary", -0.1), ("noise_primary", float("nan")), ("missing_auxiliary", 1.5), ("bias_primary", np.inf)],
)
def test_a_level_that_makes_no_sense_is_refused(trained: Trained, name: str, level: float) -> None:
    with pytest.raises(InputError, match=f"level of {name}"):
        under(trained, name, level)


# Reading -------------------------------------------------------------------------------------------------------


@every_condition
def test_only_the_image_that_suffers_changes_and_all_of_its_slices_do(trained: Trained, name: str) -> None:
    condition, pairs = CONDITIONS[name], trained.material.pairs("validation")
    before, after = trained.material.reader.read(pairs), degraded(trained, name, 1.0).read(pairs)
    assert changed(before, after) == (condition.image == "primary", condition.image == "auxiliary")
    mine, theirs = (getattr(images, condition.image) for images in (before, after))
    same = [np.array_equal(*planes) for planes in zip(mine, theirs, strict=True) if planes[0].any()]
    assert same and not any(same)
    assert after.present.all() != (name == "missing_auxiliary")


@every_condition
def test_the_batch_makes_no_difference(trained: Trained, name: str) -> None:
    pairs = trained.material.pairs("validation")
    reader = degraded(trained, name, CONDITIONS[name].levels[0])
    whole, turned = reader.read(pairs), reader.read(pairs[::-1])
    for part in ("primary", "auxiliary", "present"):
        assert np.array_equal(getattr(whole, part), getattr(turned, part)[::-1])
    alone = reader.read(pairs[5:6])
    assert np.array_equal(alone.primary[0], whole.primary[5]) and np.array_equal(alone.auxiliary[0], whole.auxiliary[5])
    assert reader.read([]).primary.shape == (0, 32, 32)


def test_each_slice_has_its_own_noise_and_a_volume_one_shade(trained: Trained) -> None:
    pairs = trained.material.pairs("validation")
    flat = SimpleNamespace(size=32, read=lambda pairs: PairImages(*np.ones((2, len(pairs), 32, 32), np.float32), None))
    volumes = {name: np.array([pair.case == name for pair in pairs]) for name in ("s2", "s3")}
    noise, shade = (
        DegradedReader(flat, CONDITIONS[name], 0.5, Lenders({}, {})).read(pairs).primary
        for name in ("noise_primary", "bias_primary")
    )
    assert len(np.unique(noise.reshape(len(pairs), -1), axis=0)) == len(pairs)
    for rows in volumes.values():
        assert (shade[rows] == shade[rows][0]).all()
    assert not np.allclose(shade[volumes["s2"]][0], shade[volumes["s3"]][0], atol=0.05)


@pytest.mark.parametrize("name", ["noise_auxiliary", "bias_auxiliary", "missing_auxiliary", "other_partner"])
def test_a_missing_partner_stays_missing_and_blank(trained: Trained, name: str) -> None:
    pairs = [SlicePair(pair.case, pair.slice) for pair in trained.material.pairs("validation")]
    images = degraded(trained, name, 1.0).read(pairs)
    assert not images.present.any() and not images.auxiliary.any()


@pytest.mark.parametrize("name", ["missing_auxiliary", "other_partner", "other_height"])
def test_a_share_of_the_slices_is_paired_anew_and_stays_so_at_higher_levels(trained: Trained, name: str) -> None:
    pairs = [SlicePair("s2", index, "s2", index % 10) for index in range(400)]
    seen: list[list[SlicePair]] = []
    blank = np.zeros((400, 2, 2), np.float32)
    spy = SimpleNamespace(size=2, read=lambda pairs: seen.append(list(pairs)) or PairImages(blank, blank, None))
    lenders = Lenders.of(trained.material, "validation")
    for level in (0.25, 0.5, 1.0):
        DegradedReader(spy, CONDITIONS[name], level, lenders).read(pairs)
    moved = [np.array([one != other for one, other in zip(found, pairs, strict=True)]) for found in seen]
    assert moved[0].sum() == pytest.approx(100, abs=43)  # five standard deviations
    assert moved[1].sum() == pytest.approx(200, abs=50)
    assert moved[2].all()
    assert not (moved[0] & ~moved[1]).any()
    assert [pair for pair, hit in zip(seen[0], moved[0], strict=True) if hit] == [
        pair for pair, hit in zip(seen[2], moved[0], strict=True) if hit
    ]


def test_another_partner_is_another_patient_at_the_same_height() -> None:
    frames = {"a": frame(20), "b": frame(8), "c": frame(50), "again": frame(30)}
    lenders = Lenders(frames, {"a": "A", "b": "B", "c": "C", "again": "A"})
    generator = np.random.default_rng(0)
    for index in range(20):
        pair = SlicePair("x", 3, "a", index)
        found = [other_patient(pair, lenders, generator) for _ in range(30)]
        assert {each.partner for each in found} == {"b", "c"}
        for each in found:
            assert (each.case, each.slice) == ("x", 3)
            height = frames[str(each.partner)].height(int(each.partner_slice or 0))
            assert abs(height - frames["a"].height(index)) <= 0.5 / frames[str(each.partner)].count + 1e-9


def test_another_height_is_any_other_slice_of_the_same_volume() -> None:
    lenders, generator = Lenders({"a": frame(5), "b": frame(1)}, {"a": "A", "b": "B"}), np.random.default_rng(0)
    found = [other_height(SlicePair("x", 3, "a", 2), lenders, generator) for _ in range(400)]
    assert {(pair.case, pair.slice, pair.partner) for pair in found} == {("x", 3, "a")}
    counts = np.bincount([int(pair.partner_slice or 0) for pair in found], minlength=5)
    assert counts[2] == 0
    assert (np.delete(counts, 2) > 57).all()  # of 100 expected, five standard deviations
    assert other_height(SlicePair("x", 3, "b", 0), lenders, generator) == SlicePair("x", 3, "b", 0)


# Evaluating ----------------------------------------------------------------------------------------------------


@every_condition
def test_level_zero_is_the_clean_result_exactly(trained: Trained, name: str) -> None:
    assert under(trained, name, 0) == clean(trained)


def test_no_auxiliary_at_all_is_evaluation_without(trained: Trained) -> None:
    missing, without = under(trained, "missing_auxiliary", 1), clean(trained, "none")
    assert missing["cases"] == without["cases"]
    assert missing["summary"] == without["summary"]
    assert missing["cases"] != clean(trained)["cases"]


@pytest.mark.parametrize(
    ("name", "levels"),
    [("noise_primary", (0.2, 0.4, 0.8)), ("blur_primary", (1, 2, 4)), ("bias_primary", (1, 2, 4))],
)
@pytest.mark.parametrize("auxiliary", ["none", "any"])
def test_a_worse_primary_lowers_dice_more_and_more(
    trained: Trained, name: str, levels: tuple[float, ...], auxiliary: str
) -> None:
    curve = [mean_dice(under(trained, name, level, auxiliary=auxiliary)) for level in (0, *levels)]
    assert curve[0] > 0.6
    assert np.diff(curve).max() < 0.02
    assert curve[-1] < curve[0] - 0.03


def test_the_result_repeats_and_the_network_stays_as_it_was(trained: Trained) -> None:
    before = {name: tensor.clone() for name, tensor in trained.model.state_dict().items()}
    state = torch.random.get_rng_state()
    first = under(trained, "noise_primary", 0.4)
    assert first == under(trained, "noise_primary", 0.4)
    assert first != clean(trained)
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(torch.equal(tensor, before[name]) for name, tensor in trained.model.state_dict().items())


def test_conditions_of_the_auxiliary_need_one_to_be_given(trained: Trained) -> None:
    material = trained.material
    for name, condition in CONDITIONS.items():
        assert condition.applies(material, "validation", "any")
        assert condition.applies(material, "validation", "none") == (condition.image == "primary")
        assert condition.applies(material, "test", "any") == (condition.image == "primary")
        if condition.image == "auxiliary":
            with pytest.raises(InputError, match=f"{name} needs auxiliary images"):
                under(trained, name, 1, auxiliary="none")


def test_conditions_of_the_auxiliary_need_pairs(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    config = trained.config.replace({"pairing": "none"})
    monkeypatch.setattr(trained.material, "config", config)
    applying = [name for name, each in CONDITIONS.items() if each.applies(trained.material, "validation", "any")]
    assert applying == ["noise_primary", "blur_primary", "bias_primary"]


def test_another_partner_needs_a_second_patient(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    material = trained.material
    one = {name: replace(subject, patient=subject.split) for name, subject in material.study.subjects.items()}
    monkeypatch.setattr(material.study, "subjects", one)
    assert CONDITIONS["other_height"].applies(material, "validation", "any")
    assert not CONDITIONS["other_partner"].applies(material, "validation", "any")
    with pytest.raises(InputError, match="2 or more patients"):
        under(trained, "other_partner", 0.5)
