"""CIML's loss: who learns what, from which labels, and at what price."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from VQBEGALLib.config import Config
from VQBEGALLib.errors import InputError
from VQBEGALLib.events import Reporter
from VQBEGALLib.network import VQBEGAL, build_network
from VQBEGALLib.related.ciml import CIML, UNKNOWN
from VQBEGALLib.training import train
from VQBEGALLib.training.batches import Batch
from VQBEGALLib.training.losses import segmentation_loss
from VQBEGALLib.training.step import StepLoss, step_loss

TWO = "liver, spleen"
YES, NO = torch.ones(2, dtype=torch.bool), torch.zeros(2, dtype=torch.bool)


def loss_of(model: VQBEGAL, batch: Batch, config: Config, progress: float = 1.0) -> StepLoss:
    return step_loss(model, batch, config, progress=progress, generator=torch.Generator().manual_seed(0))


def noises(model: CIML, batch: Batch) -> tuple[Tensor, Tensor]:
    """The draws of a step's two samples, where the codebook draws nothing."""
    generator = torch.Generator().manual_seed(0)
    features = model.encoder_c(batch.primary[: len(batch.masks)]).features
    return torch.randn(features.shape, generator=generator), torch.randn(features.shape, generator=generator)


def grads(part: torch.nn.Module) -> list[Tensor]:
    return [weight.grad for weight in part.parameters() if weight.grad is not None]


def test_the_loss_by_hand(settings: Callable[..., Config], make_batch: Callable[..., Batch]) -> None:
    config = settings("ciml", quantize=False, supervise="both", weight_disc=0.0, beta=0.5, kl_warm_up=0.4)
    model = build_network(config, seed=0).train()
    batch = make_batch(2, 2)
    noise, noise_m = noises(model, batch)
    own, other = (
        encode(images[:2]) for encode, images in ((model.encoder_c, batch.primary), (model.encoder_m, batch.auxiliary))
    )
    heard = model.message_c(own.features, other.features, noise)
    told = model.message_m(other.features, own.features, noise_m)
    seg = segmentation_loss(model.decoder(own.features, heard.content, NO, own.skips), batch.masks)
    seg_m = segmentation_loss(model.decoder_m(other.features, told.content, NO, other.skips), batch.auxiliary_masks)
    found = loss_of(model, batch, config, progress=0.1)
    expected = 5 * (seg + seg_m) + 0.5 * 0.25 * (heard.kl.mean() + told.kl.mean())
    torch.testing.assert_close(found.total, expected)
    torch.testing.assert_close(found.terms["kl"], heard.kl.mean().detach())
    torch.testing.assert_close(found.terms["kl_auxiliary"], told.kl.mean().detach())
    torch.testing.assert_close(found.terms["gate"], heard.gate.mean().detach())


def test_only_messages_in_use_are_charged(settings: Callable[..., Config], make_batch: Callable[..., Batch]) -> None:
    config = settings("ciml", quantize=False, supervise="both")
    model = build_network(config, seed=0).train()
    batch = make_batch(3, 0, dropped=torch.tensor([True, False, False]), present=torch.tensor([True, True, False]))
    noise, _ = noises(model, batch)
    features = model.encoder_c(batch.primary).features, model.encoder_m(batch.auxiliary).features
    expected = model.message_c(*features, noise).kl[1]
    torch.testing.assert_close(loss_of(model, batch, config).terms["kl"], expected.detach())


@pytest.mark.parametrize("dropped", [True, False])
def test_where_no_message_is_used_there_is_no_price(
    dropped: bool, settings: Callable[..., Config], make_batch: Callable[..., Batch]
) -> None:
    config = settings("ciml", beta=10.0)
    model = build_network(config, seed=0).train()
    batch = make_batch(dropped=YES) if dropped else make_batch(present=torch.zeros(4, dtype=torch.bool))
    loss = loss_of(model, batch, config)
    loss.total.backward()
    assert float(loss.terms["kl"]) == float(loss.terms["gate"]) == 0
    assert not any(grad.any() for grad in grads(model.message_c))


@pytest.mark.parametrize(
    ("progress", "warm_up", "expected"), [(0, 0.5, 0), (0.25, 0.5, 1), (0.5, 0.5, 2), (1, 0.5, 2), (0, 0, 2)]
)
def test_the_weight_of_the_price_rises_linearly(
    progress: float, warm_up: float, expected: float, settings: Callable[..., Config]
) -> None:
    assert settings("ciml", beta=2.0, kl_warm_up=warm_up).ciml.weight(progress) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("supervise", "labelled", "aligned", "teacher"),
    [
        ("primary", True, False, None),
        ("both", True, False, "own"),
        ("both", False, False, None),
        ("primary", True, True, "primary's"),
        ("both", True, True, "own"),
        ("both", False, True, "primary's"),
    ],
)
def test_who_teaches_the_auxiliary_s_segmentor(
    supervise: str,
    labelled: bool,
    aligned: bool,
    teacher: str | None,
    settings: Callable[..., Config],
    make_batch: Callable[..., Batch],
) -> None:
    config = settings("ciml", quantize=False, supervise=supervise)
    model = build_network(config, seed=0).train()
    batch = make_batch(2, 0, auxiliary_labelled=YES & labelled, aligned=YES & aligned)
    _, noise = noises(model, batch)
    other = model.encoder_m(batch.auxiliary)
    content = model.message_m(other.features, model.encoder_c(batch.primary).features, noise).content
    logits = model.decoder_m(other.features, content, NO, other.skips)
    masks = {"own": batch.auxiliary_masks, "primary's": batch.masks}
    expected = segmentation_loss(logits, masks[teacher]).detach() if teacher else torch.zeros(())
    loss = loss_of(model, batch, config)
    torch.testing.assert_close(loss.terms["seg_auxiliary"], expected)
    loss.total.backward()
    assert bool(grads(model.decoder_m)) == (teacher is not None)


def test_a_segmentor_learns_its_tasks_only(settings: Callable[..., Config], make_batch: Callable[..., Batch]) -> None:
    config = settings("ciml", organ=TWO, primary_tasks="spleen", auxiliary_tasks="liver", weight_decay=0.5)
    model = build_network(config, seed=0).train()
    batch = make_batch(classes=2, aligned=torch.ones(4, dtype=torch.bool))
    loss_of(model, batch, config).total.backward()
    for decoder, own, other in ((model.decoder, 1, 0), (model.decoder_m, 0, 1)):
        assert decoder.head.weight.grad[own].any()
        assert not decoder.head.weight.grad[other].any()
        assert not decoder.head.bias.grad[other].any()
    masks = batch.masks.clone()
    masks[:, 0] = 1 - masks[:, 0]
    changed = loss_of(model, make_batch(classes=2, masks=masks, aligned=batch.aligned), config).terms
    again = loss_of(model, batch, config).terms
    assert torch.equal(changed["seg"], again["seg"])
    assert not torch.equal(changed["seg_auxiliary"], again["seg_auxiliary"])


def test_training_keeps_what_is_no_task_unknown(
    settings: Callable[..., Config], make_batch: Callable[..., Batch]
) -> None:
    config = settings("ciml", organ=TWO, auxiliary_tasks="spleen", supervise="both")
    model = build_network(config, seed=0).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=1e-4)
    for seed in range(3):
        optimizer.zero_grad()
        loss_of(model, make_batch(classes=2, seed=seed), config).total.backward()
        optimizer.step()
    with torch.no_grad():
        found = model.eval().segment(make_batch().primary, auxiliary=True)
    torch.testing.assert_close(found[:, 0], torch.full((4, 32, 32), UNKNOWN), rtol=1e-4, atol=0)
    assert (found[:, 1] > UNKNOWN / 2).all()


@pytest.mark.parametrize(
    ("tasks", "problem"),
    [
        ({"primary_tasks": "kidney"}, "primary_tasks names 'kidney', which the study does not segment"),
        ({"auxiliary_tasks": "spleen, Liver"}, "auxiliary_tasks names 'Liver', which the study does not segment"),
        ({"primary_tasks": "liver", "auxiliary_tasks": "liver"}, "No segmentor has spleen among its tasks"),
    ],
)
def test_tasks_that_do_not_fit_the_organs_are_refused(
    tasks: dict[str, str], problem: str, settings: Callable[..., Config]
) -> None:
    with pytest.raises(InputError, match=problem):
        settings("ciml", organ=TWO, **tasks)


def test_tasks_are_text() -> None:
    with pytest.raises(InputError, match="primary_tasks is 3"):
        Config.from_json({"ciml": {"primary_tasks": 3}})


def test_a_task_map(settings: Callable[..., Config]) -> None:
    config = settings("ciml", organ="liver, spleen, aorta", primary_tasks=" aorta,liver ")
    assert config.ciml.task_map(config.organs) == ((True, False, True), (True, True, True))
    assert settings("ciml").ciml.task_map(("liver",)) == ((True,), (True,))


@pytest.mark.parametrize("aligned", ["none", "some", "all"])
def test_an_organ_left_to_the_auxiliary_needs_registered_pairs(aligned: str, tiny_cohort: Callable[..., Any]) -> None:
    cohort = tiny_cohort(organ=TWO, method="ciml", primary_tasks="liver", steps=1)
    kept = {"none": 0, "some": 3, "all": len(cohort.examples)}[aligned]
    examples = [
        replace(example, pair=replace(example.pair, aligned=place < kept))
        for place, example in enumerate(cohort.examples)
    ]

    def begin() -> None:
        train(
            examples,
            cohort.rest,
            cohort.reader,
            cohort.config,
            round_index=0,
            device=torch.device("cpu"),
            reporter=Reporter(),
        )

    if aligned == "all":
        begin()
    else:
        with pytest.raises(InputError, match="primary_tasks leaves spleen to the MR"):
            begin()


def test_the_price_keeps_its_precision_in_16_bits(
    settings: Callable[..., Config], make_batch: Callable[..., Batch]
) -> None:
    config = settings("ciml", supervise="both")
    model = build_network(config, seed=0).train()
    expected = loss_of(model, make_batch(), config).terms["kl"]
    model = build_network(config, seed=0).train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = loss_of(model, make_batch(), config)
    loss.total.backward()
    assert loss.terms["kl"].dtype == torch.float32
    assert float(loss.terms["kl"]) == pytest.approx(float(expected), rel=0.05)
    assert all(grad.isfinite().all() for grad in grads(model))
