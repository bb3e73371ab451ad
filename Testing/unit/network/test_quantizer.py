"""The codebook's losses, gradients, moving averages, first batch and revival, each against the plain formula."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.nn import functional

from VQBEGALLib.config import NetworkSettings
from VQBEGALLib.network import build
from VQBEGALLib.network.quantizer import KMEANS_ITERATIONS, CosineCodebook, nearest

CODES, DIM = 16, 8
UPDATES = ["ema", "gradient"]


def book(**changes: object) -> CosineCodebook:
    """A codebook in training mode whose entries are not yet taken from features."""
    small = {"base_channels": 4, "stages": 3, "codes": CODES, "code_dim": DIM, "revive_after": 0.0}
    found = build(NetworkSettings(**{**small, **changes}), seed=0).codebook
    assert found is not None
    return found.train()


def maps(batch: int = 4, seed: int = 1, size: int = 3) -> torch.Tensor:
    return torch.randn(batch, DIM, size, size, generator=torch.Generator().manual_seed(seed))


def everyone(batch: int = 4) -> torch.Tensor:
    return torch.ones(batch, dtype=torch.bool)


def source(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def directions(features: torch.Tensor) -> torch.Tensor:
    """Unit vectors, (N, d), position by position."""
    flat = features.permute(0, 2, 3, 1).reshape(-1, features.shape[1])
    return flat / flat.norm(dim=1, keepdim=True)


def state(codebook: CosineCodebook) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in codebook.state_dict().items()}


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("update", UPDATES)
def test_each_position_gets_the_entry_of_the_largest_cosine(update: str) -> None:
    codebook, features = book(codebook_update=update), maps()
    found = codebook(features)
    cosine = directions(features) @ functional.normalize(codebook.entries, dim=1).t()
    assert torch.equal(found.codes.flatten(), cosine.argmax(dim=1))
    z = found.z.permute(0, 2, 3, 1).reshape(-1, DIM)
    assert torch.allclose(z, codebook.entries[found.codes.flatten()] * DIM**0.5, atol=1e-5)
    assert torch.allclose(z.norm(dim=1), torch.tensor(DIM**0.5))


@pytest.mark.parametrize("update", UPDATES)
def test_both_losses_are_twice_one_minus_the_cosine(update: str) -> None:
    codebook, features = book(codebook_update=update), maps()
    found = codebook(features, learn=everyone())
    best = (directions(features) @ codebook.entries.t()).max(dim=1).values
    expected = float((2 * (1 - best)).mean().detach())
    assert expected > 0.1
    assert found.vq.item() == pytest.approx(expected, rel=1e-5)
    assert found.commit.item() == pytest.approx(expected, rel=1e-5)


def test_by_gradient_l_vq_moves_the_entries_and_l_commit_the_features() -> None:
    codebook, features = book(codebook_update="gradient"), maps().requires_grad_()
    found = codebook(features, learn=everyone())
    codes = found.codes.flatten()
    found.vq.backward(retain_graph=True)
    assert features.grad is None or not features.grad.any()
    moved = codebook.entries.grad.clone()
    codebook.entries.grad = features.grad = None
    found.commit.backward()
    assert codebook.entries.grad is None or not codebook.entries.grad.any()
    pulled = features.grad.clone()

    entries = codebook.entries.detach().clone().requires_grad_()
    (directions(maps()) - functional.normalize(entries, dim=1)[codes]).square().sum(dim=1).mean().backward()
    assert torch.allclose(moved, entries.grad, atol=1e-6)
    assert moved.abs().max() > 1e-3
    plain = maps().requires_grad_()
    (directions(plain) - codebook.entries.detach()[codes]).square().sum(dim=1).mean().backward()
    assert torch.allclose(pulled, plain.grad, atol=1e-6)
    assert pulled.abs().max() > 1e-4


def test_with_ema_l_vq_moves_nothing() -> None:
    codebook, features = book(codebook_update="ema"), maps().requires_grad_()
    found = codebook(features, learn=everyone())
    assert not found.vq.requires_grad
    assert not codebook.entries.requires_grad
    found.commit.backward()
    assert features.grad.abs().max() > 1e-4


@pytest.mark.parametrize("update", UPDATES)
def test_the_gradient_passes_straight_through_to_the_directions(update: str) -> None:
    weights = maps(seed=9)
    features = maps().requires_grad_()
    (book(codebook_update=update)(features, learn=everyone()).z * weights).sum().backward()
    plain = maps().requires_grad_()
    (functional.normalize(plain, dim=1) * DIM**0.5 * weights).sum().backward()
    assert torch.allclose(features.grad, plain.grad, atol=1e-5)


@pytest.mark.parametrize("decay", [0.95, 0.5])
def test_with_ema_entries_follow_the_moving_average(decay: float) -> None:
    codebook = book(codebook_update="ema", ema_decay=decay)
    codebook(maps(seed=2), learn=everyone(), generator=source())
    usage, sums = codebook.usage.double().numpy(), codebook.sums.double().numpy()
    for seed in (3, 4):
        features = maps(seed=seed)
        codes = codebook(features, learn=everyone(), generator=source()).codes.flatten().numpy()
        counts, total = np.zeros(CODES), np.zeros((CODES, DIM))
        for code, direction in zip(codes, directions(features).double().numpy(), strict=True):
            counts[code] += 1
            total[code] += direction
        usage = decay * usage + (1 - decay) * counts
        sums = decay * sums + (1 - decay) * total
        assert np.allclose(codebook.usage, usage, atol=1e-5)
        assert np.allclose(codebook.sums, sums, atol=1e-5)
        assert np.allclose(codebook.entries, sums / np.linalg.norm(sums, axis=1, keepdims=True), atol=1e-5)


def test_by_gradient_the_moving_average_counts_use_and_leaves_entries_to_the_optimiser() -> None:
    codebook = book(codebook_update="gradient")
    codebook(maps(seed=2), learn=everyone(), generator=source())
    entries, usage = codebook.entries.detach().clone(), codebook.usage.clone()
    codes = codebook(maps(seed=3), learn=everyone(), generator=source()).codes.flatten()
    assert torch.equal(codebook.entries, entries)
    counts = torch.bincount(codes, minlength=CODES)
    assert torch.allclose(codebook.usage, 0.95 * usage + 0.05 * counts, atol=1e-5)


@pytest.mark.parametrize("update", UPDATES)
def test_the_first_batch_that_learns_initialises_by_spherical_k_means(update: str) -> None:
    codebook = book(codebook_update=update, ema_decay=0.9999)
    features = maps(batch=20)
    assert not codebook.initialised
    codebook(features, learn=everyone(20), generator=source(5))
    assert codebook.initialised
    points = directions(features).double().numpy()
    centres = points[torch.randperm(len(points), generator=source(5))[:CODES].numpy()]
    for _ in range(KMEANS_ITERATIONS):
        codes = (points @ centres.T).argmax(axis=1)
        for code in set(codes):
            total = points[codes == code].sum(axis=0)
            centres[code] = total / np.linalg.norm(total)
    assert np.allclose(codebook.entries.detach(), centres, atol=1e-3)
    assert np.allclose(codebook.usage, len(points) / CODES, rtol=1e-2)


def test_later_batches_do_not_initialise_again() -> None:
    codebook = book(codebook_update="gradient")
    codebook(maps(seed=2), learn=everyone(), generator=source())
    entries = codebook.entries.detach().clone()
    codebook(maps(seed=3), learn=everyone(), generator=source())
    assert torch.equal(codebook.entries, entries)


@pytest.mark.parametrize("update", UPDATES)
def test_a_first_batch_with_fewer_positions_than_entries_is_used_more_than_once(update: str) -> None:
    codebook = book(codebook_update=update)
    features = maps(batch=1, size=2)
    codebook(features, learn=everyone(1), generator=source())
    cosine = codebook.entries.detach() @ directions(features).t()
    assert torch.allclose(cosine.max(dim=1).values, torch.ones(CODES), atol=1e-5)


@pytest.mark.parametrize("update", UPDATES)
def test_a_dead_entry_becomes_a_current_feature(update: str) -> None:
    codebook = book(codebook_update=update, revive_after=0.02)
    codebook(maps(seed=2), learn=everyone(), generator=source())
    codebook.usage[3] = 0
    with torch.no_grad():  # so that no feature of the next batch falls to it
        far = -directions(maps(seed=3)).mean(dim=0)
        codebook.entries[3] = codebook.sums[3] = far / far.norm()
    before = codebook.entries.detach().clone()
    features = maps(seed=3)
    found = codebook(features, learn=everyone(), generator=source())
    assert not (found.codes == 3).any()
    points, share = directions(features), features.shape[0] * 9 / CODES
    distance = (points - codebook.entries[3].detach()).norm(dim=1)
    assert distance.min() < 1e-6
    assert float(codebook.usage[3]) == pytest.approx(share)
    assert torch.allclose(codebook.sums[3], points[distance.argmin()] * share, atol=1e-5)
    others = [code for code in range(CODES) if code != 3]
    if update == "gradient":
        assert torch.equal(codebook.entries[others], before[others])
    else:
        assert (codebook.entries[others] * before[others]).sum(dim=1).min() > 0.9


@pytest.mark.parametrize(("positions_per_entry", "dead"), [(1, True), (0.25, False)])
def test_the_threshold_of_revival_scales_with_positions_per_entry(positions_per_entry: float, dead: bool) -> None:
    codebook = book(codebook_update="gradient", revive_after=0.2, ema_decay=0.9999)
    codebook.initialised.fill_(True)
    codebook.usage.fill_(0.1)
    entries = codebook.entries.detach().clone()
    batch = int(CODES * positions_per_entry)
    codebook(maps(batch=batch, size=1), learn=everyone(batch), generator=source())
    assert torch.equal(codebook.entries, entries) is not dead


def test_with_revival_off_nothing_is_replaced() -> None:
    codebook = book(codebook_update="gradient", revive_after=0.0)
    codebook(maps(seed=2), learn=everyone(), generator=source())
    codebook.usage.zero_()
    entries = codebook.entries.detach().clone()
    codebook(maps(seed=3), learn=everyone(), generator=source())
    assert torch.equal(codebook.entries, entries)


@pytest.mark.parametrize("update", UPDATES)
def test_a_step_whose_batch_revives_entries_can_be_differentiated(update: str) -> None:
    codebook = book(codebook_update=update, revive_after=1.0)
    for seed in range(3):
        features = maps(seed=seed).requires_grad_()
        found = codebook(features, learn=everyone(), generator=source(seed))
        (found.vq + found.commit + found.z.sum()).backward()
        assert features.grad.isfinite().all()


@pytest.mark.parametrize("update", UPDATES)
def test_both_modalities_in_one_call_are_quantised_as_alone(update: str) -> None:
    codebook = book(codebook_update=update).eval()
    c, m = maps(seed=1), maps(seed=2)
    both = codebook(torch.cat([c, m]))
    assert torch.equal(both.codes, torch.cat([codebook(c).codes, codebook(m).codes]))
    assert torch.allclose(both.z, torch.cat([codebook(c).z, codebook(m).z]))


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("first", [True, False])
def test_samples_that_do_not_learn_change_neither_codebook_nor_losses(update: str, first: bool) -> None:
    learn = torch.tensor([True, False, True, False])

    def after(features: torch.Tensor, learn: torch.Tensor) -> tuple[dict[str, torch.Tensor], float, float]:
        codebook = book(codebook_update=update, revive_after=0.5)
        if not first:
            codebook(maps(seed=7), learn=everyone(), generator=source())
        found = codebook(features, learn=learn, generator=source(1))
        assert len(found.codes) == len(features)
        return state(codebook), found.vq.item(), found.commit.item()

    features = maps()
    others = features.clone()
    others[~learn] = maps(2, seed=99)
    mine = after(features, learn)
    alone = after(features[learn], everyone(2))
    assert not same(mine[0], state(book()))
    for result in (after(others, learn), alone):
        assert same(mine[0], result[0])
        assert mine[1:] == pytest.approx(result[1:], rel=1e-6)


@pytest.mark.parametrize("update", UPDATES)
def test_samples_that_do_not_learn_get_no_gradient_from_the_losses(update: str) -> None:
    features = maps().requires_grad_()
    found = book(codebook_update=update)(features, learn=torch.tensor([True, False, True, False]), generator=source())
    (found.vq + found.commit).backward()
    assert not features.grad[[1, 3]].any()
    assert features.grad[[0, 2]].any()


def scoring(codebook: CosineCodebook) -> None:
    codebook(maps(seed=3))


def nobody(codebook: CosineCodebook) -> None:
    codebook(maps(seed=3), learn=~everyone(), generator=source())


def evaluation(codebook: CosineCodebook) -> None:
    codebook.eval()(maps(seed=3), learn=everyone(), generator=source())


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("started", [True, False])
@pytest.mark.parametrize("call", [scoring, nobody, evaluation])
def test_passes_that_do_not_train_change_nothing(
    update: str, started: bool, call: Callable[[CosineCodebook], None]
) -> None:
    codebook = book(codebook_update=update, revive_after=1.0)
    if started:
        codebook(maps(seed=2), learn=everyone(), generator=source())
        codebook.usage[0] = 0
    before = state(codebook)
    call(codebook)
    assert same(before, state(codebook))


@pytest.mark.parametrize("learn", [None, torch.zeros(4, dtype=torch.bool)])
def test_without_learners_losses_are_zero(learn: torch.Tensor | None) -> None:
    found = book()(maps(), learn=learn, generator=source())
    assert found.vq.item() == found.commit.item() == 0


def test_the_generator_alone_decides_and_the_global_state_stays() -> None:
    before = torch.get_rng_state()

    def after(seed: int) -> dict[str, torch.Tensor]:
        codebook = book(revive_after=1.0)
        for step in range(3):
            codebook(maps(seed=step), learn=everyone(), generator=source(seed))
        return state(codebook)

    assert same(after(1), after(1))
    assert not same(after(1), after(2))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_position_without_direction_stays_finite() -> None:
    features = maps()
    features[0] = 0
    features.requires_grad_()
    codebook = book()
    found = codebook(features, learn=everyone(), generator=source())
    found.commit.backward()
    assert found.z.isfinite().all()
    assert features.grad.isfinite().all()
    assert codebook.entries.isfinite().all()


def test_nearest_in_pieces_is_nearest_at_once() -> None:
    points, entries = directions(maps(300)), directions(maps(30, seed=8))
    assert len(points) > 2 * 1024
    assert torch.equal(nearest(points, entries), (points @ entries.t()).argmax(dim=1))
