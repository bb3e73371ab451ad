"""The loss of CMC: labelled slices, and what both modalities of every pair should agree on."""

from __future__ import annotations

import torch
from torch import Tensor

from VQBEGALLib.config import Config
from VQBEGALLib.network.model import PairEncoding
from VQBEGALLib.related.cmc.losses import cac_loss, csc_loss
from VQBEGALLib.related.cmc.network import CMC
from VQBEGALLib.related.ramp import ramp_up
from VQBEGALLib.training.batches import Batch
from VQBEGALLib.training.losses import segmentation_loss
from VQBEGALLib.training.step import StepLoss, encode, objective, watch


@objective("cmc")
def cmc_loss(model: CMC, batch: Batch, config: Config, /, *, progress: float, generator: torch.Generator) -> StepLoss:
    """Return L = 5 L_seg + ramp · (w_csc L_CSC + w_cac L_CAC) of a batch, with the weights configured.

    CSC takes every pair with a partner, CAC the unlabelled ones that are aligned. A term of weight 0 is still logged.
    Codebook and discriminator learn beside it from features that they cannot move.
    """
    weights, share = config.cmc, batch.share
    learn = torch.ones_like(batch.present)
    encoding = encode(model, batch, learn, generator)
    source = share.source(generator)
    fused = model.fusion(encoding.primary.features, encoding.auxiliary.features)
    seg = _supervised(model, encoding, fused, batch, config, source)
    with torch.set_grad_enabled(weights.weight_csc > 0):
        csc = _channel_consistency(encoding, batch)
    with torch.set_grad_enabled(weights.weight_cac > 0):
        cac = _anatomical_consistency(model, encoding, fused, batch, source)
    consistency = weights.weight_csc * csc + weights.weight_cac * cac
    watched = watch(model, encoding, batch, learn, config, progress=progress)
    total = config.training.weight_seg * seg + ramp_up(progress, weights.consistency_ramp) * consistency + watched.total
    aligned = share.mean(batch.aligned.to(torch.float32).mean(), len(batch.aligned))
    terms = {"seg": seg, "csc": csc, "cac": cac, "gamma": model.fusion.gamma, "aligned": aligned}
    return StepLoss(total, {**{name: value.detach() for name, value in terms.items()}, **watched.terms})


def _supervised(
    model: CMC, encoding: PairEncoding, fused: Tensor, batch: Batch, config: Config, generator: torch.Generator
) -> Tensor:
    """Return L_seg over the labelled slices: the primary's, and the auxiliary's with ``supervise = both``."""
    rows = torch.arange(len(batch.masks), device=batch.masks.device)
    hidden = batch.dropped | ~batch.present[rows]
    own = encoding.primary.select(rows)
    logits = model.decoder(own.features, fused[rows], hidden, own.skips, generator=generator)
    loss = segmentation_loss(logits, batch.masks, batch.share)
    if config.training.supervise == "both" and batch.share.any(batch.auxiliary_labelled):
        rows = batch.auxiliary_labelled.nonzero().flatten()
        own = encoding.auxiliary.select(rows)
        logits = model.decoder(own.features, fused[rows], batch.dropped[rows], own.skips, generator=generator)
        loss = (loss + segmentation_loss(logits, batch.auxiliary_masks[rows], batch.share)) / 2
    return loss


def _channel_consistency(encoding: PairEncoding, batch: Batch) -> Tensor:
    """Return L_CSC over the pairs that have a partner; 0 where none has."""
    if not batch.share.any(batch.present):
        return encoding.primary.features.new_zeros(())
    rows = batch.present.nonzero().flatten()
    features = encoding.primary.features[rows], encoding.auxiliary.features[rows]
    return batch.share.mean(csc_loss(*features, batch.aligned[rows]).mean(), len(rows))


def _anatomical_consistency(
    model: CMC, encoding: PairEncoding, fused: Tensor, batch: Batch, generator: torch.Generator
) -> Tensor:
    """Return L_CAC over the unlabelled aligned pairs; 0 where there is none."""
    chosen = batch.aligned & batch.present
    chosen[: len(batch.masks)] = False
    if not batch.share.any(chosen):
        return fused.new_zeros(())
    rows = chosen.nonzero().flatten()
    there = torch.zeros_like(rows, dtype=torch.bool)
    logits = [
        model.decoder(own.features, fused[rows], there, own.skips, generator=generator)
        for own in (encoding.primary.select(rows), encoding.auxiliary.select(rows))
    ]
    return cac_loss(logits[0], logits[1], batch.share)
