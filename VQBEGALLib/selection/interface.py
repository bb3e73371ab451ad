"""What a strategy is given, what it gives back, and the registry of strategies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

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


Takes = Literal["largest", "ends"]
"""Which scores a strategy takes: the largest, or half its picks the largest and half the smallest."""

Wrapper = Callable[[Strategy, Takes], Strategy]
"""Makes another strategy of one that scores."""

_REGISTRY: dict[str, Strategy] = {}
_TAKES: dict[str, Takes] = {}
_WRAPPERS: dict[str, Wrapper] = {}


def register(name: str, *, takes: Takes | None = None) -> Callable[[Strategy], Strategy]:
    """Return a decorator that enters a strategy under a name.

    Args:
        name: of the strategy.
        takes: which of its scores it picks by; None where it does not pick by scores, and cannot be wrapped.
    """

    def enter(strategy: Strategy) -> Strategy:
        _REGISTRY[name] = strategy
        if takes is not None:
            _TAKES[name] = takes
        return strategy

    return enter


def register_wrapper(name: str) -> Callable[[Wrapper], Wrapper]:
    """Return a decorator that enters a wrapper under a name; ``base+name`` is then a strategy."""

    def enter(wrapper: Wrapper) -> Wrapper:
        _WRAPPERS[name] = wrapper
        return wrapper

    return enter


def strategy(name: str) -> Strategy:
    """Return a strategy by name, ``max_entropy``, or a wrapped one, ``max_entropy+power``.

    Raises:
        InputError: there is none of that name, or the strategy to wrap does not pick by scores.
    """
    base, plus, wrapper = name.partition("+")
    if base not in _REGISTRY or (plus and wrapper not in _WRAPPERS):
        raise InputError(
            f"There is no strategy {name!r}.",
            f"Choose one of {', '.join(names())}; {', '.join(sorted(_TAKES))} may be followed by "
            f"{' or '.join(f'+{other}' for other in sorted(_WRAPPERS))}.",
        )
    if not plus:
        return _REGISTRY[base]
    if base not in _TAKES:
        raise InputError(
            f"{base} does not pick by scores, which +{wrapper} needs.",
            f"Leave +{wrapper} out, or choose one of {', '.join(sorted(_TAKES))}.",
        )
    return _WRAPPERS[wrapper](_REGISTRY[base], _TAKES[base])


def names() -> list[str]:
    """Return the names of all strategies, without wrappers."""
    return sorted(_REGISTRY)
