"""The network of CMC: two adapted encoders, one fused map for both modalities, VQ-BEGAL's decoder."""

from __future__ import annotations

from torch import Tensor, nn

from VQBEGALLib.config import Config
from VQBEGALLib.network.registry import architecture
from VQBEGALLib.related.cmc.attention import Fusion
from VQBEGALLib.related.cmc.encoder import Adapter, build_adapted_encoders
from VQBEGALLib.related.network import JoinedNetwork


class CMC(JoinedNetwork):
    """The network; its configuration alone rebuilds it.

    The decoder gets a slice's own features and the fused map of both modalities, which is the same whichever of them
    is segmented.

    Source:
        Zhou et al. (2024).
    """

    def __init__(self, config: Config) -> None:
        super().__init__(config.network, len(config.organs))
        self.encoder_c, self.encoder_m = build_adapted_encoders(config)
        self.fusion = Fusion(config.network)
        if config.cmc.freeze_encoders:
            self._freeze()

    def join(self, own: Tensor, other: Tensor | None, *, auxiliary: bool) -> tuple[Tensor, Tensor]:
        """See :meth:`JoinedNetwork.join`."""
        if other is None:
            return super().join(own, other, auxiliary=auxiliary)
        return own, self.fusion(other, own) if auxiliary else self.fusion(own, other)

    def _freeze(self) -> None:
        """Let nothing of the encoders learn but their adapters."""
        encoders = nn.ModuleList([self.encoder_c, self.encoder_m])
        encoders.requires_grad_(False)
        for module in encoders.modules():
            if isinstance(module, Adapter):
                module.requires_grad_(True)


@architecture("cmc")
def _cmc(config: Config) -> CMC:
    return CMC(config)
