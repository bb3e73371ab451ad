"""CMEMS' two networks: the first is the plain network, the second its equal with other weights."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from VQBEGALLib.config import Config
from VQBEGALLib.network import VQBEGAL, build_network
from VQBEGALLib.related.cmems import CMEMS
from VQBEGALLib.related.cmems.network import decode
from VQBEGALLib.selection.scoring import entropies

Settings = Callable[..., Config]


def images(seed: int, count: int = 3) -> torch.Tensor:
    return torch.rand(count, 1, 32, 32, generator=torch.Generator().manual_seed(seed))


def made(config: Config, seed: int = 0) -> CMEMS:
    model = build_network(config, seed=seed).eval()
    assert isinstance(model, CMEMS)
    return model


def test_the_first_network_is_the_plain_one(settings: Settings) -> None:
    model, plain = made(settings("cmems")), build_network(settings("plain"), seed=1).eval()
    shared = {name: weight for name, weight in model.state_dict().items() if not name.startswith(("peer", "codebook"))}
    plain.load_state_dict(shared)
    assert torch.equal(model.segment(images(0)), plain.segment(images(0)))


def test_the_partner_is_not_looked_at(settings: Settings) -> None:
    model = made(settings("cmems"))
    assert torch.equal(model.segment(images(0), images(1)), model.segment(images(0)))
    assert model.decoder_inputs(images(0), images(1))[2].all(), "the partner counts as missing"


def test_segmenting_is_decoding_an_encoding(settings: Settings) -> None:
    model = made(settings("cmems", organ="liver, spleen"))
    assert torch.equal(model.segment(images(0)), decode(model.decoder, model.encoder_c(images(0))))
    auxiliary = decode(model.decoder, model.encoder_m(images(0)))
    assert torch.equal(model.segment(images(0), auxiliary=True), auxiliary)


def test_the_second_network_has_the_same_sizes_and_other_weights(settings: Settings) -> None:
    model = made(settings("cmems"))
    for first, second in ((model.encoder_c, model.peer.encoder), (model.decoder, model.peer.decoder)):
        one, other = dict(first.named_parameters()), dict(second.named_parameters())
        assert {name: weight.shape for name, weight in one.items()} == {
            name: weight.shape for name, weight in other.items()
        }
        drawn = [name for name, weight in one.items() if weight.dim() == 4]
        assert drawn and not any(torch.equal(one[name], other[name]) for name in drawn)
    shared = {id(weight) for part in (model.encoder_c, model.decoder) for weight in part.parameters()}
    assert not shared & {id(weight) for weight in model.peer.parameters()}


def test_the_score_is_finite_where_the_auxiliary_encoder_was_never_trained(settings: Settings) -> None:
    for changes in ({}, {"encoder_sharing": "none"}, {"quantize": False}, {"discriminator_input": "ordered_pair"}):
        model: VQBEGAL = made(settings("cmems", **changes))
        scores = entropies(model, images(0), images(1), torch.tensor([True, False, True]))
        assert scores.isfinite().all()


@pytest.mark.parametrize("rate", [0.25, 0.5])
def test_feature_drop_zeroes_whole_channels_at_every_level(settings: Settings, rate: float) -> None:
    model = made(settings("cmems", base_channels=8, code_dim=16))
    given: dict[str, tuple[torch.Tensor, ...]] = {}

    def keep(_: object, inputs: tuple[object, ...]) -> None:
        z, _partner, _missing, skips = inputs
        given["maps"] = (z, *skips)  # type: ignore[misc]

    model.decoder.register_forward_pre_hook(keep)
    encoding = model.encoder_c(images(0, 64))
    decode(model.decoder, encoding)
    whole = given["maps"]
    decode(model.decoder, encoding, drop=rate, generator=torch.Generator().manual_seed(0))
    assert len(given["maps"]) == model.settings.stages
    for before, after in zip(whole, given["maps"], strict=True):
        gone = (after == 0).flatten(2).all(dim=2)  # (B, C)
        kept = ~gone[:, :, None, None].expand_as(after)
        assert torch.allclose(after[kept], before[kept] / (1 - rate))
        share = float(gone.float().mean())
        assert abs(share - rate) < 4 * (rate * (1 - rate) / gone.numel()) ** 0.5, "within four standard errors"
