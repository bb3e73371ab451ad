"""One step: from a batch to the weighted loss and what is worth logging about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from VQBEGALLib.config import Architecture, Config
from VQBEGALLib.network import VQBEGAL
from VQBEGALLib.network.model import PairEncoding
from VQBEGALLib.slices import SlicePair
from VQBEGALLib.training.batches import Batch
from VQBEGALLib.training.losses import discriminator_loss, segmentation_loss
from VQBEGALLib.training.routing import RATE, decode, learners


@dataclass(frozen=True)
class StepLoss:
    """Loss of one step.

    Args:
        total: what is differentiated; scalar.
        terms: parts of the loss and what else is logged, detached scalars; always L_seg as ``seg``.
    """

    total: Tensor
    terms: dict[str, Tensor]


class Objective(Protocol):
    """What a step of an architecture's training minimises."""

    def __call__(
        self, model: Any, batch: Batch, config: Config, /, *, progress: float, generator: torch.Generator
    ) -> StepLoss:
        """Return the loss of a batch; arguments as in :func:`step_loss`."""
        ...


Check = Callable[[Sequence[SlicePair], Config], None]
"""Raises InputError where an objective cannot learn from pairs, once they are labelled."""

_OBJECTIVES: dict[Architecture, Objective] = {}
_CHECKS: dict[Architecture, Check] = {}


def objective(name: Architecture, *, check: Check | None = None) -> Callable[[Objective], Objective]:
    """Return a decorator that enters a loss under the name that the setting ``architecture`` has for it.

    Args:
        name: of the architecture.
        check: looks at the pairs before they are chosen from, and at the labelled ones before a training.
    """

    def enter(loss: Objective) -> Objective:
        _OBJECTIVES[name] = loss
        if check is not None:
            _CHECKS[name] = check
        return loss

    return enter


def check_pairs(pairs: Sequence[SlicePair], config: Config) -> None:
    """Make sure that the configured objective can learn from pairs, once they are labelled.

    Raises:
        InputError: it cannot.
    """
    if check := _CHECKS.get(config.network.architecture):
        check(pairs, config)


def step_loss(model: VQBEGAL, batch: Batch, config: Config, *, progress: float, generator: torch.Generator) -> StepLoss:
    """Return the loss of a batch, by the objective of the configured architecture.

    Args:
        model: the network; its codebook follows the batch when in training mode.
        batch: labelled and unlabelled pairs.
        config: losses, routing and switches.
        progress: share of the round's steps done, 0 to 1; ramps the gradient reversal.
        generator: source of the codebook's draws and of the dropout masks.

    Raises:
        KeyError: the package of the architecture was not imported, see :mod:`VQBEGALLib.related`.
    """
    return _OBJECTIVES[config.network.architecture](model, batch, config, progress=progress, generator=generator)


@objective("vq_begal")
def vq_begal_loss(
    model: VQBEGAL, batch: Batch, config: Config, /, *, progress: float, generator: torch.Generator
) -> StepLoss:
    """Return L = 5 L_seg + 0.5 L_vq + 0.25 L_disc + 0.2 L_commit of a batch, with the weights configured."""
    training, count = config.training, len(batch.masks)
    learn = torch.ones_like(batch.present)  # unlabelled pairs always shape codebook and discriminator
    learn[:count] = learners(batch.roles, training.routing)
    encoding = encode(model, batch, learn, generator)
    seg = _supervised(model, encoding, batch, config, batch.share.source(generator))
    watched = watch(model, encoding, batch, learn, config, progress=progress)
    return StepLoss(training.weight_seg * seg + watched.total, {"seg": seg.detach(), **watched.terms})


def encode(model: VQBEGAL, batch: Batch, learn: Tensor, generator: torch.Generator) -> PairEncoding:
    """Encode a batch; its learning pairs, (n,), shape the codebook."""
    both = torch.cat([learn, learn & batch.present])
    return model.encode_pairs(batch.primary, batch.auxiliary, learn=both, generator=generator, share=batch.share)


def watch(
    model: VQBEGAL, encoding: PairEncoding, batch: Batch, learn: Tensor, config: Config, *, progress: float
) -> StepLoss:
    """Return 0.5 L_vq + 0.25 L_disc + 0.2 L_commit: what codebook and discriminator learn from a batch.

    Args:
        model: the network.
        encoding: of the batch.
        batch: labelled and unlabelled pairs.
        learn: pairs that the discriminator learns from where they have a partner, (n,).
        config: weights and switches.
        progress: share of the round's steps done, 0 to 1.
    """
    training = config.training
    paired = learn & batch.present
    rows = paired.nonzero().flatten()
    if batch.share.any(paired):
        disc, right = discriminator_loss(
            model.discriminator,
            encoding.z_c[rows],
            encoding.z_m[rows],
            gradient=config.network.discriminator_gradient,
            strength=reversal_strength(progress),
            swap=batch.swap[rows],
            share=batch.share,
        )
    else:
        disc = right = encoding.z_c.new_zeros(())
    total = training.weight_vq * encoding.vq + training.weight_disc * disc + training.weight_commit * encoding.commit
    terms = {"vq": encoding.vq, "disc": disc, "commit": encoding.commit, "discriminator_right": right}
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
