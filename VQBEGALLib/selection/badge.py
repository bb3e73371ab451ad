"""BADGE: diverse and uncertain at once, by the gradient that a slice's own prediction would give (Ash et al., 2020)."""

from __future__ import annotations

import torch
from torch import Tensor

from VQBEGALLib.network import VQBEGAL
from VQBEGALLib.selection.interface import Context, Pick, Selection, register
from VQBEGALLib.selection.sampling import k_means_plus_plus
from VQBEGALLib.selection.scoring import pair_vectors
from VQBEGALLib.training import Role


@register("badge")
def badge(context: Context) -> Selection:
    """Pick by k-means++ on gradient embeddings: long gradients are uncertain slices, D² sampling spreads them."""
    head = context.trained_model().decoder.head
    width = head.out_channels * (head.in_channels + 1)
    embeddings = pair_vectors(context, context.pool, gradient_embedding, width=width)
    chosen = k_means_plus_plus(embeddings, context.count, generator=context.generator)
    return Selection([Pick(context.pool[index], Role.ALL) for index in chosen])


def gradient_embedding(model: VQBEGAL, x_c: Tensor, x_m: Tensor, present: Tensor) -> Tensor:
    """Return the gradient of the last layer, weights and biases, (B, C (D + 1)); a measure for ``pair_vectors``.

    The loss is the mean binary cross-entropy over pixels and organs with the prediction ŷ itself as label. With h,
    (B, D, H, W), the input of that layer, the gradient of an organ's row is the mean over pixels of (p − ŷ) · [h, 1],
    divided by the number of organs C.
    """
    decoder = model.decoder
    *maps, skips = model.decoder_inputs(x_c)
    h = decoder.features(decoder.enter(*maps), skips)  # (B, D, H, W)
    logits: Tensor = decoder.head(h)  # (B, C, H, W)
    # p − ŷ with ŷ = [p > ½]; the difference itself would round to 0 where p is close to 1
    error = torch.where(logits > 0, -torch.sigmoid(-logits), torch.sigmoid(logits))
    weights = [torch.einsum("bhw,bdhw->bd", organ, h) / error[0].numel() for organ in error.unbind(dim=1)]
    return torch.cat([*weights, error.mean(dim=(2, 3)) / error.shape[1]], dim=1)
