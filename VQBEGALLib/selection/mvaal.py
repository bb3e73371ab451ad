"""Multimodal variational adversarial active learning: slices that least resemble the labelled ones."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from VQBEGALLib.selection.interface import Context, Scores, Selection, register
from VQBEGALLib.selection.scoring import Thumbnails, thumbnails
from VQBEGALLib.selection.vae import LATENT, PairVAE, build_seeded, evidence_loss
from VQBEGALLib.selection.vq_begal import largest_first

SIDE = 32
"""Rows and columns of the slices that the autoencoder sees; larger ones are averaged down to it."""

STEPS = 300
"""Training steps of a selection."""

BATCH = 16
"""Labelled slices in a step, and as many unlabelled ones."""

LEARNING_RATE = 3e-3

ADVERSARY = 0.1
"""Weight of the encoder's reward for latents whose pool the critic cannot tell."""

READ = 256
"""Pairs scored at a time."""


@register("mvaal", takes="largest")
def mvaal(context: Context) -> Selection:
    """Pick the slices that a critic takes for unlabelled with most confidence.

    M-VAAL (Khanal et al., 2023), after VAAL (Sinha et al., 2019): an autoencoder sees the primary and reconstructs
    both modalities; a critic learns to tell by the latent mean whether a slice is labelled, while the encoder learns
    to hide it. The score is the critic's probability of unlabelled. Both are trained anew at each selection and know
    nothing of the segmentation network. Without labelled slices there is nothing to learn: the draw is uniform.

    The autoencoder is far smaller than the paper's, sees thumbnails of ``SIDE`` pixels and is trained far shorter, so
    that a poor result here is no verdict on the original.

    Cost: ``STEPS`` steps on thumbnails whatever the size of slices and pool, about 4 s on one core, and the encoder
    once a slice.
    """
    if not context.pool or not context.labelled:
        return largest_first(context, np.ones(len(context.pool)))
    seed = int(context.generator.integers(2**63))
    labelled, pool = (thumbnails(context, pairs, SIDE, torch.float16) for pairs in (context.labelled, context.pool))
    training = Adversaries(labelled, pool, seed, context)
    training.run(STEPS)
    return largest_first(context, training.scores())


class Adversaries:
    """Autoencoder and critic, trained in turns.

    Args:
        labelled, pool: at least one pair each.
        seed: of the initial weights and of every draw.
        context: device and reporter.
    """

    def __init__(self, labelled: Thumbnails, pool: Thumbnails, seed: int, context: Context) -> None:
        self.labelled, self.pool = labelled, pool
        self.device, self.reporter = context.device, context.reporter
        self.generator = torch.Generator().manual_seed(seed)
        vae, critic = build_seeded(pool.images.shape[-1], seed)
        self.vae: PairVAE = vae.to(self.device)
        self.critic: nn.Sequential = critic.to(self.device)
        self.optimizers = [torch.optim.Adam(each.parameters(), lr=LEARNING_RATE) for each in (self.vae, self.critic)]
        self.history: list[tuple[float, float]] = []

    def run(self, steps: int) -> None:
        """Train; ``history`` gets the loss of autoencoder and critic at each step."""
        with self.reporter.stage("critic", steps) as stage:
            for _ in range(steps):
                self.history.append(self._advance())
                stage.advance(1, reconstruction=self.history[-1][0], critic=self.history[-1][1])

    def scores(self) -> Scores:
        """Return the critic's probability that each slice of the pool is unlabelled, (N,) in [0, 1]."""
        parts = [np.empty(0)]
        with torch.inference_mode():
            for start in range(0, len(self.pool), READ):
                x, _ = self.pool.rows(slice(start, start + READ), self.device)
                logits = self.critic(self.vae.encode(x[:, :1]).mean)[:, 0].to("cpu", torch.float64)
                parts.append(torch.sigmoid(-logits).numpy())
        return np.concatenate(parts)

    def _draw(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return slices of both pools, (2 BATCH, 2, side, side), which have partners, and which are labelled."""
        parts = [
            part.rows(torch.randint(len(part), (BATCH,), generator=self.generator), self.device)
            for part in (self.labelled, self.pool)
        ]
        x, present = (torch.cat(values) for values in zip(*parts, strict=True))
        return x, present, (torch.arange(2 * BATCH, device=self.device) < BATCH).to(x)

    def _advance(self) -> tuple[float, float]:
        """Move the autoencoder, then the critic on the latents that the autoencoder was moved by."""
        x, present, is_labelled = self._draw()
        latent = self.vae.encode(x[:, :1])
        noise = torch.randn(len(x), LATENT, generator=self.generator).to(self.device)
        evidence = evidence_loss(self.vae.decode(latent.sample(noise)), x, present, latent)
        self._move(0, evidence + ADVERSARY * self._critic_loss(latent.mean, torch.ones_like(is_labelled)))
        told = self._critic_loss(latent.mean.detach(), is_labelled)
        self._move(1, told)
        return float(evidence.detach()), float(told.detach())

    def _critic_loss(self, mean: Tensor, is_labelled: Tensor) -> Tensor:
        return functional.binary_cross_entropy_with_logits(self.critic(mean)[:, 0], is_labelled)

    def _move(self, which: int, loss: Tensor) -> None:
        optimizer = self.optimizers[which]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
