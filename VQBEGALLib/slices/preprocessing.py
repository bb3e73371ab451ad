"""From a volume's own intensities and pixels to the network's: windowed, normalised, one square grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from VQBEGALLib.config import Modality, SliceSettings
from VQBEGALLib.errors import InputError
from VQBEGALLib.slices.frame import SliceFrame
from VQBEGALLib.volumes import Volume

Images = npt.NDArray[np.float32]
"""(N, H, W), 0 to 1."""


@dataclass(frozen=True)
class PlaneGrid:
    """The square pixel grid that a frame's planes are resampled to, centred on the field of view.

    Args:
        size: rows and columns H = W.
        step: plane pixels per grid pixel along rows and columns.
        offset: plane coordinates of the grid's first pixel centre, plane pixels.
        plane: rows and columns R, C of the plane.
    """

    size: int
    step: tuple[float, float]
    offset: tuple[float, float]
    plane: tuple[int, int]

    @classmethod
    def of(cls, frame: SliceFrame, settings: SliceSettings) -> PlaneGrid:
        """Return the grid for a frame: square pixels of the set size, or as large as shows the whole field of view."""
        plane = frame.shape[1:]
        extent = max(count * pixel for count, pixel in zip(plane, frame.pixel, strict=True))
        spacing = settings.pixel_spacing or extent / settings.size
        step = (spacing / frame.pixel[0], spacing / frame.pixel[1])
        offset = [(count - 1) / 2 - each * (settings.size - 1) / 2 for count, each in zip(plane, step, strict=True)]
        return cls(settings.size, step, (offset[0], offset[1]), plane)

    def to_grid(self, planes: npt.NDArray[np.float32], *, fill: float = 0.0) -> Images:
        """Resample planes (N, R, C) to (N, H, W): Gaussian against aliasing, then linear; outside is ``fill``."""
        from scipy import ndimage  # takes longer to load than all else here

        out = np.empty((len(planes), self.size, self.size), np.float32)
        sigma = [max(0.0, (each - 1) / 2) for each in self.step]  # scikit-image's resize takes the same
        for plane, target in zip(planes, out, strict=True):
            smooth = ndimage.gaussian_filter(plane, sigma, mode="nearest") if any(sigma) else plane
            ndimage.affine_transform(
                smooth,
                self.step,
                self.offset,
                output=target,
                output_shape=target.shape,
                order=1,
                mode="grid-constant",  # "constant" drops a border pixel whose centre rounding puts outside the plane
                cval=fill,
            )
        return out

    def to_plane(self, images: Images) -> npt.NDArray[np.float32]:
        """Resample (N, H, W) back to planes (N, R, C), linear; outside the grid is 0."""
        from scipy import ndimage

        out = np.empty((len(images), *self.plane), np.float32)
        inverse = [1 / each for each in self.step]
        offset = [-start / each for start, each in zip(self.offset, self.step, strict=True)]
        for image, target in zip(images, out, strict=True):
            ndimage.affine_transform(
                image, inverse, offset, output=target, output_shape=self.plane, order=1, mode="grid-constant"
            )
        return out


def normalise(volume: Volume, modality: Modality, settings: SliceSettings) -> npt.NDArray[np.float32]:
    """Map intensities to 0…1: a Hounsfield window for CT, percentiles of the volume for MR; beyond is clipped.

    Returns:
        (K, J, I) float32.

    Raises:
        InputError: the volume has one value everywhere (within the window).
    """
    if modality == "CT":
        low, high = settings.ct_window
    else:
        low, high = (float(value) for value in np.percentile(volume.voxels.astype(np.float32), settings.mr_percentiles))
    if high > low:
        scaled = (volume.voxels.astype(np.float32) - np.float32(low)) / np.float32(high - low)
        scaled = np.clip(scaled, 0, 1, out=scaled)
        if scaled.min() < scaled.max():
            return scaled
    raise InputError(
        f"The {modality} volume shows the same intensity everywhere.",
        "Check that the right series was chosen and, for CT, that its values are Hounsfield units.",
    )


def prepare(volume: Volume, modality: Modality, settings: SliceSettings) -> Images:
    """Return all slices of a volume as the network sees them, (N, H, W) in the volume's own slice order.

    Raises:
        InputError: the volume has one value everywhere.
    """
    frame = SliceFrame.of(volume)
    planes = frame.planes(normalise(volume, modality, settings))
    return PlaneGrid.of(frame, settings).to_grid(planes)


def prepare_masks(labelmap: Volume, settings: SliceSettings, indices: list[int]) -> npt.NDArray[np.uint8]:
    """Return chosen slices of a labelmap on the network's grid, (n, H, W) with the values of the labelmap.

    A pixel belongs to the organ of largest share, the first of equal ones, unless more of it is background; with one
    organ, where half a pixel or more is organ.
    """
    frame = SliceFrame.of(labelmap)
    planes, grid = frame.planes(labelmap.voxels)[indices], PlaneGrid.of(frame, settings)
    shape = (len(planes), grid.size, grid.size)
    masks, largest, background = np.zeros(shape, np.uint8), np.zeros(shape, np.float32), np.ones(shape, np.float32)
    for value in np.unique(planes[planes > 0]):
        share = grid.to_grid((planes == value).astype(np.float32))
        masks[share > largest] = value
        np.maximum(largest, share, out=largest)
        background -= share
    masks[largest < background] = 0
    return masks
