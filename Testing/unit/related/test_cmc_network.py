"""CMC's attention, adapters and transformer, and what freezing leaves to learn."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from VQBEGALLib.config import Config
from VQBEGALLib.errors import InputError
from VQBEGALLib.network import VQBEGAL, build_network
from VQBEGALLib.related.cmc import CMC
from VQBEGALLib.related.cmc.attention import ChannelAttention
from VQBEGALLib.related.cmc.vit import Attention

VIT = {"encoder": "vit", "vit_width": 12, "vit_depth": 2, "vit_heads": 2, "vit_neck": 6}
Settings = Callable[..., Config]
Network = Callable[..., VQBEGAL]


def images(seed: int, count: int = 2) -> torch.Tensor:
    return torch.rand(count, 1, 32, 32, generator=torch.Generator().manual_seed(seed))


def features(seed: int) -> torch.Tensor:
    return torch.randn(2, 8, 4, 4, generator=torch.Generator().manual_seed(seed))


def test_attention_with_gamma_0_is_the_identity() -> None:
    attention = ChannelAttention()
    assert torch.equal(attention(features(0)), features(0))
    attention(features(0)).square().sum().backward()
    assert attention.gamma.grad is not None
    assert attention.gamma.grad.abs() > 0


def test_attention_looks_at_the_channels_that_resemble_least() -> None:
    attention, x = ChannelAttention(), features(0)
    torch.nn.init.constant_(attention.gamma, 0.5)
    for sample, found in zip(x, attention(x), strict=True):
        rows = sample.reshape(8, 16)
        for channel in range(8):
            gram = [float(rows[channel] @ rows[other]) for other in range(8)]
            weights = torch.tensor([max(gram) - value for value in gram]).softmax(0)
            expected = rows[channel] + 0.5 * sum(w * row for w, row in zip(weights, rows, strict=True))
            torch.testing.assert_close(found[channel].flatten(), expected, rtol=1e-5, atol=1e-5)


def test_attention_weighs_in_32_bits_whatever_the_autocast() -> None:
    """Channels that differ beside much that they have in common: 16 bits would hold the common part alone."""
    attention, x = ChannelAttention(), features(0)
    x[:, :, :2] = 50
    torch.nn.init.constant_(attention.gamma, 1.0)
    expected = attention(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = attention(x)
    torch.testing.assert_close(found[:, :, 2:], expected[:, :, 2:], rtol=0.02, atol=0.05)


def test_both_modalities_get_the_same_fused_map(settings: Settings, network: Network) -> None:
    model = network(settings("cmc"))
    own, fused = model.join(features(0), features(1), auxiliary=False)
    other, again = model.join(features(1), features(0), auxiliary=True)
    assert torch.equal(own, features(0))
    assert torch.equal(other, features(1))
    assert torch.equal(fused, again)
    assert not torch.allclose(fused, model.join(features(1), features(0), auxiliary=False)[1])


@pytest.mark.parametrize("changes", [{}, VIT], ids=["convolutional", "vit"])
def test_adapters_start_as_the_identity(changes: dict[str, object], settings: Settings, network: Network) -> None:
    model, plain = network(settings("cmc", **changes)), network(settings("cmc", adapter=0, **changes))
    missing = model.load_state_dict(plain.state_dict(), strict=False).missing_keys
    assert missing
    assert all("adapters" in name for name in missing)
    assert torch.equal(model.segment(images(0), images(1)), plain.segment(images(0), images(1)))


def test_adapters_are_each_modality_s_own_where_stages_are_shared(settings: Settings, network: Network) -> None:
    model = network(settings("cmc"))
    assert model.encoder_c.stages[-1] is model.encoder_m.stages[-1]
    assert not {id(w) for w in model.encoder_c.adapters.parameters()} & {
        id(w) for w in model.encoder_m.adapters.parameters()
    }


@pytest.mark.parametrize("changes", [{}, VIT], ids=["convolutional", "vit"])
def test_freezing_leaves_the_adapters_to_learn(changes: dict[str, object], settings: Settings) -> None:
    learning = [
        {name for name, weight in build_network(config, seed=0).named_parameters() if weight.requires_grad}
        for config in (settings("cmc", **changes), settings("cmc", freeze_encoders=True, **changes))
    ]
    assert learning[1] < learning[0]
    for name in learning[0]:
        frozen = name.startswith("encoder_") and "adapters" not in name
        assert (name in learning[1]) != frozen, name


@pytest.mark.parametrize("stages", [2, 3, 5])
@pytest.mark.parametrize("sharing", ["deep", "none"])
def test_the_transformer_takes_the_place_of_the_deepest_stage(
    stages: int, sharing: str, settings: Settings, network: Network
) -> None:
    model = network(settings("cmc", stages=stages, encoder_sharing=sharing, **VIT))
    assert isinstance(model, CMC)
    side = 32 // 2 ** (stages - 1)
    encoding = model.encoder_c(images(0))
    assert encoding.features.shape == (2, 8, side, side)
    assert len(encoding.skips) == stages - 1
    assert (model.encoder_c.vit is model.encoder_m.vit) == (sharing == "deep")
    assert model.segment(images(0), images(1)).shape == (2, 1, 32, 32)


def test_attention_adds_relative_positions_as_another_library_does() -> None:
    generator = torch.Generator().manual_seed(0)
    attention = Attention(8, 2, 3)
    for weight in (attention.rel_pos_h, attention.rel_pos_w):
        torch.nn.init.normal_(weight, generator=generator)
    x = torch.randn(2, 3, 3, 8, generator=generator)
    q, k, v = attention.qkv(x).reshape(2, 9, 3, 2, 4).permute(2, 0, 3, 1, 4).reshape(3, 4, 9, 4).unbind()
    logits = (q / 2) @ k.transpose(1, 2)
    utilities = pytest.importorskip("monai.networks.blocks.attention_utils")
    logits = utilities.add_decomposed_rel_pos(logits, q, [attention.rel_pos_h, attention.rel_pos_w], (3, 3), (3, 3))
    y = (logits.softmax(2) @ v).reshape(2, 2, 9, 4).transpose(1, 2).reshape(2, 3, 3, 8)
    torch.testing.assert_close(attention(x), attention.proj(y), rtol=1e-5, atol=1e-5)


def test_the_transformer_does_not_see_brightness_and_contrast(settings: Settings, network: Network) -> None:
    vit = network(settings("cmc", adapter=0, **VIT)).encoder_c.vit
    found = [vit(x, [torch.nn.Identity()] * 2) for x in (images(0), 0.5 * images(0) + 0.3)]
    torch.testing.assert_close(*found, rtol=1e-3, atol=1e-3)


def test_heads_have_to_share_the_width(settings: Settings) -> None:
    with pytest.raises(InputError, match="vit_width 10 cannot be shared by 4 attention heads"):
        settings("cmc", vit_width=10)
