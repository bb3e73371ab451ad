"""What holds for the network and the loss of every related method."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from Testing.unit.related.conftest import METHODS
from VQBEGALLib.config import Config
from VQBEGALLib.network import VQBEGAL, build_network
from VQBEGALLib.network.storage import load_model, save_model
from VQBEGALLib.related import ciml, cmc, cmems
from VQBEGALLib.training.batches import Batch
from VQBEGALLib.training.step import step_loss

CLASS = {"cmc": cmc.CMC, "ciml": ciml.CIML, "cmems": cmems.CMEMS}


def images(seed: int, count: int = 3) -> torch.Tensor:
    return torch.rand(count, 1, 32, 32, generator=torch.Generator().manual_seed(seed))


def loss_of(model: VQBEGAL, batch: Batch, config: Config, progress: float = 0.5) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return step_loss(model, batch, config, progress=progress, generator=generator).total


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("organ", ["liver", "liver, spleen, left kidney"])
def test_a_network_is_its_configuration_s(method: str, organ: str, settings: Callable[..., Config]) -> None:
    config = settings(method, organ=organ)
    model = build_network(config, seed=3)
    assert type(model) is CLASS[method]
    assert model.segment(images(0), images(1)).shape == (3, len(config.organs), 32, 32)
    assert model.segment(images(0)).shape == (3, len(config.organs), 32, 32)


@pytest.mark.parametrize("method", METHODS)
def test_a_network_comes_back_from_its_file(method: str, settings: Callable[..., Config], tmp_path: Path) -> None:
    config = settings(method, organ="liver, spleen")
    model = build_network(config, seed=3).eval()
    save_model(tmp_path / "model.safetensors", model, config)
    loaded, found = load_model(tmp_path / "model.safetensors")
    assert found == config
    assert type(loaded) is CLASS[method]
    assert torch.equal(loaded.segment(images(0), images(1)), model.segment(images(0), images(1)))


@pytest.mark.parametrize("method", METHODS)
def test_strategies_see_what_the_network_segments(
    method: str, settings: Callable[..., Config], network: Callable[..., VQBEGAL]
) -> None:
    model = network(settings(method))
    *maps, skips = model.decoder_inputs(images(0))
    decoded = model.decoder.rise_from(model.decoder.enter(*maps), skips)
    assert torch.equal(model.segment(images(0)), decoded)


@pytest.mark.parametrize("method", METHODS)
def test_codebook_and_discriminator_look_on(
    method: str, settings: Callable[..., Config], make_batch: Callable[..., Batch]
) -> None:
    changes = {"codebook_update": "gradient", "discriminator_gradient": "cooperative", "weight_seg": 0.0}
    own = {"cmc": {"weight_csc": 0.0}, "ciml": {"beta": 0.0}, "cmems": {}}[method]
    config = settings(method, **changes, **own)
    model = build_network(config, seed=0).train()
    encoding = model.encode_pairs(
        images(0), images(1), learn=torch.ones(6, dtype=torch.bool), generator=torch.Generator().manual_seed(0)
    )
    score = model.discriminator.uncertainty(encoding.z_c, encoding.z_m).sum() + encoding.commit + encoding.vq
    score.backward()
    assert all(weight.grad is None for weight in model.encoder_parameters())
    assert any(weight.grad is not None for weight in model.discriminator.parameters())


@pytest.mark.parametrize("method", METHODS)
def test_a_loss_is_finite_and_moves_the_segmenting_network(
    method: str, settings: Callable[..., Config], make_batch: Callable[..., Batch]
) -> None:
    config = settings(method, organ="liver, spleen")
    model = build_network(config, seed=0).train()
    loss = loss_of(model, make_batch(classes=2), config)
    loss.backward()
    assert loss.isfinite()
    for part in (model.encoder_c, model.decoder):
        grads = [weight.grad for weight in part.parameters() if weight.grad is not None]
        assert grads
        assert all(grad.isfinite().all() for grad in grads)
        assert any(grad.abs().max() > 0 for grad in grads)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("missing", ["partners", "unlabelled"])
def test_a_batch_may_lack_partners_or_unlabelled_pairs(
    method: str, missing: str, settings: Callable[..., Config], make_batch: Callable[..., Batch]
) -> None:
    config = settings(method)
    model = build_network(config, seed=0).train()
    batch = make_batch(2, 0) if missing == "unlabelled" else make_batch(present=torch.zeros(4, dtype=torch.bool))
    loss = loss_of(model, batch, config)
    loss.backward()
    assert loss.isfinite()
    assert all(weight.grad.isfinite().all() for weight in model.parameters() if weight.grad is not None)


@pytest.mark.parametrize("method", METHODS)
def test_a_step_is_the_same_for_the_same_draws(
    method: str, settings: Callable[..., Config], make_batch: Callable[..., Batch]
) -> None:
    config = settings(method)
    found = [loss_of(build_network(config, seed=0).train(), make_batch(), config) for _ in range(2)]
    assert torch.equal(*found)
