"""Core-set selection: cover the pool's features (Sener and Savarese, 2018)."""

from __future__ import annotations

from torch import Tensor

from VQBEGALLib.network import VQBEGAL
from VQBEGALLib.selection.interface import Context, Pick, Selection, register
from VQBEGALLib.selection.sampling import k_centre
from VQBEGALLib.selection.scoring import pair_vectors
from VQBEGALLib.training import Role


@register("coreset")
def coreset(context: Context) -> Selection:
    """Pick the slice farthest from all labelled and picked ones, again and again: greedy k-centre.

    Distances are Euclidean between pooled bottleneck maps of the primary. Without labelled slices the first is
    drawn at random.
    """
    width = context.trained_model().settings.code_dim
    pool = pair_vectors(context, context.pool, pooled, width=width)
    labelled = pair_vectors(context, context.labelled, pooled, width=width)
    chosen = k_centre(pool, context.count, initial=labelled, generator=context.generator)
    return Selection([Pick(context.pool[index], Role.ALL) for index in chosen])


def pooled(model: VQBEGAL, x_c: Tensor, x_m: Tensor, present: Tensor) -> Tensor:
    """Return z_c averaged over its positions, (B, d); a measure for ``pair_vectors``.

    The map ahead of the codebook would not do: its instance norm makes every channel's average zero.
    """
    return model.quantize(model.encoder_c(x_c).features).z.mean(dim=(2, 3))
