"""Which slices train which part (paper, section 2.3): S_high the decoder, S_low the encoders, the seed set all.

The routes are laid in the graph itself: a part that a slice must not move is cut off from it, so that its
gradient stays None where nothing else in the batch reaches it and the optimiser leaves it alone, weight decay
included.
"""

from __future__ import annotations

from enum import IntEnum

import torch
from torch import Tensor
from torch.func import functional_call

from VQBEGALLib.config import Routing
from VQBEGALLib.network.decoder import Decoder
from VQBEGALLib.network.encoder import Encoding


class Role(IntEnum):
    """What a labelled slice trains."""

    ALL = 0
    ENCODER = 1
    DECODER = 2


RATE: dict[Routing, float] = {"strict": 0.0, "soft": 0.1, "joint": 1.0}
"""Share of the gradient that reaches the part a slice does not train."""


def decode(
    decoder: Decoder,
    z: Tensor,
    partner: Tensor,
    missing: Tensor,
    own: Encoding,
    roles: Tensor,
    rate: float,
    *,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Decode labelled slices, each along its route.

    Args:
        decoder: De.
        z, partner: quantised maps of the segmented slices and of their partners, (B, d, h, w).
        missing: slices without partner, (B,).
        own: encoding of the segmented slices, for the skips.
        roles: :class:`Role` of each slice, (B,).
        rate: share of the gradient that reaches the other part.
        generator: source of the decoder's dropout masks; None drops nothing.

    Returns:
        Logits (B, 1, H, W), in the order of the batch.
    """
    if rate == 1 or not bool((roles != Role.ALL).any()):
        logits: Tensor = decoder(z, partner, missing, own.skips, generator=generator)
        return logits
    parts, rows = [], []
    for role in Role:
        chosen = (roles == role).nonzero().flatten()
        if not len(chosen):
            continue
        inputs = (z[chosen], partner[chosen], missing[chosen], own.select(chosen).skips)
        if role == Role.ENCODER:
            weights = {name: relax(weight, rate) for name, weight in decoder.named_parameters()}
            parts.append(functional_call(decoder, weights, inputs, {"generator": generator}))
        elif role == Role.DECODER:
            maps, partners, absent, skips = inputs
            held = tuple(relax(skip, rate) for skip in skips)
            parts.append(decoder(relax(maps, rate), relax(partners, rate), absent, held, generator=generator))
        else:
            parts.append(decoder(*inputs, generator=generator))
        rows.append(chosen)
    return torch.cat(parts)[torch.cat(rows).argsort()]


def relax(tensor: Tensor, rate: float) -> Tensor:
    """Return the same values with the gradient scaled by ``rate``; 0 cuts the graph."""
    held = tensor.detach()
    return held if rate == 0 else held + rate * (tensor - held)


def learners(roles: Tensor, routing: Routing) -> Tensor:
    """Return which labelled slices shape codebook and discriminator: all but S_high, or all when joint, (B,)."""
    return torch.ones_like(roles, dtype=torch.bool) if routing == "joint" else roles != Role.DECODER
