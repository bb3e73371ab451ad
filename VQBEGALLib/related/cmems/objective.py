"""The loss of CMEMS: two networks learn from annotated and synthetic slices, and on unlabelled ones from each other."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from VQBEGALLib.config import Config
from VQBEGALLib.network.decoder import Decoder
from VQBEGALLib.network.encoder import Encoding
from VQBEGALLib.related.cmems.mutual import Labels, consistency, known_loss, pseudo_labels
from VQBEGALLib.related.cmems.network import CMEMS, decode
from VQBEGALLib.related.cmems.perturbation import strong_view
from VQBEGALLib.related.cmems.synthetic import Pasted, deform, paste
from VQBEGALLib.related.ramp import ramp_up
from VQBEGALLib.training.batches import Batch
from VQBEGALLib.training.losses import segmentation_loss
from VQBEGALLib.training.step import StepLoss, encode, objective, watch


@dataclass(frozen=True)
class Sources:
    """The slices of a step besides those of the batch.

    Args:
        deformed: copies of the annotated slices, (b, 1, H, W).
        masks: their organs, (b, C, H, W).
        pasted: the unlabelled slices with organs of annotated ones, u.
        strong: the unlabelled slices' strong view, (u, 1, H, W).
    """

    deformed: Tensor
    masks: Tensor
    pasted: Pasted
    strong: Tensor

    @property
    def images(self) -> Tensor:
        """All slices, (b + 2 u, 1, H, W)."""
        return torch.cat([self.deformed, self.pasted.images, self.strong])


@dataclass(frozen=True)
class Outputs:
    """Logits of one network; gradients lead to it from all but ``weak``.

    Args:
        exemplar, deformed: of the annotated slices and their copies, (b, C, H, W).
        pasted, strong, dropped: of the unlabelled slices with pasted organs, in the strong view, and in the weak view
            with channels dropped, (u, C, H, W).
        weak: of the unlabelled slices as they are, (u, C, H, W).
    """

    exemplar: Tensor
    deformed: Tensor
    pasted: Tensor
    strong: Tensor
    dropped: Tensor
    weak: Tensor


@objective("cmems")
def cmems_loss(
    model: CMEMS, batch: Batch, config: Config, /, *, progress: float, generator: torch.Generator
) -> StepLoss:
    """Return L_seg on annotated and synthetic slices and the mutual losses of both networks (section 3.4).

    Several processes draw their synthetic slices and views each on its own, unlike one process with the whole batch;
    all sums and means run over the whole batch.
    """
    learn = torch.ones_like(batch.present)
    encoding = encode(model, batch, learn, generator)
    source = batch.share.source(generator)
    sources = synthesise(batch, config, source)
    settings, training = config.cmems, config.training
    extra = model.encoder_c(sources.images)
    first = predict(model.decoder, _joined(encoding.primary, extra), batch, settings.feature_drop, source)
    images = torch.cat([batch.primary, sources.images])
    second = predict(model.peer.decoder, model.peer.encoder(images), batch, settings.feature_drop, source)
    one = learned(first, second, batch, sources, settings.confidence)
    two = learned(second, first, batch, sources, settings.confidence)
    supervised = one["seg"] + two["seg"] + _auxiliary(model, encoding.auxiliary, batch, config, source)
    synthetic, image, feature = (one[name] + two[name] for name in ("synthetic", "image", "feature"))
    ramp = ramp_up(progress, settings.mutual_ramp)
    mutual = settings.weight_image * image + settings.weight_feature * feature
    watched = watch(model, encoding, batch, learn, config, progress=progress)
    total = training.weight_seg * (supervised + settings.weight_synthetic * synthetic + ramp * mutual)
    terms = {"seg": one["seg"], "peer": two["seg"], "synthetic": synthetic, "image": image, "feature": feature}
    return StepLoss(total + watched.total, {name: term.detach() for name, term in terms.items()} | watched.terms)


def synthesise(batch: Batch, config: Config, generator: torch.Generator) -> Sources:
    """Return what a step makes of its annotated and unlabelled slices."""
    count, settings = len(batch.masks), config.cmems
    exemplar, unlabelled = batch.primary[:count], batch.primary[count:]
    deformed, masks = deform(exemplar, batch.masks, settings.deformation, generator)
    moved, organs = deform(exemplar, batch.masks, settings.deformation, generator)
    pasted = paste(moved, organs, unlabelled, generator)
    return Sources(deformed, masks, pasted, strong_view(unlabelled, settings.perturbation, generator))


def predict(decoder: Decoder, encoding: Encoding, batch: Batch, drop: float, generator: torch.Generator) -> Outputs:
    """Return the logits of one network from its encoding of the batch's slices and, after them, of the sources'."""
    total, count = len(batch.primary), len(batch.masks)
    spare = total - count
    rows = torch.arange(len(encoding.features), device=encoding.features.device)
    exemplar, weak, other = torch.split(rows, [count, spare, len(rows) - total])
    labelled = decode(decoder, encoding.select(torch.cat([exemplar, other])), generator=generator)
    shown, deformed, pasted, strong = torch.split(labelled, [count, count, spare, spare])
    own = encoding.select(weak)
    if not spare:
        return Outputs(shown, deformed, pasted, strong, strong, strong)
    dropped = decode(decoder, own, drop=drop, generator=generator)
    with torch.no_grad():
        sure = decode(decoder, own)
    return Outputs(shown, deformed, pasted, strong, dropped, sure)


def learned(own: Outputs, other: Outputs, batch: Batch, sources: Sources, confidence: float) -> dict[str, Tensor]:
    """Return what one network learns from the annotated and synthetic slices, and from the other network."""
    taught, share = pseudo_labels(other.weak, confidence), batch.share
    pasted = sources.pasted
    # beside the pasted organs a slice shows what it showed: there the other network tells, where it is sure
    onto = Labels(torch.where(pasted.known, pasted.masks, taught.masks), torch.where(pasted.known, 1.0, taught.known))
    made = Labels(torch.cat([sources.masks, onto.masks]), torch.cat([torch.ones_like(sources.masks), onto.known]))
    return {
        "seg": segmentation_loss(own.exemplar, batch.masks, share),
        "synthetic": known_loss(torch.cat([own.deformed, own.pasted]), made, share),
        "image": consistency(own.strong, taught, share),
        "feature": consistency(own.dropped, taught, share),
    }


def _auxiliary(model: CMEMS, encoding: Encoding, batch: Batch, config: Config, generator: torch.Generator) -> Tensor:
    """Return L_seg of N1 on the labelled auxiliary slices with ``supervise = both``, else 0."""
    if config.training.supervise != "both" or not batch.share.any(batch.auxiliary_labelled):
        return batch.masks.new_zeros(())
    rows = batch.auxiliary_labelled.nonzero().flatten()
    logits = decode(model.decoder, encoding.select(rows), generator=generator)
    return segmentation_loss(logits, batch.auxiliary_masks[rows], batch.share)


def _joined(first: Encoding, second: Encoding) -> Encoding:
    """Return two encodings as one, samples of the first ahead."""
    skips = tuple(torch.cat(pair) for pair in zip(first.skips, second.skips, strict=True))
    return Encoding(skips, torch.cat([first.features, second.features]))
