"""The single-modality baseline picks as random does; what its network sees is tested in rounds/test_primary_only.py."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from VQBEGALLib.selection import Context, strategy


@pytest.mark.parametrize(("count", "budget"), [(20, 6), (3, 9), (0, 4)])
def test_picks_are_those_of_random(bare: Callable[..., Context], count: int, budget: int) -> None:
    found = [strategy(name)(bare(count, budget, seed=3)).picks for name in ("ct_only", "random")]
    assert found[0] == found[1]
    assert len({pick.pair for pick in found[0]}) == min(count, budget)
