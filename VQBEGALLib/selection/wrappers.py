"""Chance for strategies that pick by scores: in batches as a whole, or in every score.

Taking the best scores outright fills a round with slices that resemble each other. ``+stochastic`` and ``+power``
after a strategy's name keep its scores and change only how the round is filled from them.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import cast

import numpy as np

from VQBEGALLib.selection.coverage import Order
from VQBEGALLib.selection.interface import Context, Scores, Selection, Strategy, Takes, register_wrapper
from VQBEGALLib.selection.vq_begal import ascending, both_ends, in_order

SHARPNESS = 1.0
"""β of ``+power``: 0 draws uniformly, infinity takes the best."""


@register_wrapper("stochastic")
def stochastic(base: Strategy, takes: Takes) -> Strategy:
    """Return a strategy that takes one of many random batches (Gaillochet et al., 2023).

    The pool is shuffled and cut into batches of the budget's size, as in the authors' code; the batch of the largest
    mean score is taken whole. For a strategy that takes both ends it is the batch whose upper and lower half differ
    most in their means; the halves have the roles of S_high and S_low.
    """

    def choose(context: Context) -> Selection:
        scores = _scores(base, context)
        order = np.empty(0, np.int64)
        if context.count:
            batches = context.generator.permutation(len(scores))[: len(scores) // context.count * context.count]
            batches = batches.reshape(-1, context.count)
            places = np.argsort(scores[batches], axis=1)
            batches = np.take_along_axis(batches, places, axis=1)[:, ::-1]  # (Q, B), largest score first
            weights = np.full(context.count, 1 / context.count)
            if takes == "ends" and context.count > 1:
                low = context.count // 2
                weights = np.repeat([1 / (context.count - low), -1 / low], [context.count - low, low])
            order = batches[(scores[batches] @ weights).argmax()]
        return _pick(context, scores, takes, order, order[::-1])

    return choose


@register_wrapper("power")
def power(base: Strategy, takes: Takes) -> Strategy:
    """Return a strategy that draws with probability proportional to the score's power β (Kirsch et al., 2023).

    Draws are without replacement: Gumbel noise of scale 1 / β is added to log scores, and the largest are taken. For
    a strategy that takes both ends S_low is drawn likewise, after S_high, by what is missing to the largest possible
    entropy, ln 2 − S.
    """

    def choose(context: Context) -> Selection:
        scores = _scores(base, context)
        high = _drawn(scores, context.generator)
        low = _drawn(math.log(2) - scores, context.generator) if takes == "ends" else high
        return _pick(context, scores, takes, high, low)

    return choose


def _drawn(scores: Scores, generator: np.random.Generator) -> Order:
    """Return indices in an order drawn by the scores' power β; those of score 0 come last, in any order."""
    with np.errstate(divide="ignore"):
        logarithms = np.log(np.maximum(scores, 0))  # rounding may leave a mean of differences just below 0
    return ascending(logarithms + generator.gumbel(scale=1 / SHARPNESS, size=len(scores)), generator)[::-1]


def _scores(base: Strategy, context: Context) -> Scores:
    """Return the scores of a strategy that is registered with ``takes``; its picks are dropped, so not spread first."""
    plain = replace(context, config=context.config.replace({"coverage": 1.0}))
    return cast(Scores, base(plain).scores)


def _pick(context: Context, scores: Scores, takes: Takes, high: Order, low: Order) -> Selection:
    return both_ends(context, scores, high, low) if takes == "ends" else in_order(context, scores, high)
