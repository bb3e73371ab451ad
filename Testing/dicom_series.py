"""Made-up DICOM series as a scanner writes them, complete enough for a validator, with planted patient attributes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid

from VQBEGALLib.volumes import Volume

Edit = Callable[[FileDataset, int], None]
Modality = Literal["CT", "MR"]

PLANTED = ("Planted^Liverpatient", "PID-PLANTED-4711", "19330211", "ACC-PLANTED-0815", "Planted^Referrer")
"""Name, ID, birth date, accession number, referring physician: none may turn up in a log, an event or a study."""
_SHIFT = 1024  # of stored CT values


@dataclass(frozen=True)
class PhantomSeries:
    """A simulated person's CT and MR series, both of one study.

    Args:
        ct: the CT's files in the order of its slices.
        mr: the MR's.
        ct_image: HU, on the grid of the files.
        mr_image: signal.
        ct_labels: uint8, liver 1, on the CT's grid.
        mr_labels: on the MR's.
        study_uid: of both series.
    """

    ct: list[Path]
    mr: list[Path]
    ct_image: Volume
    mr_image: Volume
    ct_labels: Volume
    mr_labels: Volume
    study_uid: str


def write_series(
    folder: Path,
    volume: Volume,
    *,
    modality: Modality = "CT",
    patient: tuple[str, str, str, str, str] = PLANTED,
    study_uid: str | None = None,
    series_uid: str | None = None,
    frame_of_reference_uid: str | None = None,
    shuffled: bool = False,
    syntax: str = ExplicitVRLittleEndian,
    edit: Edit = lambda dataset, index: None,
) -> list[Path]:
    """Write a volume of whole numbers as one CT or MR Image Storage file a slice.

    Args:
        folder: is made where it is missing.
        volume: HU from −1024, or MR signal; below 32768. Its affine gives positions and orientation. K runs along or
            against the normal of the slices, and aslant where the axes are sheared (gantry tilt).
        modality: what kind of scanner wrote it.
        patient: name, ID, birth date, accession number and referring physician.
        study_uid: a new one where it is not given; so are the other two.
        series_uid: of all files.
        frame_of_reference_uid: of all files.
        shuffled: file names and instance numbers are in another order than the slices.
        syntax: transfer syntax, little endian; a compressing one needs pydicom's encoder for it.
        edit: changes slice ``index``'s data set, whose pixels are still uncompressed, before it is written.

    Returns:
        The files in the order of the slices.
    """
    folder.mkdir(parents=True, exist_ok=True)
    uids = [uid or generate_uid() for uid in (study_uid, series_uid, frame_of_reference_uid)]
    count = volume.shape[0]
    order = np.random.default_rng(3).permutation(count) if shuffled else np.arange(count)
    paths = []
    for index in range(count):
        data = _blank(MRImageStorage if modality == "MR" else CTImageStorage)
        _describe_patient(data, patient)
        data.StudyInstanceUID, data.SeriesInstanceUID, data.FrameOfReferenceUID = uids
        _describe_acquisition(data, modality, int(order[index]))
        _place(data, volume, index)
        _fill(data, volume.voxels[index], modality)
        edit(data, index)
        if UID(syntax).is_compressed:
            data.compress(syntax, generate_instance_uid=False)
        else:
            data.file_meta.TransferSyntaxUID = UID(syntax)
        paths.append(folder / f"IM{order[index]:04d}.dcm")
        data.save_as(paths[-1], enforce_file_format=True)
    return paths


def phantom_series(
    folder: Path, *, seed: int = 0, size: int = 96, slices: int = 20, tilt: float = 0.0, shuffled: bool = False
) -> PhantomSeries:
    """Write a simulated abdomen's CT and MR below ``folder``/ct and ``folder``/mr.

    Args:
        folder: is made where it is missing.
        seed: another one gives another person.
        size: rows and columns of the CT; the MR has 7/8 of them.
        slices: of the CT; the MR has two thirds of them.
        tilt: of the CT's gantry: how far, in mm a mm, its slices slide along their columns.
        shuffled: as for :func:`write_series`.
    """
    from VQBEGALLib.volumes.phantom import make_subject

    mr_size, mr_slices = size * 7 // 8, max(4, slices * 2 // 3)
    subject = make_subject(seed, ct_size=size, ct_slices=slices, mr_size=mr_size, mr_slices=mr_slices)
    affine = subject.ct.affine.copy()
    affine[:3, 2] += tilt * np.linalg.norm(affine[:3, 2]) * affine[:3, 1] / np.linalg.norm(affine[:3, 1])
    ct, ct_labels = (Volume(one.voxels, affine) for one in (subject.ct, subject.ct_labels))
    study = generate_uid()
    return PhantomSeries(
        ct=write_series(folder / "ct", ct, study_uid=study, shuffled=shuffled),
        mr=write_series(folder / "mr", subject.mr, modality="MR", study_uid=study, shuffled=shuffled),
        ct_image=ct,
        mr_image=subject.mr,
        ct_labels=ct_labels,
        mr_labels=subject.mr_labels,
        study_uid=study,
    )


def _blank(sop_class: UID) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = sop_class, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = sop_class, meta.MediaStorageSOPInstanceUID
    return data


def _describe_patient(data: FileDataset, patient: tuple[str, str, str, str, str]) -> None:
    data.PatientName, data.PatientID, data.PatientBirthDate, data.AccessionNumber, data.ReferringPhysicianName = patient
    data.PatientSex, data.StudyID, data.StudyDate, data.StudyTime = "O", "1", "20260203", "101112"
    data.StudyDescription = "Abdomen"


def _describe_acquisition(data: FileDataset, modality: Modality, number: int) -> None:
    data.Modality, data.Manufacturer, data.SeriesNumber = modality, "Phantom", 2 if modality == "CT" else 3
    data.SeriesDescription = f"{modality} phantom"
    data.SeriesDate = data.AcquisitionDate = data.ContentDate = "20260203"
    data.SeriesTime = data.AcquisitionTime = data.ContentTime = "101213"
    data.PatientPosition, data.PositionReferenceIndicator, data.BodyPartExamined = "HFS", "", "ABDOMEN"
    data.AcquisitionNumber, data.InstanceNumber = 1, number + 1
    data.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL" if modality == "CT" else "OTHER"]
    if modality == "CT":
        data.KVP, data.RescaleSlope, data.RescaleIntercept, data.RescaleType = 120, 1, -_SHIFT, "HU"
    else:
        data.ScanningSequence, data.SequenceVariant, data.ScanOptions, data.MRAcquisitionType = "SE", "SK", "", "2D"
        data.RepetitionTime, data.EchoTime, data.EchoTrainLength = 2000, 80, 16


def _place(data: FileDataset, volume: Volume, index: int) -> None:
    along_k, along_j, along_i = volume.spacing
    directions = volume.affine[:3, :2] / (along_i, along_j)
    normal = np.cross(directions[:, 0], directions[:, 1])
    data.PixelSpacing = [_decimal(along_j), _decimal(along_i)]
    data.ImageOrientationPatient = [_decimal(part) for part in directions.T.ravel()]
    data.ImagePositionPatient = [_decimal(part) for part in (volume.affine @ [0, 0, index, 1])[:3]]
    data.SliceThickness = _decimal(1.6 * along_k)  # not to be believed, as on real scanners
    data.SliceLocation = _decimal(normal @ (volume.affine @ [0, 0, index, 1])[:3])


def _fill(data: FileDataset, plane: np.ndarray, modality: Modality) -> None:
    stored = plane.astype(np.int32) + (_SHIFT if modality == "CT" else 0)
    signed = bool(stored.min() < 0)
    data.Rows, data.Columns = plane.shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit, data.PixelRepresentation = 15, int(signed)
    data.WindowCenter, data.WindowWidth = (50, 400) if modality == "CT" else (500, 1000)
    data.PixelData = stored.astype("<i2" if signed else "<u2").tobytes()
    data["PixelData"].VR = "OW"


def _decimal(number: float) -> str:
    """Return a decimal string of DICOM with as many digits as its 16 letters hold."""
    for digits in range(12, 0, -1):
        if len(text := f"{number + 0.0:.{digits}f}") <= 16:
            return text
    raise ValueError(f"{number} has no decimal string")
