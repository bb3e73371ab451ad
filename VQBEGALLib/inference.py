"""A volume in, a labelmap in the volume's own geometry out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from torch import Tensor

from VQBEGALLib.config import Config
from VQBEGALLib.errors import OutOfMemoryError
from VQBEGALLib.events import Reporter
from VQBEGALLib.network import VQBEGAL
from VQBEGALLib.slices import PlaneGrid, SliceFrame, SlicePair, pair_slices, prepare
from VQBEGALLib.slices.pool import show_the_same
from VQBEGALLib.slices.reader import PairImages
from VQBEGALLib.volumes import Volume

BATCH = 16
"""Slices segmented at a time."""

Probabilities = npt.NDArray[np.float32]
"""(C, H, W): probability of each organ on a slice, on the network's grid."""


def predict(
    model: VQBEGAL,
    config: Config,
    primary: Volume,
    auxiliary: Volume | None = None,
    *,
    device: torch.device,
    reporter: Reporter,
) -> Volume:
    """Segment a primary volume, with or without an auxiliary volume; no registration is needed.

    Args:
        model: trained network.
        config: its configuration.
        primary: volume to segment, any orientation.
        auxiliary: volume of the other modality, paired by relative position along the body; or None. A network
            trained with ``pairing = none`` knows the primary alone: there it is left out, with a warning.
        device: where to compute.
        reporter: receives progress.

    Returns:
        uint8 labelmap, 0 outside and 1 to C in the organs, on the primary volume's grid.

    Raises:
        InputError: a volume cannot be prepared.
        OutOfMemoryError: the device has too little memory.
        CancelledError: a person asked to stop.
    """
    settings = config.slices
    if auxiliary is not None and settings.pairing == "none":
        reporter.warn(f"The network was trained without {settings.auxiliary_modality}; that volume is left out.")
        auxiliary = None
    images = prepare(primary, settings.primary_modality, settings)
    others = None if auxiliary is None else prepare(auxiliary, settings.auxiliary_modality, settings)
    pairs = pair_slices(
        {"": SliceFrame.of(primary)},
        {} if auxiliary is None else {"": SliceFrame.of(auxiliary)},
        pairing="relative_position",
        generator=np.random.default_rng(config.seed),
        aligned=[""] if auxiliary is not None and show_the_same(primary, auxiliary, settings) else [],
    )

    def read(batch: list[SlicePair]) -> PairImages:
        mine = images[[pair.slice for pair in batch]]
        if others is None:
            return PairImages(mine, np.zeros_like(mine), np.zeros(len(batch), np.bool_))
        return PairImages(mine, others[[pair.partner_slice or 0 for pair in batch]], np.ones(len(batch), np.bool_))

    return to_labelmap(segment_slices(model, pairs, read, device=device, reporter=reporter), primary, config)


def segment_slices(
    model: VQBEGAL,
    pairs: list[SlicePair],
    read: Callable[[list[SlicePair]], PairImages],
    *,
    device: torch.device,
    reporter: Reporter,
) -> Iterator[Probabilities]:
    """Yield the organs' probabilities on each pair's primary slice, with the partner where there is one.

    A batch is segmented when its first slice is asked for: a volume's probabilities never lie in memory together.
    """
    model = model.to(device).eval()
    with reporter.stage("segment", len(pairs), unit="slice") as stage:
        for start in range(0, len(pairs), BATCH):
            batch = pairs[start : start + BATCH]
            yield from _segment_batch(model, batch, read(batch), device)
            stage.advance(len(batch))


def _segment_batch(
    model: VQBEGAL, batch: list[SlicePair], images: PairImages, device: torch.device
) -> npt.NDArray[np.float32]:
    """Return probabilities (n, C, H, W) on the primary slices of a batch."""
    present = images.present
    if model.needs_registered:
        present = present & np.array([pair.aligned for pair in batch])
    try:
        with torch.inference_mode():
            x = torch.from_numpy(images.primary[:, None]).to(device)
            partner = torch.from_numpy(images.auxiliary[:, None]).to(device)
            return _logits(model, x, partner, present).sigmoid().cpu().numpy()
    except torch.cuda.OutOfMemoryError:
        size = images.primary.shape[-1]
        raise OutOfMemoryError(
            f"The {device.type} device has too little memory for {BATCH} slices of {size} × {size} pixels.",
            "Close other programs that use it, or use --device cpu.",
        ) from None


def _logits(model: VQBEGAL, x: Tensor, partner: Tensor, present: npt.NDArray[np.bool_]) -> Tensor:
    """Return logits (n, C, H, W) of slices, of which only some have a partner."""
    order, parts = [], []
    for having in (True, False):
        rows = torch.from_numpy(np.flatnonzero(present == having)).to(x.device)
        if len(rows):
            parts.append(model.segment(x[rows], partner[rows] if having else None).to(x))
            order.append(rows)
    return torch.cat(parts)[torch.cat(order).argsort()]


def to_labelmap(slices: Iterable[Probabilities], grid: Volume, config: Config) -> Volume:
    """Resample probabilities to a volume's own planes, cut at the threshold, keep the largest component if asked.

    A voxel belongs to the organ of largest probability, the first of equal ones, if that reaches the threshold; the
    largest component is kept of each organ.

    Args:
        slices: of each slice in the volume's own order, taken one at a time.
        grid: any volume on the grid.
        config: settings of slices and inference.

    Returns:
        uint8 labelmap on ``grid``, 0 outside and 1 to C in the organs.
    """
    frame = SliceFrame.of(grid)
    mask = np.zeros(grid.shape, np.uint8)
    planes = frame.planes(mask)
    plane_grid = PlaneGrid.of(frame, config.slices)
    threshold = config.inference.threshold
    for index, organs in enumerate(slices):
        # linear interpolation stays below an organ's maximum: an organ that is nowhere likely enough is not resampled
        likely = np.flatnonzero(organs.max(axis=(1, 2)) >= threshold)
        if len(likely):
            resampled = plane_grid.to_plane(organs[likely])  # (likely organs, R, C')
            planes[index] = (likely[resampled.argmax(axis=0)] + 1) * (resampled.max(axis=0) >= threshold)
    if config.inference.largest_component:
        mask = largest_components(mask, int(mask.max()))
    return grid.with_voxels(mask)


def uncertainty(slices: Iterable[Probabilities]) -> list[float]:
    """Return each slice's mean binary entropy over pixels and organs, bits: 0 where all is certain, 1 where nothing."""
    values = []
    for image in slices:
        p = np.clip(image.astype(np.float64), 1e-12, 1 - 1e-12)
        values.append(float(-(p * np.log2(p) + (1 - p) * np.log2(1 - p)).mean()))
    return values


def largest_components(mask: npt.NDArray[np.uint8], count: int) -> npt.NDArray[np.uint8]:
    """Return a labelmap (K, J, I) with only the largest 6-connected component of each of ``count`` organs."""
    if count == 1:
        return largest_component(mask)
    kept = np.zeros_like(mask)
    for value in range(1, count + 1):
        organ = largest_component((mask == value).astype(np.uint8))
        kept[organ > 0] = value
    return kept


def largest_component(mask: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return only the largest 6-connected component of a 0/1 mask (K, J, I)."""
    parts, count = ndimage.label(mask)
    if count < 2:
        return mask
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    kept: npt.NDArray[np.uint8] = (parts == sizes.argmax()).astype(np.uint8)
    return kept
