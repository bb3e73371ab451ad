"""CMC's encoders: those of VQ-BEGAL with an adapter after each stage, or SAM's transformer as the deepest stage."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn
from torch.nn import functional

from VQBEGALLib.config import Config
from VQBEGALLib.network.blocks import SLOPE, ConvBlock
from VQBEGALLib.network.encoder import Encoder, Encoding, Projection, build_encoders
from VQBEGALLib.related.cmc.vit import ImageEncoder


class Adapter(nn.Module):
    """Residual bottleneck that starts as the identity: x + up(activation(down(x))), the weights of ``up`` at 0.

    Args:
        channels: of its input and output.
        width: of the bottleneck.

    Source:
        Houlsby et al. (2019), section 2.1; in the encoders of Zhou et al. (2024).
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(channels, width, 1)
        self.up = nn.Conv2d(width, channels, 1)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(cast(Tensor, self.up.bias))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, H, W)."""
        y: Tensor = x + self.up(functional.leaky_relu(self.down(x), SLOPE))
        return y


class AdaptedEncoder(Encoder):
    """An encoder whose stages each end with an adapter of this modality's own, also where stages are shared."""

    def __init__(self, encoder: Encoder, adapters: list[nn.Module]) -> None:
        super().__init__(list(cast("list[ConvBlock]", encoder.stages)), encoder.projection)
        self.adapters = nn.ModuleList(adapters)

    def forward(self, x: Tensor) -> Encoding:
        """Encode slices x, (B, 1, H, W)."""
        outputs: list[Tensor] = []
        for index, (stage, adapter) in enumerate(zip(self.stages, self.adapters, strict=True)):
            x = adapter(stage(functional.max_pool2d(x, 2) if index else x))  # (B, C_s, H / 2^s, W / 2^s)
            outputs.append(x)
        return Encoding(tuple(outputs[:-1]), self.projection(x))


class TransformerEncoder(Encoder):
    """Convolution stages for the skips; the features are those of SAM's image encoder, which sees the slice itself.

    Args:
        stages: all stages but the deepest.
        adapters: one a stage.
        vit: the transformer; may belong to the other modality's encoder as well.
        vit_adapters: one a transformer block.
        projection: transformer to codebook dimension.
    """

    def __init__(
        self,
        stages: list[ConvBlock],
        adapters: list[nn.Module],
        vit: ImageEncoder,
        vit_adapters: list[nn.Module],
        projection: Projection,
    ) -> None:
        super().__init__(stages, projection)
        self.adapters = nn.ModuleList(adapters)
        self.vit = vit
        self.vit_adapters = nn.ModuleList(vit_adapters)

    def forward(self, x: Tensor) -> Encoding:
        """Encode slices x, (B, 1, H, W)."""
        deep = self.vit(x, self.vit_adapters)  # (B, neck, H / 16, W / 16)
        outputs: list[Tensor] = []
        for index, (stage, adapter) in enumerate(zip(self.stages, self.adapters, strict=True)):
            x = adapter(stage(functional.max_pool2d(x, 2) if index else x))
            outputs.append(x)
        size = (x.shape[2] // 2, x.shape[3] // 2)
        if deep.shape[2:] != size:
            deep = functional.interpolate(deep, size=size, mode="bilinear", align_corners=False)
        return Encoding(tuple(outputs), self.projection(deep))


def build_adapted_encoders(config: Config) -> tuple[Encoder, Encoder]:
    """Return E_c and E_m; what ``encoder_sharing`` lets both hold is shared, their adapters never are."""
    settings, width = config.cmc, config.cmc.adapter
    plain = build_encoders(config.network)

    def adapters(channels: list[int]) -> list[nn.Module]:
        return [Adapter(count, width) if width else nn.Identity() for count in channels]

    stages = [config.network.base_channels * 2**stage for stage in range(config.network.stages)]
    if settings.encoder == "convolutional":
        primary, auxiliary = (AdaptedEncoder(encoder, adapters(stages)) for encoder in plain)
        return primary, auxiliary

    def transformer() -> tuple[ImageEncoder, Projection]:
        return ImageEncoder(config), Projection(settings.vit_neck, config.network.code_dim)

    first = transformer()
    second = first if config.network.encoder_sharing == "deep" else transformer()

    def joined(encoder: Encoder, vit: ImageEncoder, projection: Projection) -> TransformerEncoder:
        fine = list(cast("list[ConvBlock]", encoder.stages))[:-1]
        return TransformerEncoder(
            fine, adapters(stages[:-1]), vit, adapters([settings.vit_width] * settings.vit_depth), projection
        )

    return joined(plain[0], *first), joined(plain[1], *second)
