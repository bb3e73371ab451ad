"""Parameters and memory: against counts by hand, and against an allocation of known size."""

from __future__ import annotations

import pytest
import torch

import VQBEGALLib.related  # noqa: F401 – enters the related systems' networks
from VQBEGALLib.benchmark.cost import MIB, TrainingMemory, parameters_trained, parameters_used
from VQBEGALLib.config import Config, preset
from VQBEGALLib.network import build_network

TINY = {"size": 32, "base_channels": 4, "stages": 3, "codes": 16, "code_dim": 8}
CPU = torch.device("cpu")


def config(**changes: object) -> Config:
    """Settings of a tiny network."""
    return preset("tiny", {**TINY, **changes})


def count(*modules: torch.nn.Module) -> int:
    """How many weights modules have, shared ones once."""
    return sum(weight.numel() for weight in torch.nn.ModuleList(modules).parameters())


def test_without_partner_one_encoder_and_the_decoder_segment_a_slice():
    settings = config(method="plain", pairing="none")
    net = build_network(settings, seed=0)
    assert parameters_used(net, settings) == count(net.encoder_c, net.decoder)
    assert parameters_used(net, config(method="plain")) == count(net.encoder_c, net.encoder_m, net.decoder)


def test_the_codebook_counts_where_a_slice_passes_through_it():
    with_codes, without = config(), config(method="plain")
    difference = parameters_used(build_network(with_codes, seed=0), with_codes) - parameters_used(
        build_network(without, seed=0), without
    )
    assert difference == 16 * 8


@pytest.mark.parametrize("method", ["default", "plain", "cmc", "ciml", "cmems"])
def test_discriminator_and_watching_codebook_segment_nothing_and_the_network_stays_as_it_was(method):
    settings = config(method=method, organ="liver, spleen")
    net = build_network(settings, seed=0)
    before = {name: (weight.clone(), weight.requires_grad) for name, weight in net.named_parameters()}
    used = parameters_used(net, settings)
    idle = count(net.discriminator) + (count(net.codebook) if method in ("cmc", "ciml", "cmems") else 0)
    assert 0 < used <= count(net) - idle
    for name, weight in net.named_parameters():
        assert torch.equal(weight, before[name][0]) and weight.requires_grad == before[name][1] and weight.grad is None


def test_only_weights_that_moved_were_trained():
    settings = config(seed=7)
    net = build_network(settings, seed=7)
    assert parameters_trained(net, settings) == 0
    with torch.no_grad():
        net.codebook.entries.add_(1.0)  # by its moving average
        weight = next(net.decoder.parameters())
        weight.add_(1.0)
        frozen = next(net.encoder_c.parameters())
        frozen.add_(1.0)
    frozen.requires_grad_(False)  # as weights from a file that stay
    assert parameters_trained(net, settings) == 16 * 8 + weight.numel()


def test_an_allocation_is_seen_and_what_was_there_before_is_not():
    before = torch.ones(8 * MIB)
    with TrainingMemory(CPU) as memory:
        held = torch.ones(16 * MIB)
        del held
    assert memory.mib == pytest.approx(64, abs=8)
    with TrainingMemory(CPU) as memory:
        before.sum()
    assert memory.mib == pytest.approx(0, abs=4)


def test_a_device_that_does_not_tell_gives_nothing():
    with TrainingMemory(torch.device("meta")) as memory:
        pass
    assert memory.mib is None
