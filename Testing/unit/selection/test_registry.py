"""Strategies are found by name and keep to one interface."""

from __future__ import annotations

import typing
from collections.abc import Callable

import numpy as np
import pytest
import torch

from VQBEGALLib.config import ColdStart
from VQBEGALLib.errors import InputError
from VQBEGALLib.selection import Context, names, strategy
from VQBEGALLib.training import Role


def test_every_cold_start_of_the_settings_is_a_strategy() -> None:
    assert set(typing.get_args(ColdStart)) <= set(names())


def test_the_papers_strategy_and_its_baselines_are_there() -> None:
    assert {"vq_begal", "egal", "random", "random_foreground"} <= set(names())
    assert names() == sorted(names())


def test_a_misspelt_name_is_answered_with_the_names_there_are() -> None:
    with pytest.raises(InputError, match="no strategy 'vqbegal'") as caught:
        strategy("vqbegal")
    assert all(name in caught.value.remedy for name in names())


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize("budget", [1, 5, 99])
def test_every_strategy_keeps_to_the_interface(make_context: Callable[..., Context], name: str, budget: int) -> None:
    context = make_context(budget=budget, dropout=0.2)
    pool = list(context.pool)
    found = strategy(name)(context)
    assert context.count == min(budget, len(pool))
    # one case is all that "exemplar" asks for
    within = [pair for pair in pool if pair.case == "a"] if name == "exemplar" else pool
    assert len(found.picks) == min(budget, len(within))
    pairs = [pick.pair for pick in found.picks]
    assert len(set(pairs)) == len(pairs)
    assert set(pairs) <= set(pool)
    assert all(isinstance(pick.role, Role) for pick in found.picks)
    assert found.scores is None or found.scores.shape == (len(pool),)
    assert list(context.pool) == pool

    again = strategy(name)(make_context(budget=budget, dropout=0.2))
    assert again.picks == found.picks
    assert (again.scores is None) is (found.scores is None)
    assert found.scores is None or np.array_equal(again.scores, found.scores)


@pytest.mark.parametrize("name", names())
def test_every_strategy_answers_an_empty_pool_with_nothing(make_context: Callable[..., Context], name: str) -> None:
    assert strategy(name)(make_context(pool=[], dropout=0.2)).picks == []


@pytest.mark.parametrize("name", names())
def test_every_strategy_leaves_the_global_random_state_alone(make_context: Callable[..., Context], name: str) -> None:
    context = make_context(dropout=0.2)
    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    strategy(name)(context)
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", names())
def test_every_strategy_leaves_the_network_as_it_was(
    make_context: Callable[..., Context], name: str, training: bool
) -> None:
    context = make_context(dropout=0.2)
    assert context.model is not None
    model = context.model.train(training)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    state = torch.get_rng_state()
    strategy(name)(context)
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())
    assert all(part.training is training for part in model.modules())
    assert all(weight.grad is None for weight in model.parameters())
    assert torch.equal(torch.get_rng_state(), state)
