"""The seed set of round 0, picked before there is a network."""

from __future__ import annotations

from collections import defaultdict

from VQBEGALLib.selection.interface import Context, Pick, Selection, register
from VQBEGALLib.selection.sampling import k_centre
from VQBEGALLib.selection.scoring import thumbnails
from VQBEGALLib.training import Role

SIGNATURE = 16
"""Rows and columns of the thumbnails that ``diversity`` compares."""


@register("stratified_random")
def stratified_random(context: Context) -> Selection:
    """Pick as evenly from each patient as the budget allows, at random within a patient."""
    by_case = defaultdict(list)
    for index in context.generator.permutation(len(context.pool)):
        by_case[context.pool[index].case].append(index)
    cases = sorted(by_case)
    cases = [cases[place] for place in context.generator.permutation(len(cases))]
    deepest = max(map(len, by_case.values()), default=0)
    rounds = [by_case[case][turn] for turn in range(deepest) for case in cases if turn < len(by_case[case])]
    return Selection([Pick(context.pool[index], Role.ALL) for index in rounds[: context.count]])


@register("diversity")
def diversity(context: Context) -> Selection:
    """Pick slices that look different: greedy k-centre on thumbnails of the primary slices, from a random first."""
    looks = thumbnails(context, context.pool, SIGNATURE).images[:, 0].flatten(1).numpy()  # (N, SIGNATURE²)
    chosen = k_centre(looks, context.count, initial=looks[:0], generator=context.generator)
    return Selection([Pick(context.pool[index], Role.ALL) for index in chosen])


@register("exemplar")
def exemplar(context: Context) -> Selection:
    """Pick slices of one patient, drawn at random, evenly spread along the body from a random phase."""
    cases = sorted({pair.case for pair in context.pool})
    if not cases:
        return Selection([])
    case = cases[context.generator.integers(len(cases))]
    pairs = sorted(pair for pair in context.pool if pair.case == case)
    count, total = min(context.count, len(pairs)), len(pairs)
    phase = int(context.generator.integers(total))
    return Selection([Pick(pairs[(place * total + phase) // count], Role.ALL) for place in range(count)])
