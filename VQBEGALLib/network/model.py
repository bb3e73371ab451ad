"""VQ-BEGAL: two encoders, one codebook, a discriminator and a decoder, joined (paper, section 2.1, fig. 2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from VQBEGALLib.config import NetworkSettings
from VQBEGALLib.network.decoder import Decoder
from VQBEGALLib.network.discriminator import Discriminator
from VQBEGALLib.network.encoder import Encoding, build_encoders, directions
from VQBEGALLib.network.quantizer import CosineCodebook, Quantized
from VQBEGALLib.network.share import ALONE, Share


@dataclass(frozen=True)
class PairEncoding:
    """Both slices of a batch of pairs, encoded and quantised.

    Args:
        primary, auxiliary: skips and features of each.
        z_c, z_m: quantised maps, (B, d, h, w).
        codes: entry of each position, primary then auxiliary, (2 B, h, w); None without a codebook.
        vq, commit: losses over the samples that learn.
    """

    primary: Encoding
    auxiliary: Encoding
    z_c: Tensor
    z_m: Tensor
    codes: Tensor | None
    vq: Tensor
    commit: Tensor


Network = TypeVar("Network", bound=nn.Module)


class VQBEGAL(nn.Module):
    """The network. Its arguments alone rebuild it; weights are then loaded into it.

    Args:
        settings: sizes and switches.
        classes: organs, C; each has a mask of its own.

    Examples:
        >>> net = build(NetworkSettings(base_channels=4, stages=3, codes=8, code_dim=4), seed=0)
        >>> net.segment(torch.zeros(2, 1, 32, 32)).shape
        torch.Size([2, 1, 32, 32])
    """

    needs_registered = False
    """Whether a partner is of use to :meth:`segment` only where it shows the same anatomy, pixel by pixel."""

    def __init__(self, settings: NetworkSettings, classes: int = 1) -> None:
        super().__init__()
        self.settings = settings
        self.classes = classes
        self.encoder_c, self.encoder_m = build_encoders(settings)
        self.codebook = CosineCodebook(settings) if settings.quantize else None
        self.discriminator = Discriminator(settings)
        self.decoder = Decoder(settings, classes)

    def encode_pairs(
        self,
        x_c: Tensor,
        x_m: Tensor,
        *,
        learn: Tensor | None = None,
        generator: torch.Generator | None = None,
        share: Share = ALONE,
    ) -> PairEncoding:
        """Encode and quantise pairs (eqs. 1-3); both modalities go through the codebook in one call.

        Args:
            x_c, x_m: primary and auxiliary slices, (B, 1, H, W), 0 to 1.
            learn: slices that shape the codebook and its losses, primaries then auxiliaries, (2 B,); None in
                scoring and inference.
            generator: needed with ``learn``.
            share: what other processes hold of the batch.
        """
        primary, auxiliary = self.encoder_c(x_c), self.encoder_m(x_m)
        features = torch.cat([primary.features, auxiliary.features])  # (2 B, d, h, w)
        quantized = self.quantize(features, learn=learn, generator=generator, share=share)
        z_c, z_m = torch.split(quantized.z, len(x_c))
        codes = quantized.codes if self.codebook is not None else None
        return PairEncoding(primary, auxiliary, z_c, z_m, codes, quantized.vq, quantized.commit)

    def quantize(
        self,
        features: Tensor,
        *,
        learn: Tensor | None = None,
        generator: torch.Generator | None = None,
        share: Share = ALONE,
    ) -> Quantized:
        """Return codebook entries for features, or the features' own directions where there is no codebook."""
        if self.codebook is not None:
            quantized: Quantized = self.codebook(features, learn=learn, generator=generator, share=share)
            return quantized
        zero = features.new_zeros(())
        empty = torch.empty(0, dtype=torch.long, device=features.device)
        return Quantized(directions(features), empty, zero, zero)

    def segment(self, x: Tensor, partner: Tensor | None = None, *, auxiliary: bool = False) -> Tensor:
        """Return mask logits of slices, with or without partners; changes nothing in the network.

        Args:
            x: slices to segment, (B, 1, H, W).
            partner: their partners of the other modality, (B, 1, H, W), or None.
            auxiliary: the slices to segment are of the auxiliary modality.

        Returns:
            Logits (B, C, H, W).
        """
        logits: Tensor = self.decoder(*self.decoder_inputs(x, partner, auxiliary=auxiliary))
        return logits

    def decoder_inputs(
        self, x: Tensor, partner: Tensor | None = None, *, auxiliary: bool = False
    ) -> tuple[Tensor, Tensor, Tensor, tuple[Tensor, ...]]:
        """Return what :meth:`segment` gives the decoder: both maps, missing and skips, see :class:`Decoder`."""
        own, other = (self.encoder_m, self.encoder_c) if auxiliary else (self.encoder_c, self.encoder_m)
        encoding: Encoding = own(x)
        missing = torch.full((len(x),), partner is None, device=x.device)
        if partner is None:
            z = self.quantize(encoding.features).z
            z_partner = torch.zeros_like(z)
        else:
            both = torch.cat([encoding.features, other(partner).features])
            z, z_partner = torch.split(self.quantize(both).z, len(x))
        return z, z_partner, missing, encoding.skips

    def encoder_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters of E_c and E_m, shared ones once."""
        return nn.ModuleList([self.encoder_c, self.encoder_m]).parameters()


def build(settings: NetworkSettings, *, seed: int, classes: int = 1) -> VQBEGAL:
    """Return a VQ-BEGAL network with seeded initial weights; the global random state stays as it was."""
    return seeded(lambda: VQBEGAL(settings, classes), seed)


def seeded(make: Callable[[], Network], seed: int) -> Network:
    """Return a network made with seeded initial weights; the global random state stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed every GPU as well
        # channels-last convolutions take half the time on a CPU and feed tensor cores directly on a GPU
        return make().to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]
