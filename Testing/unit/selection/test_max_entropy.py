"""Mean pixel entropy of the predicted mask, by the formula and where float32 would tie."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from VQBEGALLib.selection import Context, strategy
from VQBEGALLib.selection.max_entropy import mask_entropy
from VQBEGALLib.slices import SlicePair
from VQBEGALLib.training import Role

Make = Callable[..., Context]


def entropy_of(logits: list[float]) -> torch.Tensor:
    """The measure of slices of one pixel each, for a network that gives these logits."""
    model = SimpleNamespace(segment=lambda x_c: torch.tensor(logits)[:, None, None, None])
    return mask_entropy(model, None, None, None)


def test_entropy_is_the_formula() -> None:
    logits = torch.linspace(-12, 12, 49)
    p = torch.sigmoid(logits.double())
    expected = -(p * p.log() + (1 - p) * (1 - p).log())
    found = entropy_of(logits.tolist())
    assert found.dtype == torch.float64
    assert torch.allclose(found, expected, rtol=1e-9, atol=0)
    assert float(entropy_of([0.0])) == pytest.approx(math.log(2), rel=1e-15)


def test_confident_predictions_are_still_told_apart() -> None:
    found = entropy_of([20.0, 40.0, 80.0, 400.0])
    assert (found[:-1] > found[1:]).all()
    assert found[-1] > 0
    assert torch.equal(found, entropy_of([-20.0, -40.0, -80.0, -400.0]))
    assert float(found[1]) == pytest.approx(41 * math.exp(-40), rel=1e-9)
    assert float(entropy_of([1e4])) == 0


def test_the_largest_mean_entropies_are_picked_in_order(make_context: Make) -> None:
    context = make_context(budget=6)
    assert context.model is not None
    with torch.no_grad():
        x = torch.from_numpy(context.reader.read(context.pool).primary[:, None])
        p = torch.sigmoid(context.model.segment(x).double())
    expected = -(p * p.log() + (1 - p) * (1 - p).log()).mean(dim=(1, 2, 3)).numpy()
    found = strategy("max_entropy")(context)
    assert np.allclose(found.scores, expected, atol=1e-6)
    assert np.ptp(expected) > 1e-4
    order = np.argsort(-found.scores)[:6]
    assert [pick.pair for pick in found.picks] == [context.pool[index] for index in order]
    assert [pick.score for pick in found.picks] == found.scores[order].tolist()
    assert {pick.role for pick in found.picks} == {Role.ALL}


def test_the_partner_does_not_matter(make_context: Make) -> None:
    context = make_context()
    alone = make_context(pool=[SlicePair(pair.case, pair.slice) for pair in context.pool])
    assert np.array_equal(strategy("max_entropy")(context).scores, strategy("max_entropy")(alone).scores)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Several threads may round the same slice differently at different places of a batch."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_ties_are_broken_by_the_seed(make_context: Make, one_thread: None) -> None:
    first = make_context().pool[0]
    picks = []
    for seed in range(30):
        context = replace(make_context(seed=seed), pool=[SlicePair(first.case, first.slice, "a", n) for n in range(5)])
        picks.append(strategy("max_entropy")(context).picks[0].pair.partner_slice)
    assert set(picks) == set(range(5))
