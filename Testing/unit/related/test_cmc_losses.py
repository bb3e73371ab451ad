"""CSC and CAC, against the formulas written out."""

from __future__ import annotations

import math

import pytest
import torch

from VQBEGALLib.related.cmc.losses import GRID, cac_loss, csc_loss

YES, NO = torch.tensor([True]), torch.tensor([False])


def maps(seed: int, *, size: int = 8, channels: int = 5, count: int = 1) -> torch.Tensor:
    values = torch.randn(count, channels, size, size, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.instance_norm(values)


def by_hand(first: torch.Tensor, second: torch.Tensor) -> float:
    """1 − cos of each channel of one pair, in a loop."""
    found = []
    for one, other in zip(first, second, strict=True):
        dot = sum(a * b for a, b in zip(one.flatten().tolist(), other.flatten().tolist(), strict=True))
        lengths = math.hypot(*one.flatten().tolist()) * math.hypot(*other.flatten().tolist())
        found.append(1 - dot / lengths)
    return sum(found) / len(found)


@pytest.mark.parametrize("aligned", [YES, NO])
def test_equal_maps_agree(aligned: torch.Tensor) -> None:
    assert csc_loss(maps(0), maps(0), aligned).item() == pytest.approx(0, abs=1e-6)
    assert csc_loss(maps(0), -maps(0), aligned).item() == pytest.approx(2, abs=1e-6)


@pytest.mark.parametrize("aligned", [YES, NO])
def test_other_maps_are_drawn_together(aligned: torch.Tensor) -> None:
    first, second = maps(0).requires_grad_(), maps(1).requires_grad_()
    loss = csc_loss(first, second, aligned)
    loss.sum().backward()
    assert loss.item() > 0.1
    for maps_ in (first, second):
        assert maps_.grad is not None
        assert maps_.grad.abs().amax() > 1e-3
    moved = csc_loss(first - 0.1 * first.grad, second - 0.1 * second.grad, aligned)
    assert moved.item() < loss.item()


def test_aligned_maps_are_compared_position_by_position() -> None:
    first, second = maps(0), maps(1)
    assert csc_loss(first, second, YES).item() == pytest.approx(by_hand(first[0], second[0]), abs=1e-5)


def test_others_are_compared_by_the_means_of_a_grid() -> None:
    first, second = maps(0), maps(1)
    side = 8 // GRID
    pooled = [m.reshape(5, GRID, side, GRID, side).mean((2, 4)) for m in (first[0], second[0])]
    assert csc_loss(first, second, NO).item() == pytest.approx(by_hand(*pooled), abs=1e-5)


def test_moving_a_map_inside_the_cells_costs_less_where_pairs_are_not_registered() -> None:
    first = torch.nn.functional.interpolate(maps(0, size=4), size=16, mode="bilinear")
    first = torch.nn.functional.instance_norm(first)
    second = first.roll((1, 1), dims=(2, 3))
    assert csc_loss(first, second, NO).item() < csc_loss(first, second, YES).item()


def test_each_pair_is_compared_in_its_own_way() -> None:
    first, second = maps(0, count=2), maps(1, count=2)
    found = csc_loss(first, second, torch.tensor([True, False]))
    assert found.tolist() == [
        csc_loss(first[:1], second[:1], YES).item(),
        csc_loss(first[1:], second[1:], NO).item(),
    ]


def test_a_map_without_content_agrees_with_nothing_and_gives_no_wild_gradient() -> None:
    empty, other = torch.zeros(1, 2, 4, 4, requires_grad=True), maps(0, size=4, channels=2)
    loss = csc_loss(empty, other, YES)
    loss.sum().backward()
    assert loss.item() == 1
    assert empty.grad is not None
    assert empty.grad.isfinite().all()
    assert empty.grad.abs().amax() <= 100


def test_a_single_cell_is_the_smallest_grid() -> None:
    assert csc_loss(maps(0, size=2), maps(1, size=2), NO).item() == pytest.approx(
        csc_loss(maps(0, size=2), maps(1, size=2), YES).item(), abs=1e-6
    )


def test_cac_of_two_by_two_masks() -> None:
    p, q = torch.tensor([[0.9, 0.2], [0.5, 0.1]]), torch.tensor([[0.8, 0.4], [0.5, 0.3]])
    overlap = 0.9 * 0.8 + 0.2 * 0.4 + 0.5 * 0.5 + 0.1 * 0.3  # 1.08
    sizes = 0.9 + 0.2 + 0.5 + 0.1 + 0.8 + 0.4 + 0.5 + 0.3  # 3.7
    expected = 1 - (2 * overlap + 1) / (sizes + 1)
    found = cac_loss(p.logit()[None, None], q.logit()[None, None])
    assert found.item() == pytest.approx(expected, abs=1e-6)


def test_cac_is_the_mean_over_the_organs() -> None:
    a, b = torch.randn(2, 3, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    each = [cac_loss(a[:, [organ]], b[:, [organ]]).item() for organ in range(2)]
    assert cac_loss(a, b).item() == pytest.approx(sum(each) / 2, abs=1e-6)


def test_certain_masks_that_agree_cost_nothing() -> None:
    logits = torch.where(torch.arange(16).reshape(1, 1, 4, 4) < 6, 50.0, -50.0)
    assert cac_loss(logits, logits).item() == pytest.approx(0, abs=1e-6)
