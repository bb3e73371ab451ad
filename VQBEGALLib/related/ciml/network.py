"""The network of CIML: a segmentor each modality, which tell each other what the other lacks (Shen et al., 2024)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from VQBEGALLib.config import Config, NetworkSettings
from VQBEGALLib.network.decoder import Decoder
from VQBEGALLib.network.registry import architecture
from VQBEGALLib.related.ciml.message import Message, MessagePassing
from VQBEGALLib.related.network import JoinedNetwork

UNKNOWN = -20.0
"""Logit of an organ that a segmentor does not look for."""


@dataclass(frozen=True)
class Attention:
    """What the segmentation of slices took from their partners.

    Args:
        taken: where on the segmented slices, 0 to 1, (B, 1, H, W), see :attr:`Message.taken`.
        read: from where on the partners, 0 to 1, (B, 1, H, W), see :attr:`Message.read`.
    """

    taken: Tensor
    read: Tensor


class CIML(JoinedNetwork):
    """Encoder and decoder of each modality, with messages in place of the partner's map.

    Where an organ is not a segmentor's task its logit is :data:`UNKNOWN`, or the other segmentor's where both slices
    show the same anatomy.

    Args:
        settings: sizes and switches.
        primary_tasks: which organs the primary's segmentor is for, (C).
        auxiliary_tasks: which organs the auxiliary's is for, (C).
    """

    def __init__(
        self, settings: NetworkSettings, primary_tasks: Sequence[bool], auxiliary_tasks: Sequence[bool]
    ) -> None:
        super().__init__(settings, len(primary_tasks))
        self.decoder_m = Decoder(settings, len(auxiliary_tasks))
        self.message_c = MessagePassing(settings.code_dim)
        self.message_m = MessagePassing(settings.code_dim)
        self.tasks = (tuple(primary_tasks), tuple(auxiliary_tasks))
        self.needs_registered = not all(primary_tasks)
        for decoder, tasks in zip((self.decoder, self.decoder_m), self.tasks, strict=True):
            _forget(decoder.head, tasks)

    def pass_message(
        self, own: Tensor, other: Tensor, *, auxiliary: bool = False, noise: Tensor | None = None
    ) -> Message:
        """Return what the partners tell, see :meth:`MessagePassing.forward`; ``auxiliary`` as in :meth:`join`."""
        message: Message = (self.message_m if auxiliary else self.message_c)(own, other, noise)
        return message

    def join(self, own: Tensor, other: Tensor | None, *, auxiliary: bool) -> tuple[Tensor, Tensor]:
        """See :meth:`JoinedNetwork.join`: the second map is the mean message."""
        if other is None:
            return own, torch.zeros_like(own)
        return own, self.pass_message(own, other, auxiliary=auxiliary).content.to(own)

    def segment(self, x: Tensor, partner: Tensor | None = None, *, auxiliary: bool = False) -> Tensor:
        """See :meth:`VQBEGAL.segment`; with ``auxiliary`` by the segmentor that labels of that modality train.

        Where :attr:`needs_registered`, a partner shows the same anatomy pixel by pixel, and lends the organs that are
        not this segmentor's task.
        """
        logits = self._alone(x, partner, auxiliary)
        tasks = self.tasks[auxiliary]
        if partner is None or not self.needs_registered or all(tasks):
            return logits
        return torch.where(_channels(tasks, logits), logits, self._alone(partner, x, not auxiliary))

    def _alone(self, x: Tensor, partner: Tensor | None, auxiliary: bool) -> Tensor:
        """Return what one segmentor says of all organs, also of those that are not its task."""
        decoder = self.decoder_m if auxiliary else self.decoder
        logits: Tensor = decoder(*self.decoder_inputs(x, partner, auxiliary=auxiliary))
        return logits

    def attention(self, x: Tensor, partner: Tensor, *, auxiliary: bool = False) -> Attention:
        """Return what the segmentation of slices takes from their partners, on the slices' own pixels.

        Args:
            x: slices to segment, (B, 1, H, W).
            partner: their partners of the other modality, (B, 1, H, W).
            auxiliary: the slices to segment are of the auxiliary modality.
        """
        own, other = (self.encoder_m, self.encoder_c) if auxiliary else (self.encoder_c, self.encoder_m)
        message = self.pass_message(own(x).features, other(partner).features, auxiliary=auxiliary)
        size = x.shape[2:]
        taken, read = (
            functional.interpolate(each, size=size, mode="bilinear", align_corners=False)
            for each in (message.taken, message.read)
        )
        return Attention(taken, read)


def _forget(head: nn.Conv2d, tasks: Sequence[bool]) -> None:
    """Let a decoder answer :data:`UNKNOWN` for what is not its task; without a loss there it stays so."""
    with torch.no_grad():
        others = ~torch.tensor(tasks)
        head.weight[others] = 0.0
        cast(Tensor, head.bias)[others] = UNKNOWN


def _channels(tasks: Sequence[bool], like: Tensor) -> Tensor:
    return torch.tensor(tasks, device=like.device)[None, :, None, None]


@architecture("ciml")
def _ciml(config: Config) -> CIML:
    return CIML(config.network, *config.ciml.task_map(config.organs))
