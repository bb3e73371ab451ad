"""BADGE's embedding against autograd, and picks that follow it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.nn import functional

from VQBEGALLib.network import VQBEGAL
from VQBEGALLib.selection import Context, scoring, strategy
from VQBEGALLib.selection.badge import gradient_embedding
from VQBEGALLib.selection.sampling import k_means_plus_plus
from VQBEGALLib.selection.scoring import pair_vectors
from VQBEGALLib.slices import SlicePair
from VQBEGALLib.training import Role

Make = Callable[..., Context]


def model_of(context: Context) -> VQBEGAL:
    assert isinstance(context.model, VQBEGAL)
    return context.model


def embeddings(context: Context) -> np.ndarray:
    width = model_of(context).settings.base_channels + 1
    return pair_vectors(context, context.pool, gradient_embedding, width=width)


@pytest.mark.parametrize("changes", [{}, {"quantize": False}, {"base_channels": 6, "stages": 2}])
def test_the_embedding_is_the_gradient_of_the_last_layer(
    make_context: Make, monkeypatch: pytest.MonkeyPatch, changes: dict[str, object]
) -> None:
    monkeypatch.setattr(scoring, "BATCH", 1)  # other rounding in a larger batch may turn a label over
    context = make_context(**changes)
    model = model_of(context)
    images = torch.from_numpy(context.reader.read(context.pool).primary[:, None])
    with torch.no_grad():
        model.decoder.head.bias -= model.segment(images).median()  # predictions of both kinds
    expected, kinds = [], []
    for image in images:
        logits = model.segment(image[None])
        label = (logits > 0).float().detach()
        loss = functional.binary_cross_entropy_with_logits(logits, label)
        weight, bias = torch.autograd.grad(loss, [model.decoder.head.weight, model.decoder.head.bias])
        expected.append(torch.cat([weight.flatten(), bias]).numpy())
        kinds.append(float(label.mean()))
    assert 0 < np.mean(kinds) < 1
    assert np.allclose(embeddings(context), expected, rtol=1e-3, atol=1e-6)
    assert np.std(expected, axis=0).min() > 1e-5


@pytest.mark.parametrize("bias", [30.0, -30.0])
def test_a_confident_network_still_has_gradients(make_context: Make, bias: float) -> None:
    context = make_context()
    with torch.no_grad():
        model_of(context).decoder.head.bias += bias  # in 32 bits sigmoid(30) is 1
    found = embeddings(context)
    assert (np.sign(found[:, -1]) == -np.sign(bias)).all()
    assert len(set(found[:, -1].tolist())) == len(found)
    assert np.abs(found[:, -1]).max() < 1e-10


def test_the_partner_does_not_matter(make_context: Make) -> None:
    context = make_context()
    alone = make_context(pool=[SlicePair(pair.case, pair.slice) for pair in context.pool])
    assert np.array_equal(embeddings(context), embeddings(alone))


def test_picks_are_k_means_plus_plus_on_the_embeddings(make_context: Make) -> None:
    context = make_context(budget=6, seed=5)
    expected = k_means_plus_plus(embeddings(context), 6, generator=np.random.default_rng(5))
    found = strategy("badge")(context)
    assert [context.pool.index(pick.pair) for pick in found.picks] == expected.tolist()
    assert {(pick.role, pick.score) for pick in found.picks} == {(Role.ALL, None)}
    assert found.scores is None
