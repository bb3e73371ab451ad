"""Settings of CMC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from VQBEGALLib.errors import InputError
from VQBEGALLib.settings import Section, setting

EncoderKind = Literal["convolutional", "vit"]


@dataclass(frozen=True, kw_only=True)
class CMCSettings(Section):
    """CMC, cross modality collaboration (Zhou et al., 2024); used with ``architecture = cmc``."""

    weight_csc: float = setting(
        0.5,
        "Weight of the channel-wise semantic consistency loss after its ramp; a tenth of weight_seg.",
        low=0,
        high=1000,
    )
    weight_cac: float = setting(
        0.5,
        "Weight of the anatomical consistency of both modalities' masks on unlabelled pairs, after its ramp. It acts "
        "on pairs whose volumes lie on one grid only; the history's term aligned tells how many those are.",
        low=0,
        high=1000,
    )
    consistency_ramp: float = setting(
        0.3, "Share of a round's steps over which both weights rise to their full value.", low=0, high=1
    )
    adapter: int = setting(
        8, "Channels of the adapter after each encoder stage and in each transformer block; 0 is none.", low=0, high=512
    )
    freeze_encoders: bool = setting(
        False, "Keep the encoders' weights and train their adapters only; for weights given by --encoder-weights."
    )
    encoder: EncoderKind = setting(
        "convolutional",
        "Deepest encoder stage: a convolution stage, or the transformer of SAM (vit), which may start from its "
        "weights. SAM's ViT-B has vit_width 768, vit_depth 12, vit_heads 12, vit_neck 256; SAM-Med2D has the same, "
        "SAM-Med3D vit_neck 384.",
    )
    vit_width: int = setting(64, "Channels of a transformer token; a multiple of vit_heads.", low=1, high=4096)
    vit_depth: int = setting(4, "Transformer blocks.", low=1, high=64)
    vit_heads: int = setting(4, "Attention heads of a transformer block.", low=1, high=64)
    vit_neck: int = setting(64, "Channels that the transformer gives to the bottleneck.", low=1, high=4096)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.vit_width % self.vit_heads:
            raise InputError(
                f"vit_width {self.vit_width} cannot be shared by {self.vit_heads} attention heads.",
                "Choose a multiple of vit_heads.",
            )

    @property
    def of_network(self) -> tuple[object, ...]:
        """What the shape of the network follows from."""
        return self.adapter, self.encoder, self.vit_width, self.vit_depth, self.vit_heads, self.vit_neck
