"""Dropout of the decoder: whole channels, from a given generator only, and nothing at all where it is off."""

from __future__ import annotations

import pytest
import torch

from VQBEGALLib.config import NetworkSettings
from VQBEGALLib.network import VQBEGAL, build
from VQBEGALLib.network.decoder import drop_channels


def network(**changes: object) -> VQBEGAL:
    return build(NetworkSettings(base_channels=4, stages=3, codes=16, code_dim=8, **changes), seed=0).eval()


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def decode(model: VQBEGAL, generator: torch.Generator | None) -> torch.Tensor:
    x = torch.rand(3, 1, 32, 32, generator=seeded(9))
    with torch.no_grad():
        encoding = model.encoder_c(x)
        z = model.quantize(encoding.features).z
        return model.decoder(z, z, torch.zeros(3, dtype=torch.bool), encoding.skips, generator=generator)


@pytest.mark.parametrize("rate", [0.2, 0.75])
def test_whole_channels_are_zeroed_and_the_others_scaled(rate: float) -> None:
    x = torch.rand(50, 40, 4, 4, generator=seeded(0)) + 0.5
    found = drop_channels(x, rate, seeded(1))
    kept = found.flatten(2).ne(0).all(dim=2)
    assert torch.equal(found.flatten(2).eq(0).all(dim=2), ~kept)
    assert torch.allclose(found[kept], x[kept] / (1 - rate))
    share = 1 - float(kept.float().mean())
    assert share == pytest.approx(rate, abs=4 * (rate * (1 - rate) / 2000) ** 0.5)
    assert len({tuple(row.tolist()) for row in kept}) == 50  # each sample has a mask of its own


def test_rate_0_draws_nothing_and_no_generator_drops_nothing() -> None:
    x, generator = torch.rand(2, 3, 4, 4), seeded(0)
    before = generator.get_state()
    assert drop_channels(x, 0.0, generator) is x
    assert torch.equal(generator.get_state(), before)
    assert drop_channels(x, 0.5, None) is x


def test_the_setting_changes_no_weight_and_no_answer_without_generator() -> None:
    plain, dropping = network(), network(dropout=0.5)
    weights = plain.state_dict()
    assert weights.keys() == dropping.state_dict().keys()
    assert all(torch.equal(weights[name], weight) for name, weight in dropping.state_dict().items())
    assert torch.equal(decode(plain, None), decode(dropping, None))
    assert torch.equal(decode(plain, None), decode(plain, seeded(0)))
    assert torch.equal(plain.segment(torch.ones(1, 1, 32, 32)), dropping.segment(torch.ones(1, 1, 32, 32)))


def test_one_generator_state_one_answer() -> None:
    model = network(dropout=0.5)
    state = torch.get_rng_state()
    first = decode(model, seeded(1))
    assert torch.equal(first, decode(model, seeded(1)))
    assert not torch.allclose(first, decode(model, seeded(2)), atol=1e-3)
    assert not torch.allclose(first, decode(model, None), atol=1e-3)
    assert torch.equal(torch.get_rng_state(), state)
