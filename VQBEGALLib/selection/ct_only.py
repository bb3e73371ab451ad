"""The single-modality baseline of the paper's table 1."""

from __future__ import annotations

from VQBEGALLib.selection.interface import Context, Selection, register
from VQBEGALLib.selection.random import random


@register("ct_only")
def ct_only(context: Context) -> Selection:
    """Pick uniformly without replacement, for a network that sees the primary modality alone.

    A strategy cannot take the auxiliary away from the network: the study needs ``pairing = none`` (or
    ``method = primary-only``), which leaves every slice without partner.
    """
    return random(context)
