"""Header values that a new object repeats: those that break DICOM's rules would make it invalid and become blank.

Source: DICOM PS3.5, 6.2 (value representations).
"""

from __future__ import annotations

import re
from collections.abc import Callable, MutableSequence
from datetime import datetime
from typing import Any

from VQBEGALLib.export.segmentation import fits

_TIME = re.compile(r"([01]\d|2[0-3])([0-5]\d([0-5]\d(\.\d{1,6})?)?)?")
_GROUPS = 3
"""Of a person's name: letters, ideographs, sounds."""


def person_name(text: str) -> bool:
    """Tell whether a text is a person's name (PN)."""
    groups = text.split("=")
    return len(groups) <= _GROUPS and all(fits(group, 64) or not group for group in groups)


def _date(text: str) -> bool:
    try:
        return len(text) == 8 and bool(datetime.strptime(text, "%Y%m%d"))
    except ValueError:
        return False


BLANK: dict[str, Callable[[str], bool]] = {
    "PatientID": lambda text: fits(text, 64),
    "PatientName": person_name,
    "PatientBirthDate": _date,
    "PatientSex": lambda text: text in ("M", "F", "O"),
    "AccessionNumber": lambda text: fits(text, 16),
    "StudyID": lambda text: fits(text, 16),
    "StudyDate": _date,
    "StudyTime": lambda text: bool(_TIME.fullmatch(text)),
    "ReferringPhysicianName": person_name,
}
"""Attributes of type 2, which an object must have and which may be blank, each with the rule for its value."""


def clean(data: Any, *, thickness: float) -> list[str]:
    """Make a header fit to be repeated, in place.

    Args:
        data: a pydicom data set.
        thickness: mm, where it names none.

    Returns:
        Keywords of the values that broke the rules and are blank now.
    """
    blanked = []
    for keyword, rule in BLANK.items():
        text = _text(data, keyword)
        if text is None or (text and not rule(text)):
            blanked.append(keyword)
        if not text or keyword in blanked:
            setattr(data, keyword, "")
    number = _number(data, "SeriesNumber")
    data.SeriesNumber = int(number) if number is not None and abs(number) < 2**31 else 0
    found = _number(data, "SliceThickness")
    data.SliceThickness = f"{found if found is not None and 0 < found < 1e6 else thickness:.6g}"
    return blanked


def _text(data: Any, keyword: str) -> str | None:
    """Return a single value as text, empty where it is absent; None where it cannot be read, or is several."""
    try:
        value = data.get(keyword)
        return None if isinstance(value, MutableSequence) else str(value or "")
    except Exception:  # pydicom's conversions fail with errors of many types
        return None


def _number(data: Any, keyword: str) -> float | None:
    try:
        return float(_text(data, keyword) or "")
    except ValueError:
        return None
