"""One step: from a batch to the weighted loss and what is worth logging about it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from VQBEGALLib.config import Config
from VQBEGALLib.network import VQBEGAL
from VQBEGALLib.network.model import PairEncoding
from VQBEGALLib.training.batches import Batch
from VQBEGALLib.training.losses import discriminator_loss, segmentation_loss
from VQBEGALLib.training.routing import RATE, decode, learners


@dataclass(frozen=True)
class StepLoss:
    """Loss of one step.

    Args:
        total: what is differentiated; scalar.
        terms: L_seg, L_vq, L_disc, L_commit and D's share of right answers, detached scalars.
    """

    total: Tensor
    terms: dict[str, Tensor]


def step_loss(model: VQBEGAL, batch: Batch, config: Config, *, progress: float, generator: torch.Generator) -> StepLoss:
    """Return L = 5 L_seg + 0.5 L_vq + 0.25 L_disc + 0.2 L_commit of a batch, with the weights configured.

    Args:
        model: the network; its codebook follows the batch when in training mode.
        batch: labelled and unlabelled pairs.
        config: losses, routing and switches.
        progress: share of the round's steps done, 0 to 1; ramps the gradient reversal.
        generator: source of the codebook's draws and of the dropout masks.
    """
    training, count, share = config.training, len(batch.masks), batch.share
    learn = torch.ones_like(batch.present)  # unlabelled pairs always shape codebook and discriminator
    learn[:count] = learners(batch.roles, training.routing)
    both = torch.cat([learn, learn & batch.present])
    encoding = model.encode_pairs(batch.primary, batch.auxiliary, learn=both, generator=generator, share=share)
    seg = _supervised(model, encoding, batch, config, share.source(generator))
    paired = learn & batch.present
    rows = paired.nonzero().flatten()
    if share.any(paired):
        disc, right = discriminator_loss(
            model.discriminator,
            encoding.z_c[rows],
            encoding.z_m[rows],
            gradient=config.network.discriminator_gradient,
            strength=reversal_strength(progress),
            swap=batch.swap[rows],
            share=share,
        )
    else:
        disc = right = seg.new_zeros(())
    total = (
        training.weight_seg * seg
        + training.weight_vq * encoding.vq
        + training.weight_disc * disc
        + training.weight_commit * encoding.commit
    )
    terms = {"seg": seg, "vq": encoding.vq, "disc": disc, "commit": encoding.commit, "discriminator_right": right}
    return StepLoss(total, {name: value.detach() for name, value in terms.items()})


def _supervised(
    model: VQBEGAL, encoding: PairEncoding, batch: Batch, config: Config, generator: torch.Generator
) -> Tensor:
    """Return L_seg over the labelled slices: the primary's, and the auxiliary's with ``supervise = both``."""
    count = len(batch.masks)
    rate = RATE[config.training.routing]
    here = torch.arange(count, device=batch.masks.device)
    z_c, z_m = encoding.z_c[:count], encoding.z_m[:count]
    hidden = batch.dropped | ~batch.present[:count]
    own = encoding.primary.select(here)
    logits = decode(model.decoder, z_c, z_m, hidden, own, batch.roles, rate, generator=generator)
    loss = segmentation_loss(logits, batch.masks, batch.share)
    rows = batch.auxiliary_labelled.nonzero().flatten()
    if config.training.supervise == "both" and batch.share.any(batch.auxiliary_labelled):
        own = encoding.auxiliary.select(rows)
        parts = z_m[rows], z_c[rows], batch.dropped[rows], own, batch.roles[rows]
        logits = decode(model.decoder, *parts, rate, generator=generator)
        loss = (loss + segmentation_loss(logits, batch.auxiliary_masks[rows], batch.share)) / 2
    return loss


def reversal_strength(progress: float) -> float:
    """Return the factor of the gradient reversal, ramped from 0 to 1 (Ganin and Lempitsky, 2015)."""
    return float(2 / (1 + torch.exp(torch.tensor(-10.0 * progress))) - 1)
