"""Who may be in a study: names that can be folders, no patient in two splits, somebody to train on."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from VQBEGALLib.errors import InputError
from VQBEGALLib.study.records import Split


@dataclass(frozen=True)
class NewSubject:
    """A person's files before they are taken into a study; at least one of the two images is there.

    A source is a folder of the DICOM files that another program made the image of, or a list of them (.txt). Values are
    those of the study's organs in a reference, in their order, 0 for an organ that it does not know; see
    :func:`VQBEGALLib.volumes.reading.organ_labelmap`.
    """

    name: str
    patient: str
    split: Split
    primary: Path | None = None
    auxiliary: Path | None = None
    primary_reference: Path | None = None
    auxiliary_reference: Path | None = None
    primary_source: Path | None = None
    auxiliary_source: Path | None = None
    primary_values: tuple[int, ...] | None = None
    auxiliary_values: tuple[int, ...] | None = None


class Member(Protocol):
    """Whatever has a name, a patient and a split."""

    @property
    def name(self) -> str:
        """Unique in a study."""

    @property
    def patient(self) -> str:
        """One patient may have several volumes, each with its name."""

    @property
    def split(self) -> Split:
        """What the volumes serve."""


def checked(subjects: Iterable[NewSubject]) -> list[NewSubject]:
    """Return the subjects as a list where they can make up a study.

    Raises:
        InputError: see :func:`check_names` and :func:`check_patients`; an image is missing; nothing to train on.
    """
    members = list(subjects)
    check_names(member.name for member in members)
    check_patients(members)
    for member in members:
        for image, labels, values in (
            (member.primary, member.primary_reference, member.primary_values),
            (member.auxiliary, member.auxiliary_reference, member.auxiliary_values),
        ):
            if labels is not None and image is None:
                raise InputError(
                    f"{member.name!r} has labels but not their image.", "Add the image, or drop the labels."
                )
            if values is not None and labels is None:
                raise InputError(
                    f"{member.name!r} has values of labels but no labels.", "Add the labels, or drop the values."
                )
        if member.primary is None and member.auxiliary is None:
            raise InputError(f"{member.name!r} has no image.", "Give it a primary or an auxiliary volume.")
    return members


def check_trainable(members: list[NewSubject]) -> list[NewSubject]:
    """Return the subjects where there is a primary volume to train on.

    Raises:
        InputError: no subject of the training split has a primary image.
    """
    if not any(member.split == "train" and member.primary is not None for member in members):
        raise InputError(
            "No subject for training has a primary volume.", "Put at least one primary volume into the training split."
        )
    return members


def check_names(names: Iterable[str]) -> None:
    """Make sure that each name can be a folder's on every system, and no two the same folder's.

    Raises:
        InputError: a name is empty, too long, not printable, has a separator, or differs from another by case only.
    """
    seen: dict[str, str] = {}
    for name in names:
        bad = not name.isprintable() or any(letter in '/\\:*?"<>|' for letter in name)
        if bad or name != name.strip() or not name or name[0] == "." or name[-1] == ".":
            raise InputError(f"{name!r} cannot be a subject's name.", "Rename it: letters, digits, - and _ are safe.")
        if len(name.encode("utf-8", "replace")) > 180:
            raise InputError(f"The name {name[:40] + '…'!r} is too long.", "Use at most 180 letters.")
        key = unicodedata.normalize("NFC", name).casefold()
        if key in seen:
            raise InputError(f"{seen[key]!r} and {name!r} are the same name.", "Rename one of them.")
        seen[key] = name


def check_patients(members: Iterable[Member]) -> None:
    """Make sure that no patient is in two splits.

    Raises:
        InputError: a patient is.
    """
    splits: dict[str, Split] = {}
    for member in members:
        if splits.setdefault(member.patient, member.split) != member.split:
            raise InputError(
                f"Patient {member.patient!r} is in {splits[member.patient]} and in {member.split}.",
                "Put all volumes of a patient into one split.",
            )
