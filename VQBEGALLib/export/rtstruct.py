"""RT Structure Sets: outlines on the source images, for viewers and planning systems without DICOM SEG.

Source: DICOM PS3.3, A.19 (RT Structure Set IOD), C.8.8.5, C.8.8.6 and C.8.8.8.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np

from VQBEGALLib.export.contours import Points, outlines, to_patient
from VQBEGALLib.export.heading import UTF_8, copy_study, one_line, series_number
from VQBEGALLib.export.segmentation import SOFTWARE, Code, Provenance, Segment, Segmentation
from VQBEGALLib.export.source import SourceSeries
from VQBEGALLib.volumes import Volume
from VQBEGALLib.volumes.libraries import library

SERIES_OFFSET = 2000
"""What is added to the source's series number."""

_DETACHED_STUDY = "1.2.840.10008.3.1.2.3.1"  # what the standard wants as the class of a study
_CONTOUR_DATA = 0x30060050
_NEEDED_BY = "RTSTRUCT"


def make_rtstruct(segmentation: Segmentation, source: SourceSeries) -> Any:
    """Make a structure set with one region a segment; segments without a voxel are left out.

    Args:
        segmentation: on the grid of the source, its voxels possibly in another order. Segments need no code.
        source: the images; their slices may be oblique or aslant (gantry tilt).

    Returns:
        A pydicom data set with new UIDs, not approved, ready to be saved.

    Raises:
        InputError: the segmentation is empty, or on another grid than the source.
        MissingDependencyError: pydicom or contourpy is not installed.
    """
    segments = segmentation.present()
    labelmap = source.align(segmentation.labelmap)
    data = _headed(source, segmentation.provenance)
    frame = source.text("FrameOfReferenceUID")
    data.ReferencedFrameOfReferenceSequence = [_frame_of_reference(source)]
    numbered = list(enumerate(segments, start=1))
    data.StructureSetROISequence = [_region(*item, frame, segmentation.provenance) for item in numbered]
    data.ROIContourSequence = [_contours(*item, labelmap, source) for item in numbered]
    data.RTROIObservationsSequence = [_observation(*item, segmentation.provenance) for item in numbered]
    data.ApprovalStatus = "UNAPPROVED"
    return data


def _headed(source: SourceSeries, made: Provenance) -> Any:
    """Return a data set that says whose structures these are and what made them."""
    pydicom = library("pydicom", needed_by=_NEEDED_BY)
    uid = library("pydicom.uid", needed_by=_NEEDED_BY)
    now = datetime.now()
    data = pydicom.Dataset()
    data.SOPClassUID, data.SOPInstanceUID = uid.RTStructureSetStorage, uid.generate_uid()
    copy_study(data, source)
    data.Modality, data.SeriesInstanceUID, data.InstanceNumber = "RTSTRUCT", uid.generate_uid(), 1
    data.SeriesNumber = series_number(source, SERIES_OFFSET)
    data.SeriesDescription = data.StructureSetName = one_line(made.description)
    data.OperatorsName = made.creator
    data.Manufacturer = data.ManufacturerModelName = data.StructureSetLabel = SOFTWARE
    data.SoftwareVersions = one_line(made.version)
    data.InstanceCreationDate = data.SeriesDate = data.StructureSetDate = now.strftime("%Y%m%d")
    data.InstanceCreationTime = data.SeriesTime = data.StructureSetTime = now.strftime("%H%M%S")
    data.file_meta = pydicom.dataset.FileMetaDataset()
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    data.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    return data


def _frame_of_reference(source: SourceSeries) -> Any:
    """Return what names the frame of reference, the study, the series and all of its images."""
    series = _item(SeriesInstanceUID=source.text("SeriesInstanceUID"))
    series.ContourImageSequence = [_image(header) for header in source.datasets]
    study = _item(ReferencedSOPClassUID=_DETACHED_STUDY, ReferencedSOPInstanceUID=source.text("StudyInstanceUID"))
    study.RTReferencedSeriesSequence = [series]
    frame = _item(FrameOfReferenceUID=source.text("FrameOfReferenceUID"))
    frame.RTReferencedStudySequence = [study]
    return frame


def _region(number: int, segment: Segment, frame: str, made: Provenance) -> Any:
    return _item(
        ROINumber=number,
        ReferencedFrameOfReferenceUID=frame,
        ROIName=one_line(segment.name),
        ROIGenerationAlgorithm=segment.method,
        ROIGenerationDescription=one_line(made.description),
    )


def _contours(number: int, segment: Segment, labelmap: Volume, source: SourceSeries) -> Any:
    planes = zip(labelmap.voxels, source.datasets, strict=True)
    contours = [
        _contour(to_patient(points, index, labelmap.affine), header)
        for index, (plane, header) in enumerate(planes)
        for points in outlines(plane, segment.value)
    ]
    return _item(ROIDisplayColor=list(segment.color), ReferencedROINumber=number, ContourSequence=contours)


def _contour(points: Points, header: Any) -> Any:
    item = _item(ContourImageSequence=[_image(header)])
    item.ContourGeometricType, item.NumberOfContourPoints = "CLOSED_PLANAR", len(points)
    item[_CONTOUR_DATA] = _decimals(points)
    item.set_original_encoding(False, True, UTF_8)  # else pydicom decodes each number to encode it again
    return item


def _decimals(points: Points) -> Any:
    """Return Contour Data with micrometres as the last digit, encoded already: much faster than number by number."""
    dataelem = library("pydicom.dataelem", needed_by=_NEEDED_BY)
    tag = library("pydicom.tag", needed_by=_NEEDED_BY)
    text = "\\".join(map("{:.3f}".format, np.round(points, 3).ravel() + 0.0)).encode()
    text += b" " * (len(text) % 2)
    return dataelem.RawDataElement(tag.Tag(_CONTOUR_DATA), "DS", len(text), text, 0, False, True)


def _observation(number: int, segment: Segment, made: Provenance) -> Any:
    item = _item(ObservationNumber=number, ReferencedROINumber=number)
    item.RTROIInterpretedType, item.ROIInterpreter = "ORGAN", made.creator
    if segment.type is not None:
        item.RTROIIdentificationCodeSequence = [_code(segment.type)]
    return item


def _code(code: Code) -> Any:
    return _item(CodeValue=code.value, CodingSchemeDesignator=code.scheme, CodeMeaning=one_line(code.meaning))


def _image(header: Any) -> Any:
    return _item(ReferencedSOPClassUID=header.SOPClassUID, ReferencedSOPInstanceUID=header.SOPInstanceUID)


def _item(**attributes: Any) -> Any:
    item = library("pydicom", needed_by=_NEEDED_BY).Dataset()
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return item
