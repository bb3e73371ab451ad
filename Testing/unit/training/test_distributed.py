"""Two processes that share each batch end as one process with the whole batch does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from VQBEGALLib import related  # noqa: F401 – enters the architectures
from VQBEGALLib.errors import CancelledError, InputError, StorageError
from VQBEGALLib.events import Reporter
from VQBEGALLib.training import Role, Trained, loop

Make = Callable[..., Any]
TOLERANCE = 1e-5
"""Largest difference of any weight or history figure: sums of 32-bit floats in another order."""


@pytest.fixture(scope="module")
def pair(two_processes: Callable[..., Any]) -> Iterator[Any]:
    """Two processes that serve all tests, and end in order after the last."""
    with two_processes() as found:
        with found.team.leading():
            yield found
        assert found.other.communicate(timeout=30) == ("", "")
        assert found.other.returncode == 0


class Stopping(Reporter):
    """Asks to stop after some steps."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.left = after

    def check_cancelled(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise CancelledError()


def with_roles(cohort: Any) -> list[Any]:
    roles = [Role.ALL, Role.ENCODER, Role.DECODER]
    return [replace(example, role=roles[place % 3]) for place, example in enumerate(cohort.examples)]


def without_partner(cohort: Any) -> list[Any]:
    lonely = replace(cohort.examples[0].pair, partner=None, partner_slice=None)
    return [replace(cohort.examples[0], pair=lonely, auxiliary_mask=None), *cohort.examples[1:]]


def one_on_both(cohort: Any) -> list[Any]:
    return [cohort.examples[0], *(replace(example, auxiliary_mask=None) for example in cohort.examples[1:])]


def only_for_the_decoder(cohort: Any) -> list[Any]:
    return [replace(example, role=Role.DECODER) for example in cohort.examples]


def assert_close(found: Trained, expected: Trained) -> None:
    states = found.model.state_dict(), expected.model.state_dict()
    assert states[0].keys() == states[1].keys()
    for name, tensor in states[0].items():
        torch.testing.assert_close(tensor, states[1][name], rtol=TOLERANCE, atol=TOLERANCE, msg=name)
    assert len(found.history) == len(expected.history)
    for point, other in zip(found.history, expected.history, strict=True):
        assert point == pytest.approx(other, rel=TOLERANCE, abs=TOLERANCE)


@pytest.mark.parametrize(
    ("changes", "examples"),
    [
        ({}, None),
        ({"routing": "strict"}, with_roles),
        ({"routing": "strict", "unlabelled_per_step": 1}, only_for_the_decoder),
        ({"codebook_update": "gradient"}, None),
        ({"supervise": "both", "batch_size": 2}, one_on_both),
        ({"discriminator_gradient": "reversal"}, None),
        ({"discriminator_input": "ordered_pair", "discriminator_gradient": "cooperative"}, without_partner),
        ({"method": "paper-literal"}, with_roles),
        ({"batch_size": 5, "unlabelled_per_step": 4, "routing": "soft"}, with_roles),
        ({"batch_size": 2, "unlabelled_per_step": 0}, without_partner),
        ({"method": "ciml", "supervise": "both", "batch_size": 3, "modality_dropout": 0.3}, one_on_both),
        ({"revive_after": 0.9}, None),
    ],
    ids=str,
)
def test_two_processes_are_as_one(tiny_cohort: Make, pair: Any, changes: dict[str, object], examples: Any) -> None:
    cohort = tiny_cohort(steps=5, **changes)
    chosen = cohort.examples if examples is None else examples(cohort)
    assert_close(pair.train(cohort, examples=chosen), pair.alone(cohort, examples=chosen))


def test_registered_pairs_of_cmc_are_shared_as_well(tiny_cohort: Make, pair: Any) -> None:
    cohort = tiny_cohort(method="cmc", supervise="both", batch_size=3, unlabelled_per_step=2, steps=4)
    rest = [replace(each, aligned=each.slice % 2 == 0) for each in cohort.rest]
    alone = pair.alone(cohort, rest=rest)
    assert_close(pair.train(cohort, rest=rest), alone)
    assert any(point["cac"] > 0 for point in alone.history)


def test_mutual_learning_is_shared_where_it_draws_nothing(tiny_cohort: Make, pair: Any) -> None:
    still = {"deformation": 0.0, "perturbation": 0.0, "feature_drop": 0.0, "weight_synthetic": 0.0, "mutual_ramp": 0.0}
    for unlabelled in (1, 4):  # of a single one, one process has none
        cohort = tiny_cohort(
            method="cmems", confidence=0.6, steps=4, batch_size=3, unlabelled_per_step=unlabelled, **still
        )
        found, alone = pair.train(cohort), pair.alone(cohort)
        for point in (*found.history, *alone.history):
            assert point["image"] > 0
            del point["synthetic"]  # which slice is pasted is drawn in each process
        assert_close(found, alone)


def test_synthetic_slices_are_drawn_in_each_process_and_both_end_alike(tiny_cohort: Make, pair: Any) -> None:
    cohort = tiny_cohort(method="cmems", supervise="both", steps=3, unlabelled_per_step=1)
    first, again = pair.train(cohort), pair.train(cohort)
    assert first.history == again.history
    assert all(weight.isfinite().all() for weight in first.model.state_dict().values())


def test_each_process_drops_other_channels_and_both_end_alike(tiny_cohort: Make, pair: Any) -> None:
    cohort = tiny_cohort(dropout=0.5, steps=2)
    first, again = pair.train(cohort), pair.train(cohort)
    assert first.history == again.history
    assert first.history[0]["seg"] != pytest.approx(pair.alone(cohort).history[0]["seg"], abs=TOLERANCE)


def test_a_part_without_gradient_keeps_its_weights_in_both(tiny_cohort: Make, pair: Any) -> None:
    cohort = tiny_cohort(routing="strict", weight_decay=0.5, steps=3)
    examples = [replace(example, role=Role.ENCODER) for example in cohort.examples]
    before = pair.alone(tiny_cohort(routing="strict", steps=1, learning_rate=1e-8, weight_decay=0.0), examples=examples)
    found = pair.train(cohort, examples=examples).model
    for name, weight in found.decoder.named_parameters():
        assert torch.equal(weight, before.model.decoder.get_parameter(name)), name
    assert not torch.equal(found.encoder_c.projection[0].weight, before.model.encoder_c.projection[0].weight)


@pytest.mark.parametrize("stop", [0, 2, 3])
def test_a_cancelled_training_goes_on_in_both(tiny_cohort: Make, pair: Any, tmp_path: Path, stop: int) -> None:
    cohort = tiny_cohort(steps=3)
    checkpoint = tmp_path / "training.safetensors"
    with pytest.raises(CancelledError):
        pair.train(cohort, checkpoint=checkpoint, reporter=Stopping(stop))
    assert checkpoint.exists() == (stop > 0)
    assert_close(pair.train(cohort, checkpoint=checkpoint), pair.alone(cohort))


def test_a_checkpoint_of_two_processes_serves_one(tiny_cohort: Make, pair: Any, tmp_path: Path) -> None:
    cohort = tiny_cohort(steps=3)
    checkpoint = tmp_path / "training.safetensors"
    with pytest.raises(CancelledError):
        pair.train(cohort, checkpoint=checkpoint, reporter=Stopping(2))
    assert_close(pair.alone(cohort, checkpoint=checkpoint), pair.alone(cohort))


def test_a_full_disk_stops_both_and_both_can_train_again(
    tiny_cohort: Make, pair: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise StorageError("The disk is full.", "Make room.")

    cohort = tiny_cohort(checkpoint_seconds=0.0, steps=2)
    with monkeypatch.context() as patch:
        patch.setattr(loop, "save_tensors", full)
        with pytest.raises(StorageError):
            pair.train(cohort, checkpoint=tmp_path / "training.safetensors")
    assert_close(pair.train(cohort), pair.alone(cohort))


def test_a_warm_start_reaches_both(tiny_cohort: Make, pair: Any) -> None:
    cohort, initial = tiny_cohort(steps=2), pair.alone(tiny_cohort(seed=3, steps=2)).model
    assert_close(pair.train(cohort, initial=initial, round_index=1), pair.alone(cohort, initial=initial, round_index=1))


def test_more_processes_than_labelled_slices_in_a_batch_are_refused(tiny_cohort: Make, pair: Any) -> None:
    with pytest.raises(InputError, match="batch of 1 labelled slices cannot be shared by 2 processes"):
        pair.train(tiny_cohort(batch_size=1))


def test_fewer_labelled_slices_than_processes_are_repeated(tiny_cohort: Make, pair: Any) -> None:
    cohort = tiny_cohort(steps=2)
    assert_close(pair.train(cohort, examples=cohort.examples[:1]), pair.alone(cohort, examples=cohort.examples[:1]))
