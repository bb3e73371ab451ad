"""CIML's messages: the gate, the attention over the sender's positions, the bottleneck and its price."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from VQBEGALLib.related.ciml.message import (
    LIMIT,
    REACHES,
    SENDER_GRID,
    Message,
    MessagePassing,
    divergence,
    squared_distances,
)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def passing(channels: int = 4, seed: int = 0) -> MessagePassing:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MessagePassing(channels)


def told(seed: int = 0, **changes: Tensor) -> Message:
    maps = {"receiver": normal(2, 4, 3, 5, seed=1), "sender": normal(2, 4, 3, 5, seed=2), **changes}
    return passing(seed=seed)(**maps)


def test_the_price_is_the_divergence_that_torch_computes() -> None:
    mean, log_variance = normal(3, 4, 2, 5, seed=1), 2 * normal(3, 4, 2, 5, seed=2)
    sent, nothing = Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0)
    expected = kl_divergence(sent, nothing).sum(dim=1, keepdim=True)
    torch.testing.assert_close(divergence(mean, log_variance), expected)


def test_the_price_of_nothing_is_zero_and_its_gradient_too() -> None:
    mean, log_variance = torch.zeros(2, 3, 2, 2, requires_grad=True), torch.zeros(2, 3, 2, 2, requires_grad=True)
    price = divergence(mean, log_variance)
    price.sum().backward()
    assert torch.equal(price, torch.zeros(2, 1, 2, 2))
    assert not mean.grad.any()
    assert not log_variance.grad.any()


def test_a_tiny_price_is_not_rounded_away() -> None:
    price = divergence(torch.zeros(1, 1, 1, 1), torch.full((1, 1, 1, 1), 1e-3))
    assert float(price) == pytest.approx((math.expm1(1e-3) - 1e-3) / 2, rel=1e-3)


def test_a_message_by_hand() -> None:
    """Every step as loops over slices and positions."""
    net, receiver, sender = passing(), normal(2, 4, 3, 5, seed=1), normal(2, 4, 3, 5, seed=2)
    noise = normal(2, 4, 3, 5, seed=3)
    found = net(receiver, sender, noise)
    weight = {name: value.detach().squeeze() for name, value in net.state_dict().items()}
    reach = math.exp(weight["log_reach"])
    places = [(row, column) for row in range(3) for column in range(5)]
    for b in range(2):
        read, prices = torch.zeros(3, 5), []
        for r, c in places:
            own = receiver[b, :, r, c]
            logits = []
            for i, j in places:
                far = ((r - i) / 3) ** 2 + ((c - j) / 5) ** 2
                alike = (weight["query.weight"] @ own) @ (weight["key.weight"] @ sender[b, :, i, j]) / 2
                logits.append(alike - far / (2 * reach**2))
            attention = torch.stack(logits).softmax(dim=0)
            heard = sum(
                share * (weight["value.weight"] @ sender[b, :, i, j])
                for share, (i, j) in zip(attention, places, strict=True)
            )
            gate = (weight["gate.weight"] @ torch.cat([own, heard]) + weight["gate.bias"]).sigmoid()
            mean = weight["mean.weight"] @ (gate * heard)
            log_variance = LIMIT * torch.tanh(weight["log_variance.weight"] @ (gate * heard) / LIMIT)
            torch.testing.assert_close(found.gate[b, 0, r, c], gate)
            expected = mean + noise[b, :, r, c] * (log_variance / 2).exp()
            torch.testing.assert_close(found.content[b, :, r, c], expected)
            prices.append((mean**2 + log_variance.exp() - 1 - log_variance).sum() / 2)
            taken = gate * (1 - (-prices[-1]).exp())
            torch.testing.assert_close(found.taken[b, 0, r, c], taken, rtol=1e-4, atol=1e-6)
            read += taken * attention.reshape(3, 5)
        torch.testing.assert_close(found.information[b].flatten(), torch.stack(prices), rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(found.kl[b], torch.stack(prices).mean())
        torch.testing.assert_close(found.read[b, 0], read.clamp(max=1), rtol=1e-4, atol=1e-6)


def test_without_noise_the_mean_passes() -> None:
    net, receiver, sender = passing(), normal(2, 4, 3, 3, seed=1), normal(2, 4, 3, 3, seed=2)
    still, none = net(receiver, sender, torch.zeros(2, 4, 3, 3)), net(receiver, sender)
    assert torch.equal(still.content, none.content)
    first, second = (net(receiver, sender, normal(2, 4, 3, 3, seed=seed)).content for seed in (3, 4))
    assert not torch.equal(first, second)


def test_a_closed_gate_sends_a_standard_normal_whatever_the_sender() -> None:
    net = passing()
    with torch.no_grad():
        net.gate.bias.fill_(-1e4)
    noise = normal(2, 4, 3, 5, seed=3)
    message = net(normal(2, 4, 3, 5, seed=1), normal(2, 4, 3, 5, seed=2), noise)
    assert torch.equal(message.content, noise)
    assert torch.equal(message.kl, torch.zeros(2))
    assert not message.gate.any()
    assert not message.taken.any()
    assert not message.read.any()


def test_nothing_is_taken_through_a_shut_bottleneck_however_open_the_gate() -> None:
    net = passing()
    with torch.no_grad():
        net.mean.weight.zero_()
        net.log_variance.weight.zero_()
    message = net(normal(2, 4, 3, 5, seed=1), normal(2, 4, 3, 5, seed=2))
    assert message.gate.min() > 0
    assert not message.taken.any()
    assert not message.read.any()


def test_shares_lie_between_0_and_1() -> None:
    message = told(sender=20 * normal(2, 4, 3, 5, seed=2))
    assert 0 < message.gate.min() < message.gate.max() < 1
    for share in (message.taken, message.read):
        assert 0 < share.min() < share.max() <= 1
    torch.testing.assert_close(message.attention.sum(dim=2), torch.ones(2, 15))


def test_with_no_reach_each_place_reads_its_own() -> None:
    net = passing()
    with torch.no_grad():
        net.log_reach.fill_(-5)
        net.value.weight.copy_(torch.eye(4)[:, :, None, None])
        net.mean.weight.copy_(torch.eye(4)[:, :, None, None])
    sender = normal(1, 4, 6, 6, seed=2)
    message = net(normal(1, 4, 6, 6, seed=1), sender)
    torch.testing.assert_close(message.content, message.gate * sender)


def test_with_a_wide_reach_a_place_is_found_wherever_it_lies() -> None:
    """A sender turned upside down gives each place nearly the same message: content decides."""
    net = passing()
    with torch.no_grad():
        net.log_reach.fill_(20)
    receiver, sender = normal(1, 4, 6, 6, seed=1), normal(1, 4, 6, 6, seed=2)
    message, turned = net(receiver, sender), net(receiver, sender.flip(2))
    near, far = (turned.content - message.content).abs().max(), (turned.content - message.content.flip(2)).abs().max()
    assert near < 0.01 * far
    torch.testing.assert_close(turned.read, message.read.flip(2), rtol=0.01, atol=1e-6)


@pytest.mark.parametrize("log_reach", [-200.0, -50.0, 50.0, 200.0])
def test_a_reach_beyond_all_bounds_is_the_nearest_within(log_reach: float) -> None:
    found, expected = passing(), passing()
    with torch.no_grad():
        found.log_reach.fill_(log_reach)
        expected.log_reach.fill_(math.log(REACHES[log_reach > 0]))
    maps = normal(1, 4, 6, 6, seed=1), normal(1, 4, 6, 6, seed=2)
    message = found(*maps)
    assert torch.equal(message.content, expected(*maps).content)
    message.kl.sum().backward()
    assert all(weight.grad.isfinite().all() for weight in found.parameters() if weight.grad is not None)


def test_a_large_map_of_the_sender_is_averaged_down() -> None:
    receiver, sender = normal(1, 4, 4, 4, seed=1), normal(1, 4, 2 * SENDER_GRID, 2 * SENDER_GRID, seed=2)
    small = torch.nn.functional.avg_pool2d(sender, 2)
    found, expected = passing()(receiver, sender), passing()(receiver, small)
    torch.testing.assert_close(found.content, expected.content)
    assert found.read.shape == (1, 1, SENDER_GRID, SENDER_GRID)


def test_nothing_overflows_and_the_gradient_never_ends() -> None:
    net, receiver = passing(), normal(1, 4, 3, 3, seed=1)
    sender = 1e4 * normal(1, 4, 3, 3, seed=2)
    message = net(receiver, sender, normal(1, 4, 3, 3, seed=3))
    message.kl.sum().backward()
    assert message.content.isfinite().all()
    assert message.kl.isfinite().all()
    assert all(weight.grad.isfinite().all() for weight in net.parameters() if weight.grad is not None)


def test_distances_are_shares_of_the_slice_s_side() -> None:
    found = squared_distances(torch.Size((2, 2)), torch.Size((1, 1)), torch.device("cpu"))
    torch.testing.assert_close(found, torch.full((4, 1), 2 * 0.25**2))
    assert torch.equal(
        squared_distances(torch.Size((3, 2)), torch.Size((3, 2)), torch.device("cpu")).diagonal(), torch.zeros(6)
    )
