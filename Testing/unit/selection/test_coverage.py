"""S_high and S_low spread over the pool: candidates, order, roles and codes, against plain loops."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
import torch

from VQBEGALLib.selection import Context, coverage, strategy
from VQBEGALLib.selection.coverage import signature, spread_ends
from VQBEGALLib.training import Role


@pytest.fixture
def placed(bare: Callable[..., Context], monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[list[int], list[int]]]:
    """Spreads a pool whose slices have given places on a line."""

    def run(places: list[float], budget: int, factor: float, labelled: tuple[float, ...] = ()) -> tuple[list[int], ...]:
        from VQBEGALLib.config import preset

        context = bare(len(places), budget, config=preset("small", {"coverage": factor}))
        rows = {id(context.pool): places, id(context.labelled): list(labelled)}
        monkeypatch.setattr(
            coverage, "_signatures", lambda _, pairs: np.array(rows[id(pairs)], np.float32).reshape(-1, 1)
        )
        high, low = spread_ends(context, np.arange(len(places)))  # S rises with the index
        return high.tolist(), low.tolist()

    return run


def test_each_end_is_spread_over_its_candidates_only(placed):
    high, low = placed([0, 50, 1, 99, 99, 7, 2, 9], budget=4, factor=1.5, labelled=(8.0,))
    assert high == [6, 5]  # of 7, 2, 9: farthest from 8 is 2, then 7 and 9 tie
    assert set(low) <= {0, 1, 2}
    assert low[0] == 1  # 50 is farthest from all that is known


def test_factor_one_is_the_extremes(placed):
    high, low = placed(list(range(10)), budget=5, factor=1)
    assert sorted(high) == [7, 8, 9]
    assert sorted(low) == [0, 1]


@pytest.mark.parametrize(("count", "budget", "factor"), [(3, 9, 3), (5, 4, 50), (1, 1, 3), (7, 7, 1.1)])
def test_no_slice_twice_and_none_missing(placed, count, budget, factor):
    high, low = placed([float(each) for each in range(count)], budget, factor)
    assert len(set(high + low)) == len(high + low) == min(count, budget)
    assert len(high) - len(low) in (0, 1)


def test_signature_counts_codes(make_context):
    context = make_context()
    model = context.trained_model().eval()
    images = context.reader.read(list(context.pool)[:3])
    x_c = torch.from_numpy(images.primary[:, None])
    with torch.inference_mode():
        found = signature(model, x_c, x_c, torch.ones(3, dtype=torch.bool))
        codes = model.quantize(model.encoder_c(x_c).features).codes
    for row, map_ in zip(found, codes, strict=True):
        counts = Counter(map_.flatten().tolist())
        expected = [(counts[code] / map_.numel()) ** 0.5 for code in range(model.settings.codes)]
        np.testing.assert_allclose(row.numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("quantize", [True, False])
def test_the_default_spreads_and_keeps_both_roles(make_context, quantize):
    picks = strategy("vq_begal")(make_context(budget=5, quantize=quantize)).picks
    assert [pick.role for pick in picks] == [Role.DECODER, Role.ENCODER] * 2 + [Role.DECODER]
    again = strategy("vq_begal")(make_context(budget=5, quantize=quantize)).picks
    assert [pick.pair for pick in picks] == [pick.pair for pick in again]
