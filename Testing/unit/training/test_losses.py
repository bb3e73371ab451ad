"""The loss terms against sums done by hand."""

from __future__ import annotations

import math

import pytest
import torch

from VQBEGALLib.config import NetworkSettings
from VQBEGALLib.network import build
from VQBEGALLib.network.discriminator import Discriminator
from VQBEGALLib.training.losses import discriminator_loss, reverse_gradient, segmentation_loss


@pytest.fixture
def discriminator() -> Discriminator:
    small = NetworkSettings(base_channels=4, stages=3, codes=16, code_dim=8)
    return build(small, seed=0).discriminator


def maps(seed: int) -> torch.Tensor:
    return torch.randn(4, 8, 8, 8, generator=torch.Generator().manual_seed(seed)).requires_grad_()


NOBODY = torch.zeros(4, dtype=torch.bool)


def test_segmentation_loss_by_hand() -> None:
    p = [[0.9, 0.2], [0.6, 0.3]]
    target = torch.tensor([[1.0, 0.0], [1.0, 1.0]])
    dice = (2 * (0.9 + 0.6 + 0.3) + 1) / (0.9 + 0.2 + 0.6 + 0.3 + 3 + 1)
    cross_entropy = -(math.log(0.9) + math.log(0.8) + math.log(0.6) + math.log(0.3)) / 4
    logits = torch.logit(torch.tensor(p, dtype=torch.float64)).float()
    loss = segmentation_loss(logits[None, None], target[None, None])
    assert loss.item() == pytest.approx(1 - dice + cross_entropy, rel=1e-5)


def test_dice_is_taken_over_the_whole_batch() -> None:
    logits = torch.tensor([[2.0, -2.0], [-2.0, -2.0]])[:, None, None]
    target = torch.tensor([[1.0, 0.0], [0.0, 0.0]])[:, None, None]
    flat = segmentation_loss(logits.reshape(1, 1, 2, 2), target.reshape(1, 1, 2, 2))
    assert segmentation_loss(logits, target).item() == pytest.approx(flat.item())


@pytest.mark.parametrize("level", [-60.0, 0.0, 60.0])
@pytest.mark.parametrize("organ", [0.0, 1.0])
def test_empty_and_full_masks_give_a_finite_loss_and_gradient(level: float, organ: float) -> None:
    logits = torch.full((2, 1, 8, 8), level, requires_grad=True)
    loss = segmentation_loss(logits, torch.full((2, 1, 8, 8), organ))
    loss.backward()
    assert loss.isfinite()
    assert logits.grad.isfinite().all()
    right = (level > 0) == (organ > 0)
    if level:
        assert (loss.item() < 1e-3) is right


def test_half_precision_logits_are_summed_in_32_bits() -> None:
    logits = torch.randn(4, 1, 64, 64, generator=torch.Generator().manual_seed(0)).bfloat16()
    target = (logits > 0).float()
    loss = segmentation_loss(logits, target)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(segmentation_loss(logits.float(), target).item())


def test_discriminator_loss_is_the_cross_entropy_and_counts_right_answers(discriminator: Discriminator) -> None:
    c, m = maps(1), maps(2)
    loss, right = discriminator_loss(discriminator, c, m, gradient="detached", strength=0, swap=NOBODY)
    p = torch.softmax(discriminator(torch.cat([c, m])).double(), dim=1)
    chosen = torch.cat([p[:4, 0], p[4:, 1]])
    assert loss.item() == pytest.approx(-chosen.log().mean().item(), rel=1e-5)
    assert right.item() == pytest.approx((chosen > 0.5).double().mean().item())


def gradients(discriminator: Discriminator, gradient: str, strength: float) -> tuple[list[torch.Tensor | None], ...]:
    """What L_disc does to both maps and to D."""
    discriminator.zero_grad(set_to_none=True)
    c, m = maps(1), maps(2)
    discriminator_loss(discriminator, c, m, gradient=gradient, strength=strength, swap=NOBODY)[0].backward()
    return [c.grad, m.grad], [weight.grad for weight in discriminator.parameters()]


def test_detached_the_maps_feel_nothing_and_d_learns(discriminator: Discriminator) -> None:
    on_maps, on_weights = gradients(discriminator, "detached", 1.0)
    assert on_maps == [None, None]
    assert all(each is not None and each.any() for each in on_weights)


def test_cooperative_the_maps_feel_ds_own_gradient(discriminator: Discriminator) -> None:
    on_maps, _ = gradients(discriminator, "cooperative", 0.5)
    c, m = maps(1), maps(2)
    classes = torch.tensor([0] * 4 + [1] * 4)
    torch.nn.functional.cross_entropy(discriminator(torch.cat([c, m])), classes).backward()
    assert torch.equal(on_maps[0], c.grad)
    assert torch.equal(on_maps[1], m.grad)
    assert c.grad.any()


@pytest.mark.parametrize("strength", [0.0, 0.3, 1.0])
def test_reversal_is_the_opposite_times_its_strength(discriminator: Discriminator, strength: float) -> None:
    helped, on_d = gradients(discriminator, "cooperative", strength)
    opposed, on_d_too = gradients(discriminator, "reversal", strength)
    for mine, plain in zip(opposed, helped, strict=True):
        assert torch.allclose(mine, -strength * plain, atol=1e-9)
    assert all(torch.equal(a, b) for a, b in zip(on_d, on_d_too, strict=True))


def test_reversing_keeps_the_values() -> None:
    x = maps(1)
    assert torch.equal(reverse_gradient(x, 0.7), x)
