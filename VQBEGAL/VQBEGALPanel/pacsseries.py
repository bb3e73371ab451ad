"""The series that a server has of a patient, as the panel shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Series:
    """A series that was found; no name and no ID of a patient.

    Args:
        study_uid: its study.
        uid: series instance UID.
        date: of the study, as a person reads it.
        study: description of the study.
        text: description of the series.
        modality: ``CT``, ``MR`` or another.
        images: how many; negative where the server does not tell.
    """

    study_uid: str
    uid: str
    date: str
    study: str
    text: str
    modality: str
    images: int

    def row(self) -> list[str]:
        """Return the texts of its row."""
        return [self.date, self.study, self.text, self.modality, self.count()]

    def count(self) -> str:
        """Return the number of images as a text."""
        return "–" if self.images < 0 else str(self.images)


def read_series(studies: Sequence[Mapping[str, Any]]) -> list[Series]:
    """Read the answer of ``vqbegal query``, newest study first."""
    found = []
    for study in sorted(studies, key=lambda item: str(item.get("date") or ""), reverse=True):
        for item in study["series"]:
            found.append(
                Series(
                    study["study_uid"],
                    item["series_uid"],
                    _date(str(study.get("date") or "")),
                    str(study.get("description") or ""),
                    str(item.get("description") or ""),
                    str(item.get("modality") or ""),
                    int(item.get("images") or 0),
                )
            )
    return found


def _date(text: str) -> str:
    """Return a DICOM date as 2026-03-31."""
    return f"{text[:4]}-{text[4:6]}-{text[6:]}" if len(text) == 8 and text.isdigit() else text
