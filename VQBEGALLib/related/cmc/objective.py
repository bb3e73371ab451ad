"""The loss of CMC."""

from __future__ import annotations

import torch

from VQBEGALLib.config import Config
from VQBEGALLib.related.cmc.network import CMC
from VQBEGALLib.training.batches import Batch
from VQBEGALLib.training.losses import segmentation_loss
from VQBEGALLib.training.step import StepLoss, encode, objective, watch


@objective("cmc")
def cmc_loss(model: CMC, batch: Batch, config: Config, /, *, progress: float, generator: torch.Generator) -> StepLoss:
    """Return the loss of a batch."""
    count, share = len(batch.masks), batch.share
    learn = torch.ones_like(batch.present)
    encoding = encode(model, batch, learn, generator)
    own, other = encoding.primary.features, encoding.auxiliary.features
    z, z_partner = model.join(own[:count], other[:count], auxiliary=False)
    hidden = batch.dropped | ~batch.present[:count]
    skips = tuple(skip[:count] for skip in encoding.primary.skips)
    logits = model.decoder(z, z_partner, hidden, skips, generator=share.source(generator))
    seg = segmentation_loss(logits, batch.masks, share)
    watched = watch(model, encoding, batch, learn, config, progress=progress)
    return StepLoss(config.training.weight_seg * seg + watched.total, {"seg": seg.detach(), **watched.terms})
