"""What the tests of the strategies share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from VQBEGALLib.network import build
from VQBEGALLib.selection import Context
from VQBEGALLib.slices import SlicePair


@pytest.fixture
def make_context(tiny_cohort: Callable[..., Any]) -> Callable[..., Context]:
    """Makes a context over the tiny cohort's pairs and a network with initial weights."""

    def make(*, budget: int = 4, seed: int = 0, **changes: Any) -> Context:
        pool = changes.pop("pool", None)
        cohort = tiny_cohort(**changes)
        model = build(cohort.config.network, seed=1)
        pairs = cohort.pairs if pool is None else pool
        return Context(pairs, [], budget, cohort.reader, cohort.config, np.random.default_rng(seed), model=model)

    return make


@pytest.fixture
def bare() -> Callable[..., Context]:
    """Makes a context without images or network: pairs of one case, numbered."""

    def make(
        count: int, budget: int, *, seed: int = 0, config: Any = None, cases: dict[str, int] | None = None
    ) -> Context:
        pool = [SlicePair(case, index) for case, slices in (cases or {"a": count}).items() for index in range(slices)]
        return Context(pool, [], budget, None, config, np.random.default_rng(seed))  # type: ignore[arg-type]

    return make
