"""Training repeats to the bit, also when it is interrupted and resumed."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from VQBEGALLib.errors import CancelledError, InputError, OutOfMemoryError, StorageError
from VQBEGALLib.events import Reporter
from VQBEGALLib.network import VQBEGAL, build
from VQBEGALLib.training import Role, Trained, loop, train
from VQBEGALLib.training.loop import rate_at

Make = Callable[..., Any]
CPU = torch.device("cpu")


class Stopping(Reporter):
    """Asks to stop after some steps, and keeps the events."""

    def __init__(self, after: int | None = None) -> None:
        self.events: list[dict[str, Any]] = []
        super().__init__(self.events.append)
        self.left = after

    def check_cancelled(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise CancelledError()

    def kinds(self) -> set[str]:
        return {event["event"] for event in self.events}


def run(cohort: Any, **options: Any) -> Trained:
    given = {"round_index": 0, "device": CPU, "reporter": Reporter(), **options}
    examples = given.pop("examples", cohort.examples)
    return train(examples, given.pop("rest", cohort.rest), cohort.reader, given.pop("config", cohort.config), **given)


def same(first: VQBEGAL, second: VQBEGAL) -> bool:
    a, b = first.state_dict(), second.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def copy(model: VQBEGAL) -> VQBEGAL:
    other = build(model.settings, seed=0)
    other.load_state_dict(model.state_dict())
    return other


def test_one_seed_one_result(tiny_cohort: Make) -> None:
    cohort = tiny_cohort()
    first, again = run(cohort), run(cohort)
    assert same(first.model, again.model)
    assert first.history == again.history
    assert not same(first.model, run(cohort, config=cohort.config.replace({"seed": 1})).model)
    assert not same(first.model, run(cohort, round_index=1).model)


def test_training_leaves_every_global_random_state_alone(tiny_cohort: Make) -> None:
    cohort = tiny_cohort()
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()  # noqa: NPY002
    first = run(cohort)
    assert random.getstate() == before[0]
    assert np.random.get_state()[1].tolist() == before[1]  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), before[2])
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002
    torch.manual_seed(5)
    assert same(first.model, run(cohort).model)


@pytest.mark.parametrize("routing", ["joint", "strict"])
def test_dropout_repeats_by_seed_alone(tiny_cohort: Make, routing: str) -> None:
    cohort = tiny_cohort(dropout=0.5, routing=routing)
    roles = [Role.ALL, Role.ENCODER, Role.DECODER]
    examples = [replace(example, role=roles[place % 3]) for place, example in enumerate(cohort.examples)]
    torch.manual_seed(1)
    first = run(cohort, examples=examples)
    torch.manual_seed(2)
    assert same(first.model, run(cohort, examples=examples).model)
    plain = run(cohort, examples=examples, config=cohort.config.replace({"dropout": 0.0}))
    assert not same(first.model, plain.model)


def test_the_network_learns_and_comes_back_in_evaluation_mode(tiny_cohort: Make) -> None:
    trained = run(tiny_cohort(steps=50, learning_rate=0.01, augmentation=0.0, base_channels=8))
    assert not trained.model.training
    assert trained.history[-1]["seg"] < 0.6 * trained.history[0]["seg"]
    assert trained.seconds > 0


@pytest.mark.parametrize(
    ("stops", "seconds", "changes"),
    [
        ([1], 3600.0, {}),
        ([3], 0.0, {}),
        ([5], 3600.0, {}),
        ([2, 1, 1], 0.0, {}),
        ([3], 3600.0, {"method": "paper-literal"}),
        ([2, 2], 0.0, {"supervise": "both", "routing": "soft"}),
        ([3], 3600.0, {"base_channels": 16, "code_dim": 32}),
        ([3], 3600.0, {"dropout": 0.5}),
        ([1, 3], 0.0, {"dropout": 0.5, "supervise": "both", "routing": "strict"}),
    ],
)
def test_interrupted_and_resumed_is_as_uninterrupted_to_the_bit(
    tiny_cohort: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stops: list[int],
    seconds: float,
    changes: dict[str, object],
) -> None:
    monkeypatch.setattr(loop, "HISTORY", 2)  # so that a stop falls between two points
    cohort = tiny_cohort(checkpoint_seconds=seconds, revive_after=0.5, **changes)
    roles = [Role.ALL, Role.ENCODER, Role.DECODER]
    examples = [replace(example, role=roles[place % 3]) for place, example in enumerate(cohort.examples)]
    whole = run(cohort, examples=examples)
    checkpoint = tmp_path / "training.safetensors"
    done = 0
    for steps in stops:
        with pytest.raises(CancelledError):
            run(cohort, examples=examples, checkpoint=checkpoint, reporter=Stopping(steps))
        assert checkpoint.exists()
        done += steps
    reporter = Stopping()
    resumed = run(cohort, examples=examples, checkpoint=checkpoint, reporter=reporter)
    assert next(event["done"] for event in reporter.events if event["event"] == "stage") == done
    assert same(whole.model, resumed.model)
    assert whole.history == resumed.history


def test_a_finished_checkpoint_is_not_trained_further(tiny_cohort: Make, tmp_path: Path) -> None:
    cohort = tiny_cohort(checkpoint_seconds=0.0)
    checkpoint = tmp_path / "training.safetensors"
    first = run(cohort, checkpoint=checkpoint)
    again = run(cohort, checkpoint=checkpoint)
    assert same(first.model, again.model)
    assert first.history == again.history


def test_the_wish_to_stop_before_the_first_step_leaves_no_checkpoint(tiny_cohort: Make, tmp_path: Path) -> None:
    with pytest.raises(CancelledError):
        run(tiny_cohort(), checkpoint=tmp_path / "training.safetensors", reporter=Stopping(0))
    assert not (tmp_path / "training.safetensors").exists()


def test_checkpoints_come_after_the_set_time(
    tiny_cohort: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = []
    monkeypatch.setattr(loop.Loop, "store", lambda self, path: stored.append(self.step))
    ticks = iter(range(1000))
    reporter = Reporter(clock=lambda: float(next(ticks)))
    run(tiny_cohort(checkpoint_seconds=6.0), checkpoint=tmp_path / "x", reporter=reporter)
    assert stored
    assert len(stored) < 6
    stored.clear()
    run(tiny_cohort(checkpoint_seconds=0.0), checkpoint=tmp_path / "x")
    assert stored == [1, 2, 3, 4, 5, 6]


def other_mask(examples: list[Any]) -> dict[str, Any]:
    return {"examples": [replace(examples[0], mask=1 - examples[0].mask), *examples[1:]]}


def other_role(examples: list[Any]) -> dict[str, Any]:
    return {"examples": [replace(examples[0], role=Role.ENCODER), *examples[1:]]}


def one_more(examples: list[Any]) -> dict[str, Any]:
    return {"examples": [*examples, examples[0]]}


def other_auxiliary_mask(examples: list[Any]) -> dict[str, Any]:
    return {"examples": [replace(examples[0], auxiliary_mask=None), *examples[1:]]}


@pytest.mark.parametrize("change", [other_mask, other_role, one_more, other_auxiliary_mask])
def test_changed_labels_start_the_round_anew(tiny_cohort: Make, tmp_path: Path, change: Callable[..., Any]) -> None:
    cohort = tiny_cohort(supervise="both")
    checkpoint = tmp_path / "training.safetensors"
    with pytest.raises(CancelledError):
        run(cohort, checkpoint=checkpoint, reporter=Stopping(4))
    changed = change(cohort.examples)
    reporter = Stopping()
    found = run(cohort, checkpoint=checkpoint, reporter=reporter, **changed)
    assert "message" in reporter.kinds()
    assert same(found.model, run(cohort, **changed).model)
    assert found.history[0]["step"] == 1


def test_a_checkpoint_of_another_program_s_settings_starts_the_round_anew(
    tiny_cohort: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cohort, checkpoint, reporter = tiny_cohort(), tmp_path / "training.safetensors", Stopping()
    whole = run(cohort)
    with monkeypatch.context() as older, pytest.raises(CancelledError):
        settings = cohort.config.to_json()
        older.setattr(type(cohort.config), "to_json", lambda _: {**settings, "of": "an older program"})
        run(cohort, checkpoint=checkpoint, reporter=Stopping(4))
    assert same(run(cohort, checkpoint=checkpoint, reporter=reporter).model, whole.model)
    told = [event["text"] for event in reporter.events if event["event"] == "message"]
    assert any("Labels, settings or the program changed since the checkpoint" in text for text in told)


@pytest.mark.parametrize("option", ["config", "rest", "round_index"])
def test_changed_settings_pool_or_round_start_anew(tiny_cohort: Make, tmp_path: Path, option: str) -> None:
    cohort = tiny_cohort()
    checkpoint = tmp_path / "training.safetensors"
    with pytest.raises(CancelledError):
        run(cohort, checkpoint=checkpoint, reporter=Stopping(4))
    changed = {
        "config": {"config": cohort.config.replace({"weight_seg": 4.0})},
        "rest": {"rest": cohort.rest[1:]},
        "round_index": {"round_index": 1},
    }[option]
    assert same(run(cohort, checkpoint=checkpoint, **changed).model, run(cohort, **changed).model)


@pytest.mark.parametrize("damage", ["empty", "truncated", "noise", "other"])
def test_a_damaged_checkpoint_warns_and_starts_anew(tiny_cohort: Make, tmp_path: Path, damage: str) -> None:
    cohort = tiny_cohort()
    checkpoint = tmp_path / "training.safetensors"
    with pytest.raises(CancelledError):
        run(cohort, checkpoint=checkpoint, reporter=Stopping(4))
    data = checkpoint.read_bytes()
    noise = np.random.default_rng(0).bytes(len(data))
    checkpoint.write_bytes(
        {"empty": b"", "truncated": data[: len(data) // 2], "noise": noise, "other": b"PK\x03\x04" + data}[damage]
    )
    reporter = Stopping()
    found = run(cohort, checkpoint=checkpoint, reporter=reporter)
    assert "warning" in reporter.kinds()
    assert same(found.model, run(cohort).model)


def test_a_full_disk_is_told(tiny_cohort: Make, tiny_disk: Path) -> None:
    cohort = tiny_cohort(checkpoint_seconds=0.0, base_channels=16)
    with pytest.raises(StorageError, match="disk is full"):
        run(cohort, checkpoint=tiny_disk / "training.safetensors")
    assert list(tiny_disk.iterdir()) == []


def test_a_warm_start_goes_on_from_the_given_network(tiny_cohort: Make) -> None:
    cohort = tiny_cohort(steps=1, learning_rate=1e-7, weight_decay=0.0)
    initial = run(tiny_cohort(seed=3)).model
    before = copy(initial)
    warm = run(cohort, initial=initial, round_index=1).model
    cold = run(cohort, round_index=1).model
    for name, weight in warm.named_parameters():
        if name != "codebook.entries":
            assert torch.allclose(weight, dict(before.named_parameters())[name], atol=1e-6)
    assert same(initial, before)
    assert not same(warm, cold)
    assert warm.codebook.initialised


def test_a_warm_start_interrupted_goes_on_from_its_checkpoint(tiny_cohort: Make, tmp_path: Path) -> None:
    cohort = tiny_cohort()
    initial = run(tiny_cohort(seed=3)).model
    whole = run(cohort, initial=initial, round_index=1)
    with pytest.raises(CancelledError):
        run(cohort, initial=initial, round_index=1, checkpoint=tmp_path / "x", reporter=Stopping(3))
    assert same(whole.model, run(cohort, initial=initial, round_index=1, checkpoint=tmp_path / "x").model)


def test_too_little_memory_on_the_device_is_told_in_a_sentence(
    tiny_cohort: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    monkeypatch.setattr(loop, "step_loss", full)
    with pytest.raises(OutOfMemoryError, match="a batch of 4 slices of 32 × 32 pixels") as caught:
        run(tiny_cohort())
    assert "batch_size" in caught.value.remedy
    assert "CUDA out" not in str(caught.value)


def test_without_labels_there_is_nothing_to_train_on(tiny_cohort: Make) -> None:
    with pytest.raises(InputError, match="no labelled slice"):
        run(tiny_cohort(), examples=[])


def test_a_pool_without_partners_and_without_unlabelled_pairs_can_be_trained_on(tiny_cohort: Make) -> None:
    cohort = tiny_cohort()
    examples = [
        replace(each, pair=replace(each.pair, partner=None, partner_slice=None), auxiliary_mask=None)
        for each in cohort.examples
    ]
    found = run(cohort, examples=examples, rest=[])
    assert all(tensor.isfinite().all() for tensor in found.model.state_dict().values())


def test_a_history_point_is_the_mean_of_the_steps_since_the_last(
    tiny_cohort: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    cohort = tiny_cohort(steps=5)
    each_step = run(cohort).history
    assert [point["step"] for point in each_step] == [1, 2, 3, 4, 5]
    monkeypatch.setattr(loop, "HISTORY", 2)
    coarse = run(cohort).history
    assert [point["step"] for point in coarse] == [2, 4, 5]
    for point, steps in zip(coarse, ((0, 1), (2, 3), (4,)), strict=True):
        for name in ("seg", "vq", "disc", "commit", "discriminator_right"):
            assert point[name] == pytest.approx(np.mean([each_step[step][name] for step in steps]))


@pytest.mark.parametrize("total", [1, 2, 19, 600])
def test_the_learning_rate_rises_to_its_peak_and_falls_to_nothing(total: int) -> None:
    rates = [rate_at(step, total) for step in range(total)]
    peak = rates.index(max(rates))
    assert max(rates) == pytest.approx(1)
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert all(0 < rate <= 1 for rate in rates)
    if total == 600:
        assert peak in (29, 30)
        assert rates[-1] < 1e-4
        assert rates[30 + 285] == pytest.approx(0.5, abs=1e-6)
