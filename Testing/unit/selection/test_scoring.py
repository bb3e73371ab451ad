"""Scoring looks and does not touch."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from VQBEGALLib.errors import CancelledError, InputError
from VQBEGALLib.events import Reporter
from VQBEGALLib.network import VQBEGAL
from VQBEGALLib.selection import Context, scoring
from VQBEGALLib.selection.scoring import foreground_fraction, modality_entropy, pair_vectors, score_pairs
from VQBEGALLib.slices import SlicePair

Make = Callable[..., Context]
SCORES = [modality_entropy, foreground_fraction]
KINDS = [{}, {"discriminator_input": "ordered_pair"}, {"quantize": False}, {"codebook_update": "gradient"}]


def alone(pairs: list[SlicePair]) -> list[SlicePair]:
    return [replace(pair, partner=None, partner_slice=None) for pair in pairs]


def network(context: Context) -> VQBEGAL:
    assert context.model is not None
    return context.model


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("training", [True, False])
def test_scoring_changes_no_weight_no_codebook_and_no_random_state(
    make_context: Make, kind: dict[str, object], score: Callable[[Context], Any], training: bool
) -> None:
    context = make_context(**kind)
    model = network(context).train(training)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()  # noqa: NPY002
    drawn = context.generator.bit_generator.state
    score(context)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert model.training is training
    assert all(weight.grad is None for weight in model.parameters())
    assert random.getstate() == states[0]
    assert np.random.get_state()[1].tolist() == states[1]  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), states[2])
    assert context.generator.bit_generator.state == drawn


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("partners", [True, False])
def test_scores_do_not_depend_on_the_batch(
    make_context: Make, monkeypatch: pytest.MonkeyPatch, kind: dict[str, object], partners: bool
) -> None:
    pool = None if partners else alone(make_context().pool)
    context = make_context(pool=pool, **kind)
    found = []
    for size in (1, 4, 16):
        monkeypatch.setattr(scoring, "BATCH", size)
        found.append(modality_entropy(context))
    # 32-bit convolutions of another batch size may round otherwise
    assert np.allclose(found[0], found[1], atol=1e-6)
    assert np.allclose(found[0], found[2], atol=1e-6)
    assert found[0].std() > 1e-5


@pytest.mark.parametrize("kind", KINDS)
def test_entropy_lies_between_zero_and_ln_2(make_context: Make, kind: dict[str, object]) -> None:
    scores = modality_entropy(make_context(**kind))
    assert scores.dtype == np.float64
    assert scores.min() >= 0
    assert scores.max() <= math.log(2) + 1e-12


def test_a_pair_without_partner_has_the_entropy_of_its_primary_slice(make_context: Make) -> None:
    context = make_context()
    mixed = [*alone(context.pool[:2]), *context.pool[2:4], *alone(context.pool[4:5])]
    found = modality_entropy(make_context(pool=mixed))
    whole = modality_entropy(context)
    assert np.allclose(found[2:4], whole[2:4], atol=1e-6)
    model = network(context)
    for place in (0, 1, 4):
        x = torch.from_numpy(context.reader.read([mixed[place]]).primary[:, None])
        with torch.no_grad():
            p = torch.softmax(model.discriminator(model.encode_pairs(x, x).z_c)[0].double(), dim=0)
        assert found[place] == pytest.approx(float(-(p * p.log()).sum()), abs=1e-6)


def test_foreground_is_the_share_of_positive_pixels(make_context: Make) -> None:
    context = make_context()
    model = network(context)
    with torch.no_grad():
        x = torch.from_numpy(context.reader.read(context.pool).primary[:, None])
        model.decoder.head.bias -= model.segment(x).median()
        expected = (model.segment(x) > 0).double().mean(dim=(1, 2, 3))
    assert np.allclose(foreground_fraction(context), expected, atol=2e-3)
    assert 0 < expected.mean() < 1


@pytest.mark.parametrize("score", SCORES)
def test_an_empty_pool_has_no_scores(make_context: Make, score: Callable[[Context], Any]) -> None:
    assert score(make_context(pool=[])).shape == (0,)


@pytest.mark.parametrize("score", SCORES)
def test_scoring_before_any_training_is_told_in_a_sentence(make_context: Make, score: Callable[[Context], Any]) -> None:
    with pytest.raises(InputError, match="needs a trained network"):
        score(replace(make_context(), model=None))


def test_scoring_can_be_stopped_and_leaves_the_mode_as_it_was(make_context: Make, tmp_path: Any) -> None:
    flag = tmp_path / "cancel"
    flag.touch()
    context = replace(make_context(), reporter=Reporter(cancel_file=flag))
    network(context).train()
    with pytest.raises(CancelledError):
        modality_entropy(context)
    assert network(context).training


def test_the_network_is_in_evaluation_mode_while_it_is_measured(make_context: Make) -> None:
    context = make_context()
    modes = []

    def measure(model: VQBEGAL, x_c: torch.Tensor, x_m: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        modes.append((model.training, torch.is_grad_enabled()))
        return x_c.flatten(1).mean(dim=1)

    model = network(context).train()
    found = score_pairs(model, context.pool, context.reader, measure, device=torch.device("cpu"), reporter=Reporter())
    assert modes == [(False, False)]
    assert model.training
    assert np.allclose(found, context.reader.read(context.pool).primary.mean(axis=(1, 2)), atol=1e-6)


@pytest.mark.parametrize("size", [1, 4, 99])
def test_vectors_come_in_the_order_of_the_pairs_whatever_the_batch(
    make_context: Make, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(scoring, "BATCH", size)
    context = make_context()
    seen = []

    def corner(model: VQBEGAL, x_c: torch.Tensor, x_m: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        seen.append(len(x_c))
        return torch.cat([x_c[:, 0, 0, :3], present[:, None].float()], dim=1).double()

    pairs = [*context.pool[::-1], *alone(context.pool[:2])]
    found = pair_vectors(context, pairs, corner, width=4)
    images = context.reader.read(pairs)
    assert found.dtype == np.float32
    assert np.array_equal(found, np.column_stack([images.primary[:, 0, :3], images.present]).astype(np.float32))
    assert max(seen) <= size
    assert pair_vectors(context, [], corner, width=4).shape == (0, 4)


def test_progress_counts_pairs(make_context: Make) -> None:
    events: list[dict[str, Any]] = []
    context = replace(make_context(), reporter=Reporter(events.append))
    modality_entropy(context)
    last = events[-1]
    assert (last["stage"], last["done"], last["total"], last["unit"]) == ("score", 15, 15, "pair")
