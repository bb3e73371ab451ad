"""VQ-BEGAL's own selection (paper, section 2.3, eqs. 6 and 7) and EGAL, its ablation."""

from __future__ import annotations

from itertools import chain, zip_longest

import numpy as np

from VQBEGALLib.selection.coverage import Order, spread_ends
from VQBEGALLib.selection.interface import Context, Pick, Scores, Selection, register
from VQBEGALLib.selection.scoring import modality_entropy
from VQBEGALLib.training import Role


@register("vq_begal", takes="ends")
def vq_begal(context: Context) -> Selection:
    """Pick the n pairs of largest and the n of smallest entropy; the former train the decoder, the latter the encoders.

    An odd budget gives S_high the odd one. The two halves alternate in the order of picks, so that a round that
    is annotated in part still has both. With the setting ``coverage`` above 1 each half is spread over more
    candidates than it takes, see :func:`VQBEGALLib.selection.coverage.spread_ends`; 1 is the paper's.
    """
    scores = modality_entropy(context)
    order = ascending(scores, context.generator)
    if context.config.rounds.coverage > 1:
        return both_ends(context, scores, *spread_ends(context, order))
    return both_ends(context, scores, order[::-1], order)


def both_ends(context: Context, scores: Scores, high: Order, low: Order) -> Selection:
    """Pick the first of two orders in turn, with the roles of S_high and S_low; a pair in both goes to S_high."""
    low_count = context.count // 2
    high_count = context.count - low_count
    high = high[:high_count]
    low = low[~np.isin(low, high)][:low_count]
    swapped = context.config.training.roles == "swapped"
    roles = (Role.ENCODER, Role.DECODER) if swapped else (Role.DECODER, Role.ENCODER)
    picks = [
        [Pick(context.pool[index], role, float(scores[index])) for index in half]
        for half, role in zip((high, low), roles, strict=True)
    ]
    return Selection([pick for pick in chain(*zip_longest(*picks)) if pick is not None], scores)


@register("egal", takes="largest")
def egal(context: Context) -> Selection:
    """Pick the pairs of largest entropy; each trains the whole network."""
    return largest_first(context, modality_entropy(context))


def largest_first(context: Context, scores: Scores) -> Selection:
    """Pick the pairs of largest score, each to train the whole network."""
    return in_order(context, scores, ascending(scores, context.generator)[::-1])


def in_order(context: Context, scores: Scores, order: Order) -> Selection:
    """Pick the first pairs of an order, each to train the whole network."""
    picks = [Pick(context.pool[index], Role.ALL, float(scores[index])) for index in order[: context.count]]
    return Selection(picks, scores)


def ascending(scores: Scores, generator: np.random.Generator) -> Order:
    """Return the indices that sort scores, smallest first; equal scores come in a random order."""
    return np.lexsort((generator.random(len(scores)), scores))
