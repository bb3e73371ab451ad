"""What the networks of the related systems have in common: VQ-BEGAL's encoders and decoder, joined in another way."""

from __future__ import annotations

import torch
from torch import Tensor

from VQBEGALLib.network import VQBEGAL
from VQBEGALLib.network.quantizer import Quantized
from VQBEGALLib.network.share import ALONE, Share


class JoinedNetwork(VQBEGAL):
    """A network whose decoder gets features, not codebook entries, and what :meth:`join` makes of the partner's.

    Codebook and discriminator look on: they learn from the features and never move them, so that S and every other
    strategy's score is defined for these networks as for VQ-BEGAL.
    """

    def quantize(
        self,
        features: Tensor,
        *,
        learn: Tensor | None = None,
        generator: torch.Generator | None = None,
        share: Share = ALONE,
    ) -> Quantized:
        """See :meth:`VQBEGAL.quantize`; no gradient passes."""
        return super().quantize(features.detach(), learn=learn, generator=generator, share=share)

    def join(self, own: Tensor, other: Tensor | None, *, auxiliary: bool) -> tuple[Tensor, Tensor]:
        """Return both maps that the decoder gets, (B, d, h, w) each.

        Args:
            own: features F of the slices to segment, (B, d, h, w).
            other: features of their partners, (B, d, h, w); None where there is none: the second map is then not used.
            auxiliary: the slices to segment are of the auxiliary modality.
        """
        return own, torch.zeros_like(own) if other is None else other

    def decoder_inputs(
        self, x: Tensor, partner: Tensor | None = None, *, auxiliary: bool = False
    ) -> tuple[Tensor, Tensor, Tensor, tuple[Tensor, ...]]:
        """See :meth:`VQBEGAL.decoder_inputs`."""
        own, other = (self.encoder_m, self.encoder_c) if auxiliary else (self.encoder_c, self.encoder_m)
        encoding = own(x)
        features = None if partner is None else other(partner).features
        z, z_partner = self.join(encoding.features, features, auxiliary=auxiliary)
        missing = torch.full((len(x),), partner is None, device=x.device)
        return z, z_partner, missing, encoding.skips
