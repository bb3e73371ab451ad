"""What an object made from a series repeats of it: the patient and the study."""

from __future__ import annotations

from typing import Any

from VQBEGALLib.export.source import SourceSeries

UTF_8 = "ISO_IR 192"
"""Character set of new objects; what is copied is encoded anew."""

COPIED = (
    *("PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex"),
    *("StudyInstanceUID", "StudyDate", "StudyTime"),
    *("StudyID", "StudyDescription", "AccessionNumber", "ReferringPhysicianName", "FrameOfReferenceUID"),
)


def copy_study(data: Any, source: SourceSeries) -> None:
    """Give a data set the patient, study and frame of reference of the source, in UTF-8."""
    data.SpecificCharacterSet = UTF_8
    for keyword in COPIED:
        if keyword in source.datasets[0]:
            setattr(data, keyword, source.datasets[0].get(keyword))
    data.PositionReferenceIndicator = source.text("PositionReferenceIndicator")


def series_number(source: SourceSeries, offset: int) -> int:
    """Return a number that lists the new series after all of its study."""
    number = offset + int(source.datasets[0].SeriesNumber)
    return number if 0 <= number < 2**31 else offset


def one_line(text: str) -> str:
    """Return a text as one value of at most 64 letters: the backslash would part it in two."""
    return text.replace("\\", "/")[:64]
