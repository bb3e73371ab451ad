"""Secondary capture: pictures of the slices with the segments burned in, for viewers that know no DICOM SEG.

Source: DICOM PS3.3, A.8.1 (Secondary Capture Image IOD), with the image plane's attributes so that viewers can scroll
the series along with its source.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from VQBEGALLib.export.heading import UTF_8, copy_study, one_line, series_number
from VQBEGALLib.export.overlay import Overlay, window_of
from VQBEGALLib.export.segmentation import SOFTWARE, Provenance, Segmentation
from VQBEGALLib.export.source import SourceSeries
from VQBEGALLib.volumes import Volume, on_grid
from VQBEGALLib.volumes.libraries import library

SERIES_OFFSET = 3000
"""What is added to the source's series number."""

_NEEDED_BY = "secondary capture"


def make_capture(segmentation: Segmentation, source: SourceSeries, image: Volume) -> Iterator[Any]:
    """Draw each slice that holds a segment; slices come one by one, so that a long series fits into memory.

    Args:
        segmentation: on the grid of the source, its voxels possibly in another order.
        source: the images.
        image: the values to draw, on the same grid: HU in CT.

    Returns:
        pydicom data sets of one new series with new UIDs, in the order of the slices, ready to be saved.

    Raises:
        InputError: the segmentation is empty, or it or the image is on another grid than the source.
        MissingDependencyError: highdicom or Pillow is not installed.
    """
    segments = segmentation.present()
    labelmap = source.align(segmentation.labelmap)
    image = on_grid(image, source.grid, name="The image")
    made = segmentation.provenance
    overlay = Overlay(
        segments=segments,
        window=window_of(image.voxels, source.text("Modality")),
        note=f"{made.description} · {SOFTWARE} {made.version}",
        columns=image.shape[2],
    )
    return _slices(labelmap, image, source, overlay, made)


def _slices(labelmap: Volume, image: Volume, source: SourceSeries, overlay: Overlay, made: Provenance) -> Iterator[Any]:
    hd = library("highdicom", needed_by=_NEEDED_BY)
    uid = library("pydicom.uid", needed_by=_NEEDED_BY)
    series = uid.generate_uid()
    for number, index in enumerate(np.flatnonzero(labelmap.voxels.any(axis=(1, 2))).tolist(), start=1):
        data = hd.sc.SCImage(
            pixel_array=overlay.draw(image.voxels[index], labelmap.voxels[index]),
            photometric_interpretation="RGB",
            bits_allocated=8,
            coordinate_system="PATIENT",
            patient_orientation=[_letter(direction) for direction in _directions(labelmap)],
            pixel_spacing=[spacing / overlay.zoom for spacing in labelmap.spacing[1:]],
            study_instance_uid=source.text("StudyInstanceUID"),
            series_instance_uid=series,
            series_number=series_number(source, SERIES_OFFSET),
            series_description=one_line(f"Overlay: {made.description}"),
            sop_instance_uid=uid.generate_uid(),
            instance_number=number,
            manufacturer=SOFTWARE,
            manufacturer_model_name=SOFTWARE,
            software_versions=made.version,
            specific_character_set=UTF_8,
            transfer_syntax_uid=uid.ExplicitVRLittleEndian,
        )
        copy_study(data, source)
        _describe(data, source.datasets[index], overlay, made)
        _place(data, labelmap, index, overlay.zoom)
        yield data


def _describe(data: Any, header: Any, overlay: Overlay, made: Provenance) -> None:
    """Say what the picture shows, what it was drawn from, and that no name is on it."""
    dataset = library("pydicom", needed_by=_NEEDED_BY).Dataset()
    dataset.ReferencedSOPClassUID, dataset.ReferencedSOPInstanceUID = header.SOPClassUID, header.SOPInstanceUID
    data.SourceImageSequence = [dataset]
    data.ConversionType, data.OperatorsName = "WSD", made.creator
    if header.get("BodyPartExamined"):
        data.BodyPartExamined = header.BodyPartExamined
    else:
        data.Laterality = ""  # the standard's word for: not known whether the part is a paired one
    data.BurnedInAnnotation = "YES" if header.get("BurnedInAnnotation") == "YES" else "NO"
    names = ", ".join(segment.name for segment in overlay.segments)
    data.DerivationDescription = one_line(f"Outlines drawn over the image: {names}")
    if header.get("LossyImageCompression"):
        data.LossyImageCompression = header.LossyImageCompression


def _place(data: Any, labelmap: Volume, index: int, zoom: int) -> None:
    """Say where the picture lies: its first pixel's centre is that of a part of the image's first pixel."""
    shift = (1 / zoom - 1) / 2
    corner = labelmap.affine @ (shift, shift, index, 1)
    data.ImagePositionPatient = [f"{part:.6f}" for part in corner[:3]]
    data.ImageOrientationPatient = [f"{part + 0.0:.10f}" for part in _directions(labelmap).ravel()]


def _directions(labelmap: Volume) -> npt.NDArray[np.float64]:
    """Return where rows and columns run, (2, 3), as unit vectors in LPS."""
    directions: npt.NDArray[np.float64] = (labelmap.affine[:3, :2] / labelmap.spacing[:0:-1]).T
    return directions


def _letter(direction: Any) -> str:
    """Return the side of the patient that a direction in LPS mostly points to."""
    axis = int(np.abs(direction).argmax())
    return ("RL", "AP", "FH")[axis][int(direction[axis] > 0)]
