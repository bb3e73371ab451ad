"""A small variational autoencoder that sees a primary slice and reconstructs it and its partner, and a critic."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from VQBEGALLib.network.blocks import SLOPE

CHANNELS = (16, 32, 64)
"""Of the convolutions, each of which halves rows and columns."""

LATENT = 32
"""Dimension of the latent."""

WIDTH = 64
"""Of the critic's hidden layers."""

NOISE = 0.1
"""Standard deviation of a pixel about its reconstruction, on the scale of the slices, 0 to 1."""


@dataclass(frozen=True)
class Latent:
    """Parameters of the normal distribution of each slice's latent, (B, LATENT) each."""

    mean: Tensor
    log_variance: Tensor

    def sample(self, noise: Tensor) -> Tensor:
        """Return mean + standard deviation × noise, (B, LATENT) (Kingma and Welling, 2014)."""
        return self.mean + (self.log_variance / 2).exp() * noise

    def divergence(self) -> Tensor:
        """Return the Kullback-Leibler divergence from N(0, I), nats, (B,)."""
        return (self.mean.square() + self.log_variance.exp() - 1 - self.log_variance).sum(dim=1) / 2


class PairVAE(nn.Module):
    """Encoder of the primary, decoder of both modalities.

    Args:
        side: rows and columns of the slices, a multiple of 8.
    """

    def __init__(self, side: int) -> None:
        super().__init__()
        self.deep = side // 2 ** len(CHANNELS)
        flat = CHANNELS[-1] * self.deep**2
        down = [nn.Sequential(nn.Conv2d(i, o, 4, 2, 1), nn.LeakyReLU(SLOPE)) for i, o in _steps((1, *CHANNELS))]
        up = [nn.Sequential(nn.LeakyReLU(SLOPE), nn.ConvTranspose2d(i, o, 4, 2, 1)) for i, o in _steps(CHANNELS[::-1])]
        self.encoder = nn.Sequential(*down, nn.Flatten(), nn.Linear(flat, 2 * LATENT))
        self.entry = nn.Linear(LATENT, flat)
        self.decoder = nn.Sequential(*up, nn.LeakyReLU(SLOPE), nn.ConvTranspose2d(CHANNELS[0], 2, 4, 2, 1))

    def encode(self, x_c: Tensor) -> Latent:
        """(B, 1, side, side) → latents of the primary slices."""
        mean, log_variance = self.encoder(x_c).chunk(2, dim=1)
        return Latent(mean, log_variance.clamp(-10, 10))  # beyond, exp leaves what 32 bits can train with

    def decode(self, z: Tensor) -> Tensor:
        """(B, LATENT) → primary and auxiliary slices, (B, 2, side, side)."""
        images: Tensor = self.decoder(self.entry(z).unflatten(1, (CHANNELS[-1], self.deep, self.deep)))
        return images


def evidence_loss(images: Tensor, target: Tensor, present: Tensor, latent: Latent) -> Tensor:
    """Return the negative evidence lower bound a pixel, without constants, mean over the batch; scalar.

    Args:
        images: reconstructions, (B, 2, H, W).
        target: primary and auxiliary slices, (B, 2, H, W).
        present: whether a pair has a partner; without one only the primary counts, (B,).
        latent: what the reconstructions were drawn from.
    """
    primary, auxiliary = (images - target).square().mean(dim=(2, 3)).unbind(dim=1)  # (B,) each
    errors = (primary + auxiliary * present) / (2 * NOISE**2)
    return (errors + latent.divergence() / target[0, 0].numel()).mean()


def build_critic() -> nn.Sequential:
    """Return the critic: latent means (B, LATENT) → logits (B, 1), large where a slice looks labelled."""
    return nn.Sequential(
        nn.Linear(LATENT, WIDTH),
        nn.LeakyReLU(SLOPE),
        nn.Linear(WIDTH, WIDTH),
        nn.LeakyReLU(SLOPE),
        nn.Linear(WIDTH, 1),
    )


def build_seeded(side: int, seed: int) -> tuple[PairVAE, nn.Sequential]:
    """Return autoencoder and critic with seeded initial weights; the global random state stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return PairVAE(side), build_critic()


def _steps(channels: tuple[int, ...]) -> list[tuple[int, int]]:
    return list(pairwise(channels))
