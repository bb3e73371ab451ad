"""One step's loss: what enters each term, and with which weight."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from VQBEGALLib.config import Config
from VQBEGALLib.network import VQBEGAL
from VQBEGALLib.training import Role
from VQBEGALLib.training.batches import Batch
from VQBEGALLib.training.losses import segmentation_loss
from VQBEGALLib.training.step import StepLoss, reversal_strength, step_loss

Started = Callable[[Config], VQBEGAL]
Make = Callable[..., Batch]
Small = Callable[..., Config]
TERMS = ("seg", "vq", "disc", "commit")


def loss_of(model: VQBEGAL, batch: Batch, config: Config) -> StepLoss:
    return step_loss(model, batch, config, progress=0.5, generator=torch.Generator().manual_seed(3))


def terms(model: VQBEGAL, batch: Batch, config: Config) -> dict[str, float]:
    return {name: value.item() for name, value in loss_of(model, batch, config).terms.items()}


def noise(count: int, seed: int) -> torch.Tensor:
    return torch.rand(count, 1, 32, 32, generator=torch.Generator().manual_seed(seed))


def test_the_weights_are_the_papers(small: Small, started: Started, make_batch: Make) -> None:
    config = small()
    loss = loss_of(started(config), make_batch([Role.ALL] * 4, 2), config)
    found = {name: value.item() for name, value in loss.terms.items()}
    assert all(found[name] > 0.01 for name in TERMS)
    expected = 5 * found["seg"] + 0.5 * found["vq"] + 0.25 * found["disc"] + 0.2 * found["commit"]
    assert loss.total.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("term", TERMS)
def test_each_weight_is_a_setting(small: Small, started: Started, make_batch: Make, term: str) -> None:
    config = small(**{f"weight_{name}": 7.0 if name == term else 0.0 for name in TERMS})
    loss = loss_of(started(config), make_batch([Role.ALL] * 4), config)
    assert loss.total.item() == pytest.approx(7 * loss.terms[term].item(), rel=1e-5)


def test_terms_are_detached_and_the_total_is_not(small: Small, started: Started, make_batch: Make) -> None:
    config = small()
    loss = loss_of(started(config), make_batch([Role.ALL] * 2), config)
    assert loss.total.requires_grad
    assert not any(value.requires_grad for value in loss.terms.values())
    assert 0 <= loss.terms["discriminator_right"] <= 1


def test_seg_is_the_loss_of_the_networks_own_segmentation(small: Small, started: Started, make_batch: Make) -> None:
    config, batch = small(), make_batch([Role.ALL] * 4)
    model = started(config)
    expected = segmentation_loss(model.segment(batch.primary, batch.auxiliary), batch.masks).item()
    assert terms(model, batch, config)["seg"] == pytest.approx(expected, rel=1e-4)
    hidden = replace(batch, dropped=torch.ones(4, dtype=torch.bool))
    expected = segmentation_loss(model.segment(batch.primary), batch.masks).item()
    assert terms(started(config), hidden, config)["seg"] == pytest.approx(expected, rel=1e-4)


def test_supervising_both_averages_the_losses_of_both_slices(small: Small, started: Started, make_batch: Make) -> None:
    config, batch = small(supervise="both"), make_batch([Role.ALL] * 4)
    model = started(config)
    own = segmentation_loss(model.segment(batch.primary, batch.auxiliary), batch.masks)
    rows = torch.tensor([True, False, True, True])
    other = segmentation_loss(
        model.segment(batch.auxiliary[rows], batch.primary[rows], auxiliary=True), batch.auxiliary_masks[rows]
    )
    found = terms(model, replace(batch, auxiliary_labelled=rows), config)["seg"]
    assert found == pytest.approx(((own + other) / 2).item(), rel=1e-4)


def test_auxiliary_labels_count_only_with_both(small: Small, started: Started, make_batch: Make) -> None:
    batch = make_batch([Role.ALL] * 4)
    other = replace(batch, auxiliary_masks=1 - batch.auxiliary_masks)
    for supervise, differs in (("primary", False), ("both", True)):
        config = small(supervise=supervise)
        first, second = (terms(started(config), each, config)["seg"] for each in (batch, other))
        assert (first != second) is differs


def test_an_unlabelled_auxiliary_slice_is_not_taken_for_empty(small: Small, started: Started, make_batch: Make) -> None:
    config = small(supervise="both")
    batch = make_batch([Role.ALL] * 4, auxiliary_labelled=torch.zeros(4, dtype=torch.bool))
    plain = small(supervise="primary")
    assert terms(started(config), batch, config)["seg"] == terms(started(plain), batch, plain)["seg"]


@pytest.mark.parametrize(
    "roles", [[Role.ENCODER] * 4, [Role.DECODER] * 4, [Role.ALL, Role.ENCODER, Role.DECODER, Role.ALL]]
)
def test_both_slices_of_a_pair_follow_its_route(
    small: Small, started: Started, make_batch: Make, roles: list[Role]
) -> None:
    config = small(supervise="both", routing="strict", weight_commit=0.0, weight_vq=0.0, weight_disc=0.0)
    model = started(config)
    loss_of(model, make_batch(roles), config).total.backward()
    decoder = [weight.grad is not None for weight in model.decoder.parameters()]
    encoder = [weight.grad is not None for weight in model.encoder_m.parameters()]
    assert all(decoder) if set(roles) != {Role.ENCODER} else not any(decoder)
    assert all(encoder) if set(roles) != {Role.DECODER} else not any(encoder)


def test_unlabelled_pairs_enter_codebook_and_discriminator_only(
    small: Small, started: Started, make_batch: Make
) -> None:
    config, batch = small(), make_batch([Role.ALL] * 4, 3)
    found, entries = [], []
    for seed in (1, 2):
        model = started(config)
        primary, auxiliary = batch.primary.clone(), batch.auxiliary.clone()
        primary[4:], auxiliary[4:] = noise(3, seed), 0.3 * noise(3, seed + 10)
        found.append(terms(model, replace(batch, primary=primary, auxiliary=auxiliary), config))
        entries.append(model.codebook.entries.clone())
    assert found[0]["seg"] == pytest.approx(found[1]["seg"], rel=1e-6)
    for name in ("vq", "commit", "disc"):
        assert found[0][name] != pytest.approx(found[1][name], rel=1e-5)
    assert not torch.equal(*entries)


@pytest.mark.parametrize(("dropped", "differs"), [(True, False), (False, True)])
def test_a_hidden_partner_leaves_no_trace_in_the_segmentation(
    small: Small, started: Started, make_batch: Make, dropped: bool, differs: bool
) -> None:
    config = small()
    batch = make_batch([Role.ALL] * 4, dropped=torch.full((4,), dropped))
    first = terms(started(config), batch, config)["seg"]
    second = terms(started(config), replace(batch, auxiliary=0.2 * noise(4, 8)), config)["seg"]
    assert (first != pytest.approx(second, rel=1e-6)) is differs


def test_pairs_without_partner_leave_no_trace_of_the_blank_in_any_term(
    small: Small, started: Started, make_batch: Make
) -> None:
    config = small()
    batch = make_batch([Role.ALL] * 4, 2, present=torch.tensor([True, False, True, False, False, True]))
    found, states = [], []
    for seed in (1, 2):
        auxiliary = batch.auxiliary.clone()
        auxiliary[~batch.present] = noise(3, seed)
        model = started(config)
        found.append(terms(model, replace(batch, auxiliary=auxiliary), config))
        states.append(model.codebook.sums.clone())
    assert found[0] == pytest.approx(found[1], rel=1e-6)
    assert torch.equal(*states)


@pytest.mark.parametrize("roles", [[Role.ALL] * 3, [Role.ENCODER] * 3, [Role.DECODER] * 3])
def test_a_batch_without_any_partner_can_be_trained_on(
    small: Small, started: Started, make_batch: Make, roles: list[Role]
) -> None:
    config = small(discriminator_gradient="cooperative")
    model = started(config)
    batch = make_batch(roles, present=torch.zeros(3, dtype=torch.bool), auxiliary=torch.zeros(3, 1, 32, 32))
    loss = loss_of(model, batch, config)
    loss.total.backward()
    assert loss.terms["disc"].item() == 0
    assert loss.total.isfinite()
    grads = [weight.grad for weight in model.parameters() if weight.grad is not None]
    assert grads
    assert all(each.isfinite().all() for each in grads)
    assert all(weight.grad is None for weight in model.discriminator.parameters())


@pytest.mark.parametrize("gradient", ["detached", "cooperative", "reversal"])
def test_what_the_discriminators_gradient_does_to_the_encoders(
    small: Small, started: Started, make_batch: Make, gradient: str
) -> None:
    alone = {"weight_seg": 0.0, "weight_vq": 0.0, "weight_commit": 0.0}
    config, batch = small(discriminator_gradient=gradient, **alone), make_batch([Role.ALL] * 4)
    helping = small(discriminator_gradient="cooperative", **alone)
    found = []
    for each in (config, helping):
        model = started(each)
        loss_of(model, batch, each).total.backward()
        found.append([weight.grad for weight in model.encoder_parameters()])
    mine, plain = found
    if gradient == "detached":
        assert all(each is None or not each.any() for each in mine)
    else:
        factor = 1.0 if gradient == "cooperative" else -reversal_strength(0.5)
        largest = max(float(each.abs().max()) for each in plain)
        assert largest > 0
        assert all(torch.allclose(a, factor * b, atol=1e-4 * largest) for a, b in zip(mine, plain, strict=True))


def test_the_reversal_is_ramped_from_nothing_to_one() -> None:
    values = [reversal_strength(progress / 10) for progress in range(11)]
    assert values[0] == 0
    assert values == sorted(values)
    assert 0.99 < values[-1] <= 1


def test_a_discriminator_of_ordered_pairs_learns_from_the_shown_order(
    small: Small, started: Started, make_batch: Make
) -> None:
    config = small(discriminator_input="ordered_pair")
    batch = make_batch([Role.ALL] * 4)
    turned = replace(batch, swap=torch.ones(4, dtype=torch.bool))
    assert terms(started(config), batch, config)["disc"] != terms(started(config), turned, config)["disc"]


def test_without_quantiser_only_segmentation_and_discriminator_count(
    small: Small, started: Started, make_batch: Make
) -> None:
    config = small(quantize=False)
    loss = loss_of(started(config), make_batch([Role.ALL, Role.ENCODER, Role.DECODER], 2), config)
    loss.total.backward()
    assert loss.terms["vq"].item() == loss.terms["commit"].item() == 0
    assert loss.terms["disc"].item() > 0


def test_in_evaluation_mode_the_loss_moves_nothing(small: Small, started: Started, make_batch: Make) -> None:
    config = small()
    model = started(config).eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    terms(model, make_batch([Role.ALL] * 4, 2), config)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
