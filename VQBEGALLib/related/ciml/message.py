"""What one modality's segmentor tells the other's: a gate in space, then a variational bottleneck.

Shen et al., 2024, section 3.2: of the sender's features only what the receiver lacks should pass. Cross-modal spatial
attention says where there is such a thing; the bottleneck charges for what passes (Alemi et al., 2017).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

SENDER_GRID = 32
"""Rows and columns of the sender's map that are attended to, at most; a larger one is averaged down to them."""

REACH = 0.1
"""Distance at which the untrained attention to a place has fallen to exp(−1/2), as a share of the slice's side."""

REACHES = (0.01, 10.0)
"""Least and largest reach: below, a place attends to itself alone on any map; above, distance hardly counts."""

LIMIT = 8.0
"""Bound of log σ², which the network nears and never reaches: nothing overflows, and the gradient never ends."""


@dataclass(frozen=True)
class Message:
    """What passes to the segmented slices of a batch.

    Args:
        content: takes the place of the partner's map in the decoder, (B, d, h, w).
        information: KL(N(μ, σ²) ‖ N(0, I)) at each of the receiver's positions, nats, (B, 1, h, w).
        gate: share that is let through at each of the receiver's positions, 0 to 1, (B, 1, h, w).
        attention: how much each of the receiver's positions heard of each of the sender's; rows sum to 1,
            (B, h w, h' w').
        grid: rows and columns h', w' of the sender's positions.
    """

    content: Tensor
    information: Tensor
    gate: Tensor
    attention: Tensor
    grid: tuple[int, int]

    @property
    def kl(self) -> Tensor:
        """KL divergence of each slice, nats, mean over positions, (B,)."""
        return self.information.mean(dim=(1, 2, 3))

    @property
    def taken(self) -> Tensor:
        """What passed at each of the receiver's positions, 0 to 1, (B, 1, h, w): gate · (1 − exp(−information)).

        The gate alone does not tell: where the bottleneck is shut nothing passes an open gate, and nothing closes it.
        """
        return self.gate * -torch.expm1(-self.information)

    @property
    def read(self) -> Tensor:
        """Sum of what was taken from each of the sender's positions, cut off at 1, (B, 1, h', w')."""
        scale = self.attention.shape[2] / self.attention.shape[1]  # 1 unless the sender's map was averaged down
        taken: Tensor = scale * (self.taken.flatten(2) @ self.attention)  # (B, 1, h' w')
        return taken.clamp(max=1).reshape(len(taken), 1, *self.grid)


class MessagePassing(nn.Module):
    """Messages to one modality's segmentor from the other's.

    The receiver's positions ask and the sender's answer. Content decides who answers, weighed by how near both lie in
    the slice: where slices are registered the answer is the sender's own place, and the learnt reach says how far to
    look where they are not. Nothing behind the gate has a bias, so that a closed gate sends exactly N(0, I): no
    information at no cost.

    Args:
        channels: of the features, d.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Conv2d(channels, channels, 1, bias=False) for _ in range(3))
        self.gate = nn.Conv2d(2 * channels, 1, 1)
        self.mean = nn.Conv2d(channels, channels, 1, bias=False)
        self.log_variance = nn.Conv2d(channels, channels, 1, bias=False)
        self.log_reach = nn.Parameter(torch.tensor(math.log(REACH)))

    def forward(self, receiver: Tensor, sender: Tensor, noise: Tensor | None = None) -> Message:
        """Pass a message.

        Args:
            receiver: features of the slices to segment, (B, d, h, w).
            sender: features of their partners, (B, d, h, w).
            noise: ε of the sample μ + σ ε, (B, d, h, w); None passes μ.
        """
        rows, columns = (min(count, SENDER_GRID) for count in sender.shape[2:])
        sender = functional.adaptive_avg_pool2d(sender, (rows, columns))  # (B, d, h', w')
        attention = self._attention(receiver, sender)  # (B, h w, h' w')
        heard = (attention @ self.value(sender).flatten(2).mT.to(attention)).mT.unflatten(2, receiver.shape[2:])
        gate = self.gate(torch.cat([receiver, heard.to(receiver)], dim=1)).to(torch.float32).sigmoid()  # (B, 1, h, w)
        let = gate * heard  # (B, d, h, w)
        mean = self.mean(let).to(torch.float32)
        log_variance = LIMIT * (self.log_variance(let).to(torch.float32) / LIMIT).tanh()
        content = mean if noise is None else mean + noise * (log_variance / 2).exp()
        return Message(content, divergence(mean, log_variance), gate, attention, (rows, columns))

    def _attention(self, receiver: Tensor, sender: Tensor) -> Tensor:
        """Return for each receiver's position how much it takes of each of the sender's; rows sum to 1."""
        query, key = self.query(receiver).flatten(2), self.key(sender).flatten(2)  # (B, d, h w), (B, d, h' w')
        alike = (query.mT @ key).to(torch.float32) / math.sqrt(query.shape[1])
        near = squared_distances(receiver.shape[2:], sender.shape[2:], alike.device)
        log_reach = self.log_reach.clamp(*map(math.log, REACHES))
        attention: Tensor = (alike - near / (2 * (2 * log_reach).exp())).softmax(dim=2)
        return attention


def squared_distances(first: torch.Size, second: torch.Size, device: torch.device) -> Tensor:
    """Return squared distances between the positions of two maps of one slice, its side 1, (h w, h' w')."""

    def centres(shape: torch.Size) -> Tensor:
        axes = [(torch.arange(count, device=device, dtype=torch.float32) + 0.5) / count for count in shape]
        return torch.cartesian_prod(*axes)  # (h w, 2)

    return (centres(first)[:, None] - centres(second)[None]).square().sum(dim=2)


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return KL(N(μ, σ²) ‖ N(0, I)) = ½ Σ (μ² + σ² − 1 − log σ²) at each position, nats (Kingma and Welling, 2014, B).

    Args:
        mean: μ, (B, d, h, w).
        log_variance: log σ², (B, d, h, w).

    Returns:
        Sum over channels, (B, 1, h, w).
    """
    # expm1 keeps what 1 would swallow of a σ² near 1
    terms = (mean.square() + torch.expm1(log_variance) - log_variance) / 2
    return terms.sum(dim=1, keepdim=True)
