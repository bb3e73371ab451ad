"""Mutual learning: what is not sure is ignored, and what teaches gets no gradient."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from VQBEGALLib.config import Config
from VQBEGALLib.network import build_network
from VQBEGALLib.related.cmems import CMEMS
from VQBEGALLib.related.cmems.mutual import Labels, consistency, known_loss, pseudo_labels
from VQBEGALLib.related.cmems.objective import Outputs, cmems_loss, learned, predict, synthesise
from VQBEGALLib.related.cmems.synthetic import Pasted
from VQBEGALLib.related.ramp import ramp_up
from VQBEGALLib.training.batches import Batch
from VQBEGALLib.training.losses import segmentation_loss

Sides = Callable[..., tuple[CMEMS, dict[str, torch.Tensor]]]


def logit(p: float) -> float:
    return math.log(p / (1 - p))


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_a_pixel_is_known_from_the_confidence_on_for_each_organ_alone() -> None:
    probabilities = [[0.97, 0.5, 0.03], [0.94, 0.96, 0.06]]
    logits = torch.tensor([[logit(p) for p in row] for row in probabilities])[None, :, None]  # two organs, 1 × 3
    found = pseudo_labels(logits, 0.95)
    assert found.known[0, :, 0].tolist() == [[1, 0, 1], [0, 1, 0]]
    assert found.masks[0, :, 0].tolist() == [[1, 1, 0], [1, 1, 0]]


def test_the_loss_is_the_mean_cross_entropy_of_the_known_pixels() -> None:
    logits = torch.tensor([[[[0.3, -1.2], [2.0, 0.0]]]])
    labels = Labels(torch.tensor([[[[1.0, 1.0], [0.0, 0.0]]]]), torch.tensor([[[[1.0, 0.0], [1.0, 0.0]]]]))
    expected = (math.log(1 + math.exp(-0.3)) + math.log(1 + math.exp(2.0))) / 2
    assert float(consistency(logits, labels)) == pytest.approx(expected, rel=1e-6)


def test_nothing_known_is_exactly_nothing() -> None:
    logits = (50 * drawn(2, 3, 4, 4)).requires_grad_()
    loss = consistency(logits, pseudo_labels(torch.zeros(2, 3, 4, 4), 0.95))
    loss.backward()
    assert not loss.any() and logits.grad is not None and not logits.grad.any()
    none = torch.zeros(0, 1, 4, 4, requires_grad=True)
    assert not consistency(none, pseudo_labels(none, 0.95)).any()


@pytest.mark.parametrize("loss", [consistency, known_loss])
def test_ignored_pixels_have_no_gradient_and_their_label_no_effect(loss: Callable[..., torch.Tensor]) -> None:
    teacher, logits = 4 * drawn(2, 2, 6, 6, seed=1), drawn(2, 2, 6, 6, seed=2).requires_grad_()
    labels = pseudo_labels(teacher, 0.9)
    value = loss(logits, labels)
    value.backward()
    assert logits.grad is not None
    assert torch.equal(logits.grad != 0, labels.known.bool()) and 0 < labels.known.mean() < 1
    other = Labels(torch.where(labels.known.bool(), labels.masks, 1 - labels.masks), labels.known)
    assert torch.equal(loss(logits, other), value)


def test_the_loss_of_known_pixels_is_that_of_annotated_slices_where_all_are_known() -> None:
    logits, masks = drawn(3, 2, 5, 5), (drawn(3, 2, 5, 5, seed=3) > 0).float()
    found = known_loss(logits, Labels(masks, torch.ones_like(masks)))
    assert torch.allclose(found, segmentation_loss(logits, masks))


@pytest.fixture
def sides(settings: Callable[..., Config], make_batch: Callable[..., Batch]) -> Sides:
    """What the first network learns from the second, or the reverse, and both networks."""

    def make(*, reverse: bool, confidence: float = 0.6) -> tuple[CMEMS, dict[str, torch.Tensor]]:
        config, batch = settings("cmems"), make_batch(2, 3)
        model = build_network(config, seed=0).train()
        assert isinstance(model, CMEMS)
        generator = torch.Generator().manual_seed(0)
        sources = synthesise(batch, config, generator)
        images = torch.cat([batch.primary, sources.images])
        outputs = [
            predict(decoder, encoder(images), batch, 0.5, generator)
            for encoder, decoder in ((model.encoder_c, model.decoder), (model.peer.encoder, model.peer.decoder))
        ]
        own, other = reversed(outputs) if reverse else outputs
        return model, learned(own, other, batch, sources, confidence)

    return make


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("term", ["image", "feature", "synthetic"])
def test_no_gradient_reaches_the_network_that_labels(sides: Sides, reverse: bool, term: str) -> None:
    model, terms = sides(reverse=reverse)
    assert terms[term] > 0, "there is something to learn"
    terms[term].backward()
    first = [*model.encoder_c.parameters(), *model.decoder.parameters()]
    second = list(model.peer.parameters())
    pupil, teacher = (second, first) if reverse else (first, second)
    assert all(weight.grad is None for weight in teacher)
    assert any(weight.grad is not None and weight.grad.any() for weight in pupil)


def test_below_the_confidence_the_mutual_terms_are_exactly_zero(sides: Sides) -> None:
    _, terms = sides(reverse=False, confidence=1.0)
    assert terms["image"] == 0 and terms["feature"] == 0
    assert terms["seg"] > 0 and terms["synthetic"] > 0


def test_beside_a_pasted_organ_only_what_the_other_network_is_sure_of_counts(
    settings: Callable[..., Config], make_batch: Callable[..., Batch]
) -> None:
    batch = make_batch(1, 1)
    teacher = torch.full((1, 1, 32, 32), 0.0)
    teacher[..., :8] = 9.0  # sure of the organ here, of nothing elsewhere
    known = torch.zeros(1, 1, 32, 32, dtype=torch.bool)
    known[..., 4:12] = True
    pasted = Pasted(batch.primary[1:], torch.zeros(1, 1, 32, 32), known)
    own, other = (outputs_of(drawn(1, 1, 32, 32, seed=seed).requires_grad_(), teacher) for seed in (1, 2))
    sources = synthesise(batch, settings("cmems"), torch.Generator().manual_seed(0))
    terms = learned(own, other, batch, replace(sources, pasted=pasted), 0.95)
    gradient = torch.autograd.grad(terms["synthetic"], own.pasted)[0]
    assert (gradient[..., :12] != 0).all() and not gradient[..., 12:].any()
    assert (gradient[..., :4] < 0).all(), "there the other network's organ counts"
    assert (gradient[..., 4:12] > 0).all(), "here the pasted slice's background"


def outputs_of(pasted: torch.Tensor, weak: torch.Tensor) -> Outputs:
    """Return outputs of which only those of the pasted slices have a gradient."""
    held = pasted.detach()
    return Outputs(held, held, pasted, held, held, weak)


def test_the_weights_of_the_terms(settings: Callable[..., Config], make_batch: Callable[..., Batch]) -> None:
    def run(progress: float, **changes: float) -> tuple[float, dict[str, float]]:
        config = settings("cmems", confidence=0.6, weight_vq=0, weight_disc=0, weight_commit=0, **changes)
        model = build_network(config, seed=0).train()
        assert isinstance(model, CMEMS)
        generator = torch.Generator().manual_seed(0)
        loss = cmems_loss(model, make_batch(2, 3), config, progress=progress, generator=generator)
        return float(loss.total.detach()), {name: float(value) for name, value in loss.terms.items()}

    for progress in (0.1, 1.0):
        total, terms = run(progress, weight_seg=2, weight_synthetic=3, weight_image=4, weight_feature=5)
        mutual = ramp_up(progress, 0.4) * (4 * terms["image"] + 5 * terms["feature"])
        expected = 2 * (terms["seg"] + terms["peer"] + 3 * terms["synthetic"] + mutual)
        assert total == pytest.approx(expected, rel=1e-5)
        assert min(terms["image"], terms["feature"]) > 0


def test_labelled_auxiliary_slices_train_their_encoder_where_both_are_supervised(
    settings: Callable[..., Config], make_batch: Callable[..., Batch]
) -> None:
    for supervise in ("primary", "both"):
        config = settings("cmems", supervise=supervise, encoder_sharing="none")
        model = build_network(config, seed=0).train()
        assert isinstance(model, CMEMS)
        loss = cmems_loss(model, make_batch(), config, progress=1.0, generator=torch.Generator().manual_seed(0))
        loss.total.backward()
        moved = [weight.grad is not None and bool(weight.grad.any()) for weight in model.encoder_m.parameters()]
        assert any(moved) is (supervise == "both")


def test_cross_entropy_is_torch_s_where_all_pixels_are_known() -> None:
    logits, masks = drawn(2, 1, 4, 4), (drawn(2, 1, 4, 4, seed=5) > 0).float()
    expected = functional.binary_cross_entropy_with_logits(logits, masks)
    assert torch.allclose(consistency(logits, Labels(masks, torch.ones_like(masks))), expected)


def test_the_loss_is_of_32_bits_in_16_bit_arithmetic_and_nearly_the_same(
    settings: Callable[..., Config], make_batch: Callable[..., Batch]
) -> None:
    config, found = settings("cmems", confidence=0.6, organ="liver, spleen"), []
    for enabled in (False, True):
        model = build_network(config, seed=0).train()
        assert isinstance(model, CMEMS)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            generator = torch.Generator().manual_seed(0)
            loss = cmems_loss(model, make_batch(2, 3, classes=2), config, progress=1.0, generator=generator)
        loss.total.backward()
        assert loss.total.dtype == torch.float32
        assert all(weight.grad.isfinite().all() for weight in model.parameters() if weight.grad is not None)
        found.append(loss.total.detach())
    assert torch.allclose(*found, rtol=0.02)
