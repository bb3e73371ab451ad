"""Gaussian noise on what the network sees, or on what its encoders make of it; the same noise at every call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from VQBEGALLib.benchmark.conditions import CONDITIONS, DegradedReader
from VQBEGALLib.benchmark.partners import Lenders
from VQBEGALLib.network import VQBEGAL
from VQBEGALLib.network.encoder import Encoding
from VQBEGALLib.slices.reader import SliceReader

IMAGE_SIGMA = 0.1
"""Of the noise on the slices, whose values run from 0 to 1."""
FEATURE_SIGMA = 0.3
"""Of the noise on the encoders' outputs, in their own standard deviations."""


def noisy_images(reader: SliceReader, sigma: float = IMAGE_SIGMA) -> SliceReader:
    """Return a reader that adds the robustness study's noise to both slices of each pair."""
    for name in ("noise_primary", "noise_auxiliary"):
        reader = DegradedReader(reader, CONDITIONS[name], sigma, Lenders({}, {}))
    return reader


@contextmanager
def noisy_features(model: VQBEGAL, sigma: float = FEATURE_SIGMA, *, seed: int) -> Iterator[None]:
    """Disturb the encoders' outputs while the context is open: the bottleneck features and the skip connections.

    Both are disturbed because the discriminator sees the former alone, while a mask's uncertainty rests on both.

    Args:
        model: its encoders.
        sigma: standard deviation of the noise, in standard deviations of each map of the batch.
        seed: of the noise; the same sequence of batches gets the same noise.
    """
    device = next(model.parameters()).device
    generator = torch.Generator(device).manual_seed(seed)

    def disturbed(values: Tensor) -> Tensor:
        noise = torch.empty_like(values).normal_(generator=generator)
        return values + sigma * values.std() * noise

    def hook(module: nn.Module, inputs: object, encoding: Encoding) -> Encoding:
        return Encoding(tuple(disturbed(skip) for skip in encoding.skips), disturbed(encoding.features))

    handles = [encoder.register_forward_hook(hook) for encoder in (model.encoder_c, model.encoder_m)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
