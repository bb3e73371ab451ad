"""Core-set selection covers the pooled bottleneck features, away from what is labelled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from VQBEGALLib.network import VQBEGAL
from VQBEGALLib.selection import Context, Selection, strategy
from VQBEGALLib.selection.coreset import pooled
from VQBEGALLib.selection.scoring import pair_vectors
from VQBEGALLib.slices import SlicePair
from VQBEGALLib.training import Role

Make = Callable[..., Context]


def features(context: Context, pairs: list[SlicePair]) -> np.ndarray:
    """Mean of z_c over its positions, slice by slice."""
    model = context.model
    assert isinstance(model, VQBEGAL)
    images = context.reader.read(pairs).primary
    rows = []
    for image in images:
        with torch.no_grad():
            z = model.encode_pairs(torch.from_numpy(image)[None, None], torch.zeros(1, 1, *image.shape)).z_c[0]
        rows.append(z.flatten(1).double().mean(dim=1).numpy())
    return np.array(rows)


def indices(context: Context, selection: Selection) -> list[int]:
    return [context.pool.index(pick.pair) for pick in selection.picks]


@pytest.mark.parametrize("changes", [{}, {"quantize": False}, {"code_dim": 6}])
def test_features_are_the_averaged_quantised_map(make_context: Make, changes: dict[str, object]) -> None:
    context = make_context(**changes)
    assert context.model is not None
    found = pair_vectors(context, context.pool, pooled, width=context.model.settings.code_dim)
    assert found.dtype == np.float32
    assert np.allclose(found, features(context, list(context.pool)), atol=1e-4)
    assert found.std() > 1e-3


@pytest.mark.parametrize("known", [1, 4])
def test_each_pick_is_the_farthest_from_labelled_and_picked(make_context: Make, known: int) -> None:
    whole = make_context()
    labelled, pool = list(whole.pool[:known]), list(whole.pool[known:])
    context = replace(whole, labelled=labelled, pool=pool, budget=5)
    looks, centres = features(context, pool), list(features(context, labelled))
    found = indices(context, strategy("coreset")(context))
    assert len(set(found)) == 5
    for index in found:
        distances = [min(np.linalg.norm(look - centre) for centre in centres) for look in looks]
        assert distances[index] == pytest.approx(max(distances), rel=1e-4)
        centres.append(looks[index])


def test_what_looks_like_a_labelled_slice_comes_last(make_context: Make) -> None:
    whole = make_context()
    twin = SlicePair(whole.pool[3].case, whole.pool[3].slice)
    context = replace(whole, labelled=[twin], budget=len(whole.pool))
    assert indices(context, strategy("coreset")(context))[-1] == 3


def test_without_labels_the_first_is_drawn(make_context: Make) -> None:
    firsts = {strategy("coreset")(make_context(seed=seed, budget=1)).picks[0].pair for seed in range(12)}
    assert len(firsts) > 3


def test_picks_train_everything_and_have_no_score(make_context: Make) -> None:
    found = strategy("coreset")(make_context())
    assert found.scores is None
    assert {(pick.role, pick.score) for pick in found.picks} == {(Role.ALL, None)}
