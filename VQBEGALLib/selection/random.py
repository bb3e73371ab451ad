"""The baselines that every other strategy has to beat."""

from __future__ import annotations

import numpy as np

from VQBEGALLib.selection.interface import Context, Pick, Selection, register
from VQBEGALLib.selection.scoring import foreground_fraction
from VQBEGALLib.training import Role

BACKGROUND_SHARE = 0.25
"""Share of ``random_foreground``'s picks that come from slices without predicted organ."""


@register("random")
def random(context: Context) -> Selection:
    """Pick uniformly without replacement."""
    chosen = context.generator.permutation(len(context.pool))[: context.count]
    return Selection([Pick(context.pool[index], Role.ALL) for index in chosen])


@register("random_foreground")
def random_foreground(context: Context) -> Selection:
    """Pick uniformly among slices with predicted organ, and a quarter among the rest.

    Where one of the two groups is too small, the other fills up.
    """
    fractions = foreground_fraction(context)
    order = context.generator.permutation(len(context.pool))
    inside, outside = order[fractions[order] > 0], order[fractions[order] == 0]
    wanted = min(round(context.count * BACKGROUND_SHARE), len(outside))
    wanted = max(wanted, context.count - len(inside))
    chosen = np.concatenate([inside[: context.count - wanted], outside[:wanted]])
    chosen = context.generator.permutation(chosen)
    return Selection([Pick(context.pool[index], Role.ALL, float(fractions[index])) for index in chosen], fractions)
