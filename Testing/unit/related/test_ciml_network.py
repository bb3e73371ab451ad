"""CIML's network: two segmentors, what they lend each other, and what can be seen of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from VQBEGALLib.config import Config
from VQBEGALLib.network import VQBEGAL
from VQBEGALLib.related.ciml import UNKNOWN

TWO = "liver, spleen"


def images(seed: int) -> Tensor:
    return torch.rand(3, 1, 32, 32, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(autouse=True)
def without_gradient() -> object:
    with torch.no_grad():
        yield


@pytest.mark.parametrize("auxiliary", [False, True])
def test_each_modality_has_its_own_segmentor(
    auxiliary: bool, settings: Callable[..., Config], network: Callable[..., VQBEGAL]
) -> None:
    model = network(settings("ciml"))
    own, other = (model.encoder_m, model.encoder_c) if auxiliary else (model.encoder_c, model.encoder_m)
    decoder, message = (model.decoder_m, model.message_m) if auxiliary else (model.decoder, model.message_c)
    encoding = own(images(0))
    content = message(encoding.features, other(images(1)).features).content
    none = torch.zeros(3, dtype=torch.bool)
    paired, alone = (decoder(encoding.features, content, missing, encoding.skips) for missing in (none, ~none))
    assert torch.equal(model.segment(images(0), images(1), auxiliary=auxiliary), paired)
    assert torch.equal(model.segment(images(0), auxiliary=auxiliary), alone)
    assert not torch.equal(paired, alone)


@pytest.mark.parametrize("partner", [None, 1])
def test_strategies_see_what_the_primary_s_segmentor_says(
    partner: int | None, settings: Callable[..., Config], network: Callable[..., VQBEGAL]
) -> None:
    model = network(settings("ciml", organ=TWO, auxiliary_tasks="spleen"))
    other = None if partner is None else images(partner)
    *maps, skips = model.decoder_inputs(images(0), other)
    decoded = model.decoder.rise_from(model.decoder.enter(*maps), skips)
    assert torch.equal(model.segment(images(0), other), decoded)


def test_an_organ_that_is_no_task_is_lent_by_the_partner_s_segmentor(
    settings: Callable[..., Config], network: Callable[..., VQBEGAL]
) -> None:
    model = network(settings("ciml", organ=TWO, primary_tasks="liver", auxiliary_tasks="spleen"))
    assert model.needs_registered
    found = model.segment(images(0), images(1))
    *maps, skips = model.decoder_inputs(images(0), images(1))
    assert torch.equal(found[:, 0], model.decoder(*maps, skips)[:, 0])
    assert torch.equal(found[:, 1], model.segment(images(1), images(0), auxiliary=True)[:, 1])
    assert (found[:, 1] > UNKNOWN / 2).all()
    assert torch.equal(model.segment(images(1), images(0), auxiliary=True)[:, 0], found[:, 0])
    assert (model.segment(images(0))[:, 1] == UNKNOWN).all()


def test_nothing_is_lent_where_partners_need_not_be_registered(
    settings: Callable[..., Config], network: Callable[..., VQBEGAL]
) -> None:
    model = network(settings("ciml", organ=TWO, auxiliary_tasks="spleen"))
    assert not model.needs_registered
    assert (model.segment(images(0), images(1), auxiliary=True)[:, 0] == UNKNOWN).all()
    assert (model.segment(images(0), images(1)) > UNKNOWN / 2).all()


def test_segmenting_draws_nothing(settings: Callable[..., Config], network: Callable[..., VQBEGAL]) -> None:
    model = network(settings("ciml")).train()
    assert torch.equal(model.segment(images(0), images(1)), model.segment(images(0), images(1)))


@pytest.mark.parametrize("auxiliary", [False, True])
def test_attention_lies_on_the_slices_own_pixels(
    auxiliary: bool, settings: Callable[..., Config], network: Callable[..., VQBEGAL]
) -> None:
    model = network(settings("ciml"))
    found = model.attention(images(0), images(1), auxiliary=auxiliary)
    own, other = (model.encoder_m, model.encoder_c) if auxiliary else (model.encoder_c, model.encoder_m)
    message = (model.message_m if auxiliary else model.message_c)(own(images(0)).features, other(images(1)).features)
    assert found.taken.shape == found.read.shape == (3, 1, 32, 32)
    # each position covers 4 × 4 pixels: bilinear values at a block's middle average to its own
    middles = found.taken.unfold(2, 4, 4).unfold(3, 4, 4)[..., 1:3, 1:3].mean(dim=(4, 5))
    expected = functional.conv2d(functional.pad(message.taken, (1, 1, 1, 1), mode="replicate"), _mixing())
    torch.testing.assert_close(middles, expected)
    assert 0 < found.taken.min() < found.taken.max() < 1
    assert 0 <= found.read.min() < found.read.max() <= 1


def _mixing() -> Tensor:
    """Weights of a position and its neighbours in the mean of the four pixels at its middle."""
    line = torch.tensor([1.0, 14.0, 1.0]) / 16
    return (line[:, None] * line)[None, None]
