"""DICOM Segmentation objects, by highdicom.

Source: DICOM PS3.3, A.51 (Segmentation IOD) and A.51.6 (labelmap, Supplement 243).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from VQBEGALLib.errors import InputError
from VQBEGALLib.export.heading import UTF_8, one_line, series_number
from VQBEGALLib.export.segmentation import SOFTWARE, Code, Segment, Segmentation
from VQBEGALLib.export.source import SourceSeries
from VQBEGALLib.volumes import Volume
from VQBEGALLib.volumes.libraries import library

Kind = Literal["BINARY", "LABELMAP"]
SERIES_OFFSET = 1000
"""What is added to the source's series number, so that the result comes after all of its study."""

_HD = "DICOM SEG"


def make_seg(segmentation: Segmentation, source: SourceSeries, *, kind: Kind = "BINARY") -> Any:
    """Make a segmentation object that refers to every source image; segments without a voxel are left out.

    Args:
        segmentation: on the grid of the source, its voxels possibly in another order.
        source: the images.
        kind: ``BINARY``, or ``LABELMAP``, which few systems read yet.

    Returns:
        A pydicom data set with new UIDs, ready to be saved.

    Raises:
        InputError: the segmentation is empty, a segment is not coded, or it is on another grid than the source.
        MissingDependencyError: highdicom is not installed.
    """
    hd = library("highdicom", needed_by=_HD)
    uid = library("pydicom.uid", needed_by=_HD)
    segments = coded_segments(segmentation)
    labelmap = _numbered(source.align(segmentation.labelmap), segments)
    made = segmentation.provenance
    description = one_line(made.description)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some of highdicom's quote the patient's name
        return hd.seg.Segmentation(
            source_images=source.datasets,
            **_pixels(hd, labelmap, source),
            segmentation_type=kind,
            segment_descriptions=[
                _description(hd, number, segment, segmentation) for number, segment in enumerate(segments, start=1)
            ],
            series_instance_uid=uid.generate_uid(),
            series_number=series_number(source, SERIES_OFFSET),
            series_description=description,
            sop_instance_uid=uid.generate_uid(),
            instance_number=1,
            manufacturer=SOFTWARE,
            manufacturer_model_name=SOFTWARE,
            software_versions=made.version,
            device_serial_number="none",
            content_description=description,
            content_creator_name=made.creator or None,
            specific_character_set=UTF_8,
        )


def coded_segments(segmentation: Segmentation) -> tuple[Segment, ...]:
    """Return the segments with a voxel.

    Raises:
        InputError: there is none, or one of them is not coded.
    """
    segments = segmentation.present()
    for segment in segments:
        if segment.type is None:
            raise InputError(
                f"{segment.name} has no code, which DICOM needs.", "Choose it from the terminology, or give its code."
            )
    return segments


def _numbered(labelmap: Volume, segments: Sequence[Segment]) -> Volume:
    """Return the labelmap with the segments' numbers, from 1 on without a gap, instead of their values."""
    if [segment.value for segment in segments] == list(range(1, len(segments) + 1)):
        return labelmap
    numbers = np.zeros(256, dtype=np.uint8)
    for number, segment in enumerate(segments, start=1):
        numbers[segment.value] = number
    return labelmap.with_voxels(numbers[labelmap.voxels])


def _pixels(hd: Any, labelmap: Volume, source: SourceSeries) -> dict[str, Any]:
    """Say where the voxels lie: by an affine, or plane by plane where a tilted gantry sheared them."""
    frame_of_reference = source.text("FrameOfReferenceUID")
    if labelmap.orthogonal:
        affine = labelmap.affine[:, [2, 1, 0, 3]]  # (k, j, i, 1) → LPS mm
        volume = hd.Volume(
            labelmap.voxels, affine, coordinate_system="PATIENT", frame_of_reference_uid=frame_of_reference
        )
        return {"pixel_array": volume}
    first = source.datasets[0]
    spacing = hd.PixelMeasuresSequence(
        pixel_spacing=labelmap.spacing[1:],
        slice_thickness=float(first.SliceThickness),
        spacing_between_slices=_between(labelmap),
    )
    corners = labelmap.affine @ np.array([(0, 0, index, 1) for index in range(labelmap.shape[0])]).T
    return {
        "pixel_array": labelmap.voxels,
        "plane_positions": [hd.PlanePositionSequence("PATIENT", corner) for corner in corners[:3].T],
        "plane_orientation": hd.PlaneOrientationSequence("PATIENT", first.ImageOrientationPatient),
        "pixel_measures": spacing,
    }


def _between(labelmap: Volume) -> float:
    """Return the distance between neighbouring planes along their normal, mm."""
    normal = np.cross(labelmap.affine[:3, 0], labelmap.affine[:3, 1])
    return float(abs(normal @ labelmap.affine[:3, 2]) / np.linalg.norm(normal))


def _description(hd: Any, number: int, segment: Segment, segmentation: Segmentation) -> Any:
    made = segmentation.provenance
    automatic = segment.method != "MANUAL"
    return hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=segment.name,
        segmented_property_category=concept(hd, segment.category),
        segmented_property_type=concept(hd, segment.type),
        algorithm_type=segment.method,
        algorithm_identification=_algorithm(hd, made.version, made.round) if automatic else None,
        display_color=hd.color.CIELabColor.from_rgb(*segment.color),
    )


def _algorithm(hd: Any, version: str, round_: int | None) -> Any:
    return hd.AlgorithmIdentificationSequence(
        name=SOFTWARE,
        family=hd.sr.CodedConcept("123110", "DCM", "Artificial Intelligence"),
        version=version,
        parameters=None if round_ is None else {"round": str(round_)},
    )


def concept(hd: Any, code: Code | None) -> Any:
    """Return a code as highdicom wants it."""
    return None if code is None else hd.sr.CodedConcept(code.value, code.scheme, code.meaning)
