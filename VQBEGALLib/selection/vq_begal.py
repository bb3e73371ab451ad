"""VQ-BEGAL's own selection (paper, section 2.3, eqs. 6 and 7) and EGAL, its ablation."""

from __future__ import annotations

from itertools import chain, zip_longest

import numpy as np
import numpy.typing as npt

from VQBEGALLib.selection.interface import Context, Pick, Scores, Selection, register
from VQBEGALLib.selection.scoring import modality_entropy
from VQBEGALLib.training import Role


@register("vq_begal")
def vq_begal(context: Context) -> Selection:
    """Pick the n pairs of largest and the n of smallest entropy; the former train the decoder, the latter the encoders.

    An odd budget gives S_high the odd one. The two halves alternate in the order of picks, so that a round that
    is annotated in part still has both.
    """
    scores = modality_entropy(context)
    order = ascending(scores, context.generator)
    low_count = context.count // 2
    high_count = context.count - low_count
    high = order[::-1][:high_count]
    low = order[:low_count]
    swapped = context.config.training.roles == "swapped"
    roles = (Role.ENCODER, Role.DECODER) if swapped else (Role.DECODER, Role.ENCODER)
    picks = [
        [Pick(context.pool[index], role, float(scores[index])) for index in half]
        for half, role in zip((high, low), roles, strict=True)
    ]
    return Selection([pick for pick in chain(*zip_longest(*picks)) if pick is not None], scores)


@register("egal")
def egal(context: Context) -> Selection:
    """Pick the pairs of largest entropy; each trains the whole network."""
    return largest_first(context, modality_entropy(context))


def largest_first(context: Context, scores: Scores) -> Selection:
    """Pick the pairs of largest score, each to train the whole network."""
    order = ascending(scores, context.generator)[::-1][: context.count]
    return Selection([Pick(context.pool[index], Role.ALL, float(scores[index])) for index in order], scores)


def ascending(scores: Scores, generator: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return the indices that sort scores, smallest first; equal scores come in a random order."""
    return np.lexsort((generator.random(len(scores)), scores))
