"""The seed set of round 0, picked before there is a network."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import numpy.typing as npt

from VQBEGALLib.selection.interface import Context, Pick, Selection, register
from VQBEGALLib.selection.sampling import k_centre
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
    thumbnails = np.concatenate(
        [_thumbnails(context, start) for start in range(0, len(context.pool), 64)]
        or [np.empty((0, SIGNATURE**2), np.float32)]
    )
    chosen = k_centre(thumbnails, context.count, initial=thumbnails[:0], generator=context.generator)
    return Selection([Pick(context.pool[index], Role.ALL) for index in chosen])


def _thumbnails(context: Context, start: int) -> npt.NDArray[np.float32]:
    images = context.reader.read(context.pool[start : start + 64]).primary  # (n, H, W)
    block = context.reader.size // SIGNATURE
    small: npt.NDArray[np.float32] = images.reshape(-1, SIGNATURE, block, SIGNATURE, block).mean(axis=(2, 4))
    return small.reshape(len(images), -1)
