"""Strategies on networks of two organs, by closed forms; with one organ they are what they were."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from VQBEGALLib.selection import Context, names, scoring, strategy
from VQBEGALLib.selection.badge import gradient_embedding
from VQBEGALLib.selection.disagreement import spread
from VQBEGALLib.selection.max_entropy import mask_entropy
from VQBEGALLib.selection.scoring import foreground_fraction, pair_vectors, score_pool
from VQBEGALLib.selection.taal import turning_divergence

Make = Callable[..., Context]


@pytest.fixture
def two(make_context: Make) -> Make:
    """Contexts whose network has two organs."""
    from dataclasses import replace

    from VQBEGALLib.network import build

    def make(**changes: Any) -> Context:
        context = make_context(**changes)
        config = context.config.replace({"organ": "liver, spleen"})
        return replace(context, config=config, model=build(config.network, seed=1, classes=2))

    return make


def giving(*organs: list[float]) -> Any:
    """A network that gives one-pixel slices these logits, a list an organ."""
    logits = torch.tensor(organs).T[:, :, None, None]
    return SimpleNamespace(segment=lambda x: logits)


def entropy(p: np.ndarray) -> np.ndarray:
    return -p * np.log(p) - (1 - p) * np.log(1 - p)


def test_entropy_is_the_mean_over_organs() -> None:
    first, second = [0.0, 2.0, -3.0], [1.0, -0.5, 5.0]
    found = mask_entropy(giving(first, second), None, None, None)
    p = 1 / (1 + np.exp(-np.array([first, second])))
    assert found.tolist() == pytest.approx(entropy(p).mean(axis=0).tolist(), rel=1e-6)
    assert torch.equal(
        mask_entropy(giving(first), None, None, None), mask_entropy(giving(first, first), None, None, None)
    )


def test_spread_is_the_mean_over_organs() -> None:
    generator = torch.Generator().manual_seed(0)
    passes = [torch.randn(3, 2, 4, 4, generator=generator) for _ in range(5)]
    whole = spread(passes)
    parts = [spread([each[:, [organ]] for each in passes]) for organ in range(2)]
    mean = (parts[0].divergence + parts[1].divergence) / 2
    assert whole.divergence.tolist() == pytest.approx(mean.tolist(), rel=1e-5)
    assert whole.total.tolist() == pytest.approx(((parts[0].total + parts[1].total) / 2).tolist(), rel=1e-6)


def test_turning_looks_at_both_organs() -> None:
    marked = torch.full((1, 1, 4, 4), -40.0)
    marked[..., 0, 1] = 40.0  # one organ at one place whatever the slice, the other one nowhere

    def segment(y: Tensor) -> Tensor:
        return torch.cat([marked.expand_as(y), torch.full_like(y, -40.0)], dim=1)

    x = torch.rand(2, 1, 4, 4)
    found = turning_divergence(SimpleNamespace(segment=segment), x, x, torch.ones(2, dtype=torch.bool))
    assert found.tolist() == pytest.approx([8 / 32 * entropy(np.array(1 / 8))] * 2, rel=1e-6)


def test_foreground_is_where_any_organ_is(two: Make) -> None:
    context = two()
    assert context.model is not None
    with torch.no_grad():
        logits = context.model.segment(torch.from_numpy(context.reader.read(context.pool).primary[:, None]))
        context.model.decoder.head.bias -= logits.mean(dim=(0, 2, 3))  # each organ is seen in part
        logits = logits - logits.mean(dim=(0, 2, 3))[:, None, None]
    expected = ((logits[:, 0] > 0) | (logits[:, 1] > 0)).double().mean(dim=(1, 2))
    assert foreground_fraction(context).tolist() == pytest.approx(expected.tolist(), abs=2e-3)  # other rounding
    assert expected.min() > 0 and expected.max() < 1


def test_badge_embeds_the_gradients_of_all_rows(two: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "BATCH", 1)  # other rounding in a larger batch may turn a label over
    context = two()
    model = context.model
    assert model is not None
    images = torch.from_numpy(context.reader.read(context.pool).primary[:, None])
    with torch.no_grad():
        model.decoder.head.bias -= model.segment(images).mean(dim=(0, 2, 3))
    expected = []
    for image in images:
        logits = model.segment(image[None])
        loss = functional.binary_cross_entropy_with_logits(logits, (logits > 0).float().detach())
        gradients = torch.autograd.grad(loss, [model.decoder.head.weight, model.decoder.head.bias])
        expected.append(torch.cat([each.flatten() for each in gradients]).numpy())
    width = 2 * (model.decoder.head.in_channels + 1)
    found = pair_vectors(context, context.pool, gradient_embedding, width=width)
    assert np.allclose(found, expected, rtol=1e-3, atol=1e-6)
    assert np.std(expected, axis=0).min() > 1e-6


@pytest.mark.parametrize("name", [name for name in names() if "+" not in name and name not in ("mvaal", "exemplar")])
def test_every_strategy_picks_for_two_organs(two: Make, name: str) -> None:
    context = two(budget=5, dropout=0.2)
    found = strategy(name)(context)
    assert len({pick.pair for pick in found.picks}) == 5
    assert found.scores is None or np.isfinite(found.scores).all()


def test_a_second_organ_that_is_nowhere_halves_the_entropy(make_context: Make, two: Make) -> None:
    alone, both = make_context(), two()
    assert alone.model is not None and both.model is not None
    with torch.no_grad():
        own, twin = (dict(context.model.state_dict()) for context in (alone, both))
        for key in own:
            twin[key] = own[key]
        head = own["decoder.head.weight"], own["decoder.head.bias"]
        twin["decoder.head.weight"] = torch.cat([head[0], torch.zeros_like(head[0])])
        twin["decoder.head.bias"] = torch.cat([head[1], torch.full_like(head[1], -200)])
        both.model.load_state_dict(twin)
    assert score_pool(both, mask_entropy).tolist() == pytest.approx((score_pool(alone, mask_entropy) / 2).tolist())
    assert foreground_fraction(both).tolist() == foreground_fraction(alone).tolist()
