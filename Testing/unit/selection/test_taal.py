"""The eight turns, their inverses, and the divergence of what the network makes of them."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from VQBEGALLib.network import VQBEGAL
from VQBEGALLib.selection import Context, strategy, taal
from VQBEGALLib.selection.taal import TURNS, restored, turned, turning_divergence
from VQBEGALLib.training import Role

Make = Callable[..., Context]


def test_the_turns_are_the_eight_symmetries_of_the_square() -> None:
    x = torch.arange(9.0).reshape(1, 3, 3)
    copies = [turned(x, *turn) for turn in TURNS]
    assert len({tuple(copy.flatten().tolist()) for copy in copies}) == 8
    assert torch.equal(copies[0], x)
    grid = x[0].numpy()
    expected = [np.rot90(grid, quarters) for quarters in range(4)]
    expected += [np.rot90(np.fliplr(grid), quarters) for quarters in range(4)]
    for copy, other in zip(copies, expected, strict=True):
        assert np.array_equal(copy[0].numpy(), other)


@pytest.mark.parametrize("turn", TURNS)
def test_each_turn_is_undone(turn: tuple[int, bool]) -> None:
    x = torch.rand(2, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    assert torch.equal(restored(turned(x, *turn), *turn), x)


def standing_in(segment: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    return SimpleNamespace(segment=segment)


def test_a_network_that_turns_with_its_slices_has_no_divergence() -> None:
    x = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    present = torch.ones(3, dtype=torch.bool)
    # a vectorised sigmoid may round otherwise at another place of the slice
    assert turning_divergence(standing_in(lambda y: 3 * y - 1), x, x, present).max() < 1e-7
    assert turning_divergence(standing_in(torch.zeros_like), x, x, present).tolist() == [0, 0, 0]
    assert turning_divergence(standing_in(lambda y: y.cumsum(-1)), x, x, present).min() > 0.01


def test_by_the_formula_for_a_network_that_knows_only_places() -> None:
    marked = torch.full((1, 1, 4, 4), -40.0)
    marked[..., 0, 1] = 40.0  # organ at one place whatever the slice: the eight copies mark eight pixels once each
    x = torch.rand(2, 1, 4, 4)
    found = turning_divergence(standing_in(lambda y: marked.expand_as(y)), x, x, torch.ones(2, dtype=torch.bool))
    p = 1 / 8
    each = -p * np.log(p) - (1 - p) * np.log(1 - p)
    assert found.tolist() == pytest.approx([8 / 16 * each] * 2, rel=1e-6)


def network(context: Context) -> VQBEGAL:
    assert context.model is not None
    return context.model


def test_picks_are_the_largest_of_the_formula(make_context: Make) -> None:
    context = make_context(budget=5)
    x = torch.from_numpy(context.reader.read(context.pool).primary)
    copies = []
    with torch.no_grad():
        for mirrored in (False, True):
            for quarters in range(4):
                y = torch.rot90(x.flip(2) if mirrored else x, quarters, dims=(1, 2))
                p = torch.sigmoid(network(context).segment(y[:, None]).double())[:, 0]
                p = torch.rot90(p, 4 - quarters, dims=(1, 2))
                copies.append(p.flip(2) if mirrored else p)
    p = torch.stack(copies).numpy()  # (8, N, H, W)

    def entropy(p: np.ndarray) -> np.ndarray:
        return -p * np.log(p) - (1 - p) * np.log(1 - p)

    expected = (entropy(p.mean(axis=0)) - entropy(p).mean(axis=0)).mean(axis=(1, 2))
    found = strategy("taal")(context)
    assert np.allclose(found.scores, expected, rtol=1e-3, atol=1e-7)
    assert [context.pool.index(pick.pair) for pick in found.picks] == np.argsort(-expected)[:5].tolist()
    assert {pick.role for pick in found.picks} == {Role.ALL}
    assert expected.std() > 1e-6


@pytest.mark.parametrize("training", [True, False])
def test_nothing_in_the_network_and_no_random_state_moves(make_context: Make, training: bool) -> None:
    context = make_context()
    model = network(context).train(training)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = torch.get_rng_state()
    strategy("taal")(context)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(module.training is training for module in model.modules())
    assert torch.equal(torch.get_rng_state(), state)


def test_one_copy_is_predicted_at_a_time(make_context: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    context = make_context()
    sizes = []
    segment = network(context).segment

    def watched(x: torch.Tensor) -> torch.Tensor:
        sizes.append(len(x))
        return segment(x)

    monkeypatch.setattr(network(context), "segment", watched)
    monkeypatch.setattr("VQBEGALLib.selection.scoring.BATCH", 8)
    taal.taal(context)
    assert sizes == [8] * 8 + [7] * 8
