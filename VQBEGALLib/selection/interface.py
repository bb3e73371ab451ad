"""What a strategy is given, what it gives back, and the registry of strategies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from VQBEGALLib.config import Config
from VQBEGALLib.errors import InputError
from VQBEGALLib.events import Reporter
from VQBEGALLib.network import VQBEGAL
from VQBEGALLib.slices import SlicePair
from VQBEGALLib.slices.reader import SliceReader
from VQBEGALLib.training import Role

Scores = npt.NDArray[np.float64]
"""(N,): one value a pair of the pool, in the pool's order."""


@dataclass(frozen=True)
class Context:
    """What a strategy may look at.

    Args:
        pool: unlabelled pairs U.
        labelled: labelled pairs L.
        budget: slices to pick, at most.
        reader: reads slices.
        config: settings of the study.
        generator: source of every draw.
        model: the last round's network; None in round 0.
        device: where to compute.
        reporter: receives progress.
    """

    pool: Sequence[SlicePair]
    labelled: Sequence[SlicePair]
    budget: int
    reader: SliceReader
    config: Config
    generator: np.random.Generator
    model: VQBEGAL | None = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    reporter: Reporter = field(default_factory=Reporter)

    @property
    def count(self) -> int:
        """Slices to pick: the budget, or what is left of the pool."""
        return min(self.budget, len(self.pool))

    def trained_model(self) -> VQBEGAL:
        """Return the network.

        Raises:
            InputError: nothing has been trained yet.
        """
        if self.model is None:
            raise InputError("This strategy needs a trained network.", "Train the round before it first.")
        return self.model


@dataclass(frozen=True)
class Pick:
    """One chosen pair.

    Args:
        pair: the slices.
        role: what it will train.
        score: the strategy's value, if it has one.
    """

    pair: SlicePair
    role: Role
    score: float | None = None


@dataclass(frozen=True, eq=False)
class Selection:
    """A strategy's answer.

    Args:
        picks: most wanted first; each pair once.
        scores: value of every pair of the pool, if the strategy scores.
    """

    picks: list[Pick]
    scores: Scores | None = None


class Strategy(Protocol):
    """Chooses which pairs of a pool to annotate."""

    def __call__(self, context: Context, /) -> Selection:
        """Return at most ``context.count`` picks, the same for the same context and generator seed."""
        ...


_REGISTRY: dict[str, Strategy] = {}


def register(name: str) -> Callable[[Strategy], Strategy]:
    """Return a decorator that enters a strategy under a name."""

    def enter(strategy: Strategy) -> Strategy:
        _REGISTRY[name] = strategy
        return strategy

    return enter


def strategy(name: str) -> Strategy:
    """Return a strategy by name.

    Raises:
        InputError: there is none of that name.
    """
    if name not in _REGISTRY:
        raise InputError(f"There is no strategy {name!r}.", f"Choose one of {', '.join(names())}.")
    return _REGISTRY[name]


def names() -> list[str]:
    """Return the names of all strategies."""
    return sorted(_REGISTRY)
