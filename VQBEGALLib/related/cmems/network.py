"""The network of CMEMS: two segmentation networks that teach each other; the first alone segments (section 3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from VQBEGALLib.config import Config, NetworkSettings
from VQBEGALLib.network.decoder import Decoder, drop_channels
from VQBEGALLib.network.encoder import Encoding, build_encoders, directions
from VQBEGALLib.network.registry import architecture
from VQBEGALLib.related.network import JoinedNetwork


class Peer(nn.Module):
    """A second U-Net of the same sizes: the encoder of one modality and a decoder."""

    def __init__(self, settings: NetworkSettings, classes: int = 1) -> None:
        super().__init__()
        self.encoder, _ = build_encoders(settings)
        self.decoder = Decoder(settings, classes)


class CMEMS(JoinedNetwork):
    """N1 and N2 of CMEMS, both of the primary modality alone.

    N1 is ``encoder_c`` with ``decoder``, the very network that ``method = plain`` is without partners, and segments
    at its cost. N2 is ``peer``; it serves training only, and lies in the file so that a warm start can go on with both.
    ``encoder_m`` has no part in CMEMS: what it shares with ``encoder_c`` is trained, the rest stays as it was
    initialised unless auxiliary slices are labelled and ``supervise = both``.
    """

    def __init__(self, settings: NetworkSettings, classes: int = 1) -> None:
        super().__init__(settings, classes)
        self.peer = Peer(settings, classes)

    def join(self, own: Tensor, other: Tensor | None, *, auxiliary: bool) -> tuple[Tensor, Tensor]:
        """See :meth:`JoinedNetwork.join`; the partner is not looked at."""
        return directions(own), torch.zeros_like(own)

    def decoder_inputs(
        self, x: Tensor, partner: Tensor | None = None, *, auxiliary: bool = False
    ) -> tuple[Tensor, Tensor, Tensor, tuple[Tensor, ...]]:
        """See :meth:`JoinedNetwork.decoder_inputs`; the partner is not looked at, and counts as missing."""
        return super().decoder_inputs(x, None, auxiliary=auxiliary)


def decode(
    decoder: Decoder, encoding: Encoding, *, drop: float = 0.0, generator: torch.Generator | None = None
) -> Tensor:
    """Return logits of encoded slices without partners, (B, C, H, W).

    Args:
        decoder: of N1 or N2.
        encoding: of the slices.
        drop: share of the channels zeroed at every level, skips and bottleneck (Tompson et al., 2015).
        generator: source of those draws and of the decoder's own dropout; None drops nothing.
    """
    z = drop_channels(directions(encoding.features), drop, generator)
    skips = tuple(drop_channels(skip, drop, generator) for skip in encoding.skips)
    missing = torch.ones(len(z), dtype=torch.bool, device=z.device)
    logits: Tensor = decoder(z, torch.zeros_like(z), missing, skips, generator=generator)
    return logits


@architecture("cmems")
def _cmems(config: Config) -> CMEMS:
    return CMEMS(config.network, len(config.organs))
