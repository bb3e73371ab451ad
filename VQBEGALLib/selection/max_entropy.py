"""Uncertainty sampling: the slices whose mask the network is least sure of (Settles, 2009)."""

from __future__ import annotations

import torch
from torch import Tensor

from VQBEGALLib.network import VQBEGAL
from VQBEGALLib.selection.disagreement import binary_entropy
from VQBEGALLib.selection.interface import Context, Selection, register
from VQBEGALLib.selection.scoring import score_pool
from VQBEGALLib.selection.vq_begal import largest_first


@register("max_entropy", takes="largest")
def max_entropy(context: Context) -> Selection:
    """Pick the slices of largest mean pixel entropy of the masks, predicted from the primary alone."""
    return largest_first(context, score_pool(context, mask_entropy))


def mask_entropy(model: VQBEGAL, x_c: Tensor, x_m: Tensor, present: Tensor) -> Tensor:
    """Return the prediction's entropy, mean over pixels and organs, (B,) in [0, ln 2]; for ``score_pairs``."""
    least = torch.sigmoid(-model.segment(x_c).to(torch.float64).abs())  # of p and 1 − p
    return binary_entropy(least).mean(dim=(1, 2, 3))
