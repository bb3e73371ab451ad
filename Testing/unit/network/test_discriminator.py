"""The entropy that scores a pair, and what the discriminator is shown."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from VQBEGALLib.config import NetworkSettings
from VQBEGALLib.network import build
from VQBEGALLib.network.discriminator import Discriminator, entropy

few = settings(max_examples=100, deadline=None)
logit = st.floats(-1e4, 1e4, width=32)


def discriminator(kind: str) -> Discriminator:
    small = NetworkSettings(base_channels=4, stages=3, codes=16, code_dim=8, discriminator_input=kind)
    return build(small, seed=0).discriminator


def maps(seed: int, batch: int = 5) -> torch.Tensor:
    return torch.randn(batch, 8, 8, 8, generator=torch.Generator().manual_seed(seed))


@few
@given(logit, logit)
def test_entropy_lies_between_zero_and_ln_2(first: float, second: float) -> None:
    value = float(entropy(torch.tensor([[first, second]])))
    assert 0 <= value <= math.log(2) + 1e-15


@few
@given(st.floats(-30, 30), st.floats(-15, 15))
def test_entropy_is_that_of_the_softmax(shift: float, difference: float) -> None:
    p = 1 / (1 + math.exp(difference))
    expected = -p * math.log(p) - (1 - p) * math.log1p(-p)
    logits = torch.tensor([shift, shift + difference], dtype=torch.float64)
    assert float(entropy(logits)) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_equal_logits_are_entirely_uncertain() -> None:
    assert float(entropy(torch.tensor([3.0, 3.0]))) == pytest.approx(math.log(2), abs=1e-15)


def test_entropies_stay_distinct_where_32_bits_give_ties() -> None:
    differences = torch.linspace(10, 300, 100)
    logits = torch.stack([torch.zeros(100), differences], dim=1)
    values = entropy(logits)
    assert values.dtype == torch.float64
    assert (values[1:] < values[:-1]).all()
    p = torch.softmax(logits, dim=1)
    assert len((-(p * torch.log(p + 1e-8)).sum(dim=1)).unique()) < 50


def test_one_modality_at_a_time_the_score_is_the_mean_of_both_entropies() -> None:
    d, c, m = discriminator("per_modality"), maps(1), maps(2)
    scores = d.uncertainty(c, m)
    assert scores.dtype == torch.float64
    assert scores.shape == (5,)
    assert torch.allclose(scores, (entropy(d(c)) + entropy(d(m))) / 2, atol=1e-6)
    assert scores.std() > 0


def test_in_order_the_score_is_the_entropy_of_the_stacked_pair() -> None:
    d, c, m = discriminator("ordered_pair"), maps(1), maps(2)
    scores = d.uncertainty(c, m)
    assert scores.shape == (5,)
    assert torch.allclose(scores, entropy(d(torch.cat([c, m], dim=1))), atol=1e-12)
    assert not torch.allclose(scores, d.uncertainty(m, c))


def test_examples_one_modality_at_a_time() -> None:
    c, m = maps(1), maps(2)
    inputs, classes = discriminator("per_modality").examples(c, m, torch.ones(5, dtype=torch.bool))
    assert torch.equal(inputs, torch.cat([c, m]))
    assert classes.tolist() == [0] * 5 + [1] * 5


def test_examples_in_order_are_turned_where_asked() -> None:
    c, m = maps(1), maps(2)
    swap = torch.tensor([False, True, False, True, True])
    inputs, classes = discriminator("ordered_pair").examples(c, m, swap)
    assert classes.tolist() == [0, 1, 0, 1, 1]
    for row, turned in enumerate(swap):
        parts = (m[row], c[row]) if turned else (c[row], m[row])
        assert torch.equal(inputs[row], torch.cat(parts))


@pytest.mark.parametrize("kind", ["per_modality", "ordered_pair"])
def test_the_score_of_a_pair_does_not_depend_on_the_others(kind: str) -> None:
    d, c, m = discriminator(kind), maps(1), maps(2)
    alone = torch.cat([d.uncertainty(c[row : row + 1], m[row : row + 1]) for row in range(5)])
    assert np.allclose(alone.detach(), d.uncertainty(c, m).detach(), atol=1e-6)
