"""The loss of CMC: where its terms act, and what moves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import exp

import pytest
import torch

from VQBEGALLib.config import Config
from VQBEGALLib.network import build_network
from VQBEGALLib.related.cmc import CMC, cmc_loss
from VQBEGALLib.related.cmc.losses import cac_loss, csc_loss
from VQBEGALLib.training.batches import Batch
from VQBEGALLib.training.losses import segmentation_loss
from VQBEGALLib.training.step import StepLoss

Settings = Callable[..., Config]
Make = Callable[..., Batch]
SILENT = {"weight_seg": 0.0, "weight_vq": 0.0, "weight_disc": 0.0, "weight_commit": 0.0}


def step(model: CMC, batch: Batch, config: Config, progress: float = 1.0) -> StepLoss:
    return cmc_loss(model, batch, config, progress=progress, generator=torch.Generator().manual_seed(0))


def started(config: Config) -> CMC:
    model = build_network(config, seed=0).train()
    assert isinstance(model, CMC)
    return model


def flags(*values: bool) -> torch.Tensor:
    return torch.tensor(values)


def test_terms_are_those_of_segment(settings: Settings, make_batch: Make) -> None:
    config = settings("cmc", supervise="both")
    batch = make_batch(2, 2, aligned=flags(False, True, True, False), dropped=flags(False, True))
    model = started(config)
    terms = step(model, batch, config).terms
    model.eval()
    c, m = batch.primary, batch.auxiliary
    alone = [model.segment(c[1:2]), model.segment(m[1:2], auxiliary=True)]
    pairs = [model.segment(c[:1], m[:1]), model.segment(m[:1], c[:1], auxiliary=True)]
    seg = [
        segmentation_loss(torch.cat([pairs[k], alone[k]]), masks)
        for k, masks in enumerate((batch.masks, batch.auxiliary_masks))
    ]
    assert terms["seg"].item() == pytest.approx((seg[0] + seg[1]).item() / 2, rel=1e-5)
    cac = cac_loss(model.segment(c[2:3], m[2:3]), model.segment(m[2:3], c[2:3], auxiliary=True))
    assert terms["cac"].item() == pytest.approx(cac.item(), rel=1e-5)
    csc = csc_loss(model.encoder_c(c).features, model.encoder_m(m).features, batch.aligned).mean()
    assert terms["csc"].item() == pytest.approx(csc.item(), rel=1e-5)
    assert terms["aligned"].item() == 0.5
    assert terms["gamma"].item() == 0


@pytest.mark.parametrize("progress", [0.0, 0.15, 1.0])
def test_weights_rise_over_the_ramp(settings: Settings, make_batch: Make, progress: float) -> None:
    config = settings("cmc", weight_csc=2.0, weight_cac=3.0, **SILENT)
    found = step(started(config), make_batch(aligned=torch.ones(4, dtype=torch.bool)), config, progress)
    share = exp(-5 * (1 - min(1.0, progress / 0.3)) ** 2)
    expected = share * (2 * found.terms["csc"] + 3 * found.terms["cac"])
    assert found.total.item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {"aligned": torch.zeros(4, dtype=torch.bool)},
        {"aligned": torch.tensor([True, True, False, False])},
        {"aligned": torch.ones(4, dtype=torch.bool), "present": torch.tensor([True, True, False, False])},
    ],
    ids=["unregistered", "labelled only", "no partner"],
)
def test_cac_is_silent_without_unlabelled_aligned_pairs(
    settings: Settings, make_batch: Make, changes: dict[str, torch.Tensor]
) -> None:
    config = settings("cmc", weight_csc=0.0, weight_cac=5.0, **SILENT)
    model = started(config)
    found = step(model, make_batch(**changes), config)
    found.total.backward()
    assert found.terms["cac"].item() == 0
    assert not any(weight.grad.any() for weight in model.parameters() if weight.grad is not None)


def test_cac_moves_both_encoders_fusion_and_decoder(settings: Settings, make_batch: Make) -> None:
    config = settings("cmc", weight_csc=0.0, **SILENT)
    model = started(config)
    step(model, make_batch(aligned=torch.ones(4, dtype=torch.bool)), config).total.backward()
    for part in (model.encoder_c.stages[0], model.encoder_m.stages[0], model.fusion.convolutions, model.decoder.head):
        assert any(weight.grad is not None and weight.grad.any() for weight in part.parameters())
    assert model.fusion.attention_c.gamma.grad.abs() > 0


def test_csc_moves_both_encoders_alone(settings: Settings, make_batch: Make) -> None:
    config = settings("cmc", weight_cac=0.0, **SILENT)
    model = started(config)
    step(model, make_batch(present=flags(False, True, True, True)), config).total.backward()
    inside = {id(weight) for weight in model.encoder_parameters()}
    moved = {id(weight) for weight in model.parameters() if weight.grad is not None and weight.grad.any()}
    assert moved
    assert moved <= inside
    for encoder in (model.encoder_c, model.encoder_m):
        assert encoder.stages[0].layers[0].weight.grad.any()


def test_terms_of_weight_0_are_logged_and_move_nothing(settings: Settings, make_batch: Make) -> None:
    config = settings("cmc", weight_csc=0.0, weight_cac=0.0, **SILENT)
    model = started(config)
    found = step(model, make_batch(aligned=torch.ones(4, dtype=torch.bool)), config)
    found.total.backward()
    assert found.terms["csc"] > 0
    assert found.terms["cac"] > 0
    assert not any(weight.grad.any() for weight in model.parameters() if weight.grad is not None)


def test_absent_partners_do_not_reach_the_loss(settings: Settings, make_batch: Make) -> None:
    config = settings("cmc", weight_disc=0.0)
    batch = make_batch(present=flags(True, False, True, False))
    noise = torch.rand(batch.auxiliary.shape, generator=torch.Generator().manual_seed(9))
    other = torch.where(batch.present[:, None, None, None], batch.auxiliary, noise)
    found = [step(started(config), each, config).total for each in (batch, replace(batch, auxiliary=other))]
    assert torch.equal(*found)
