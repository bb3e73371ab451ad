"""The loss of CIML: both segmentors', each over its tasks, and the price of the messages (Shen et al., 2024, 3.2)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from VQBEGALLib.config import Config
from VQBEGALLib.errors import InputError
from VQBEGALLib.network.model import PairEncoding
from VQBEGALLib.related.ciml.message import Message
from VQBEGALLib.related.ciml.network import CIML
from VQBEGALLib.slices import SlicePair
from VQBEGALLib.training.batches import Batch
from VQBEGALLib.training.losses import segmentation_loss
from VQBEGALLib.training.step import StepLoss, encode, objective, watch


def require_registered(pairs: Sequence[SlicePair], config: Config) -> None:
    """Make sure that somebody can teach and lend the organs that the primary's tasks leave out.

    Raises:
        InputError: there are such organs, and a slice has a partner that does not show the same anatomy, or none has
            one that does.
    """
    tasks, _ = config.ciml.task_map(config.organs)
    missing = [organ for organ, own in zip(config.organs, tasks, strict=True) if not own]
    strange = any(pair.partner is not None and not pair.aligned for pair in pairs)
    if missing and (strange or not any(pair.aligned for pair in pairs)):
        raise InputError(
            f"primary_tasks leaves {', '.join(missing)} to the {config.slices.auxiliary_modality}, but not all "
            "patients have both volumes on one grid.",
            "Leave primary_tasks empty, or give registered volumes of one grid.",
        )


@objective("ciml", check=require_registered)
def ciml_loss(model: CIML, batch: Batch, config: Config, /, *, progress: float, generator: torch.Generator) -> StepLoss:
    """Return w_seg (L_seg of the primary + L_seg of the auxiliary) + β (KL to the primary + KL to the auxiliary).

    The auxiliary's segmentor learns where its slice is labelled (``supervise = both``), and where both slices show the
    same anatomy: there the primary's labels are its labels. Messages are charged where a segmentor uses them.
    """
    learn = torch.ones_like(batch.present)
    encoding = encode(model, batch, learn, generator)
    features = encoding.primary.features[: len(batch.masks)]
    noise, noise_m = (batch.share.normal(features, generator) for _ in range(2))
    source = batch.share.source(generator)  # of dropout masks
    seg, kl, gate = _primary(model, encoding, batch, noise, source)
    seg_auxiliary, kl_auxiliary = _auxiliary(model, encoding, batch, config, noise_m, source)
    watched = watch(model, encoding, batch, learn, config, progress=progress)
    total = config.training.weight_seg * (seg + seg_auxiliary) + watched.total
    total = total + config.ciml.weight(progress) * (kl + kl_auxiliary)
    terms = {"seg": seg, "seg_auxiliary": seg_auxiliary, "kl": kl, "kl_auxiliary": kl_auxiliary, "gate": gate}
    return StepLoss(total, {**{name: value.detach() for name, value in terms.items()}, **watched.terms})


def _primary(
    model: CIML, encoding: PairEncoding, batch: Batch, noise: Tensor, source: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Return L_seg of the primary's segmentor, mean KL and mean gate of the messages that it uses."""
    count = len(batch.masks)
    own, other = encoding.primary.features[:count], encoding.auxiliary.features[:count]
    message = model.pass_message(own, other, noise=noise)
    hidden = batch.dropped | ~batch.present[:count]
    skips = tuple(skip[:count] for skip in encoding.primary.skips)
    logits = model.decoder(own, message.content.to(own), hidden, skips, generator=source)
    return _over_tasks(logits, batch.masks, model.tasks[0], batch), *_price(message, ~hidden, batch)


def _auxiliary(
    model: CIML, encoding: PairEncoding, batch: Batch, config: Config, noise: Tensor, source: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return L_seg of the auxiliary's segmentor and mean KL of its messages; 0 where nothing teaches it."""
    count = len(batch.masks)
    own, other = encoding.auxiliary.features[:count], encoding.primary.features[:count]
    labelled = batch.auxiliary_labelled & (config.training.supervise == "both")
    taught = (labelled | batch.aligned[:count]) & batch.present[:count]
    if not batch.share.any(taught):
        return own.new_zeros(()), own.new_zeros(())
    message = model.pass_message(own, other, auxiliary=True, noise=noise)
    rows = taught.nonzero().flatten()
    masks = torch.where(labelled[:, None, None, None], batch.auxiliary_masks, batch.masks)[rows]
    skips = tuple(skip[rows] for skip in encoding.auxiliary.skips)
    content = message.content[rows].to(own)
    logits = model.decoder_m(own[rows], content, batch.dropped[rows], skips, generator=source)
    kl, _ = _price(message, taught & ~batch.dropped, batch)
    return _over_tasks(logits, masks, model.tasks[1], batch), kl


def _over_tasks(logits: Tensor, masks: Tensor, tasks: Sequence[bool], batch: Batch) -> Tensor:
    """Return L_seg over a segmentor's own organs."""
    chosen = torch.tensor(tasks, device=logits.device)
    return segmentation_loss(logits[:, chosen], masks[:, chosen], batch.share)


def _price(message: Message, used: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return mean KL and mean gate of the messages in use, over all processes; 0 where none is."""
    weights = used.to(message.kl)
    sums = [(weights * message.kl).sum(), (weights * message.gate.detach().mean(dim=(1, 2, 3))).sum(), weights.sum()]
    kl, gate, count = batch.share.sum(torch.stack(sums))
    return kl / count.clamp(min=1), gate / count.clamp(min=1)
