"""What a study writes down: subjects and their files, rounds and their requests, annotated slices.

Each record is frozen, goes to JSON and back unchanged, and refuses a file edited into nonsense.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import numpy as np

from VQBEGALLib.errors import StudyError
from VQBEGALLib.study.fields import REMEDY, Fields

Which = Literal["primary", "auxiliary"]
Split = Literal["train", "validation", "test"]
Role = Literal["all", "decoder", "encoder"]
Status = Literal["open", "done", "skipped", "review"]

WHICH: tuple[Which, ...] = ("primary", "auxiliary")
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
ROLES: tuple[Role, ...] = ("all", "decoder", "encoder")
STATUSES: tuple[Status, ...] = ("open", "done", "skipped", "review")

_MOST_VOXELS = 2**36
_FARTHEST = 1e7  # mm
Affine4 = tuple[tuple[float, float, float, float], ...]


@dataclass(frozen=True)
class ImageRecord:
    """A volume's file in the study and what it must be.

    Args:
        path: relative to the study, with forward slashes.
        sha256: of the file's bytes, hexadecimal.
        size: bytes.
        shape: (K, J, I).
        affine: 4 rows of 4, voxel index (i, j, k, 1) → LPS mm.
        source: UIDs of the DICOM series that it was made from; free JSON.
        absent: of a labelmap, the organs that it says nothing of, by their values from 1 on; rising.
    """

    path: str
    sha256: str
    size: int
    shape: tuple[int, int, int]
    affine: Affine4
    source: dict[str, Any] | None = None
    absent: tuple[int, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        plain = {**vars(self), "shape": list(self.shape), "affine": [list(row) for row in self.affine]}
        plain.pop("absent")
        return {**plain, "absent": list(self.absent)} if self.absent else plain

    @classmethod
    def from_json(cls, data: object, where: str) -> ImageRecord:
        """Build from :meth:`to_json`'s result; a StudyError names place (``where``) and field of what is nonsense."""
        read = Fields(data, where)
        shape = read.numbers("shape", 3, whole=True)
        if min(shape) < 1 or math.prod(shape) > _MOST_VOXELS:
            raise read.wrong("shape")
        rows = read.items("affine")
        affine = tuple(Fields({"affine": row}, where).numbers("affine", 4) for row in rows)
        far = any(abs(number) > _FARTHEST for row in affine for number in row)
        if len(affine) != 4 or affine[3] != (0, 0, 0, 1) or far or abs(np.linalg.det(np.array(affine)[:3, :3])) < 1e-9:
            raise read.wrong("affine")
        source = read.mapping("source") if read.has("source") else None
        absent = read.numbers("absent", len(read.items("absent")), whole=True) if read.has("absent") else ()
        if list(absent) != sorted(set(absent)) or 0 in absent:
            raise read.wrong("absent")
        return cls(
            read.text("path"),
            read.text("sha256"),
            read.whole("size", 0),
            cast("tuple[int, int, int]", shape),
            cast(Affine4, affine),
            source,
            cast("tuple[int, ...]", absent),
        )


@dataclass(frozen=True)
class Subject:
    """A person's volumes in the study; at least one of the two images is there."""

    name: str
    patient: str
    split: Split
    primary: ImageRecord | None = None
    auxiliary: ImageRecord | None = None
    primary_reference: ImageRecord | None = None
    auxiliary_reference: ImageRecord | None = None

    def image(self, which: Which) -> ImageRecord | None:
        """Return the record of an image, None where the subject has none."""
        return self.primary if which == "primary" else self.auxiliary

    def reference(self, which: Which) -> ImageRecord | None:
        """Return the record of an image's reference labelmap, None where there is none."""
        return self.primary_reference if which == "primary" else self.auxiliary_reference

    def records(self) -> dict[str, ImageRecord]:
        """Return the records there are, by field name."""
        found = {name: getattr(self, name) for name in IMAGES}
        return {name: record for name, record in found.items() if record is not None}

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        images = {name: record.to_json() for name, record in self.records().items()}
        return {"name": self.name, "patient": self.patient, "split": self.split, **images}

    @classmethod
    def from_json(cls, data: object, where: str) -> Subject:
        """Build from :meth:`to_json`'s result; a StudyError names what is missing or nonsense."""
        read = Fields(data, where)
        where = f"{where}, subject {read.text('name')!r}"
        images = {
            name: ImageRecord.from_json(read.value(name), f"{where}, {name}") for name in IMAGES if read.has(name)
        }
        if not images.keys() & {"primary", "auxiliary"}:
            raise StudyError(f"{where}: there is neither a primary nor an auxiliary image.", REMEDY)
        return cls(read.text("name"), read.text("patient"), cast(Split, read.choice("split", SPLITS)), **images)


IMAGES = ("primary", "auxiliary", "primary_reference", "auxiliary_reference")
"""Fields of a subject that name a file; each is also the stem of the file in ``cases/<name>/``."""


@dataclass(frozen=True)
class Request:
    """One slice that a round asks a person to annotate.

    Args:
        rank: place in the strategy's order, from 0.
        case: subject's name.
        slice: index along the case's slice axis.
        partner: subject whose auxiliary slice was paired with it, if any.
        partner_slice: that slice's index.
        score: the strategy's value, if it gives one.
        role: what the slice trains.
        status: what became of the request.
    """

    rank: int
    case: str
    slice: int
    partner: str | None = None
    partner_slice: int | None = None
    score: float | None = None
    role: Role = "all"
    status: Status = "open"

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return dict(vars(self))

    @classmethod
    def from_json(cls, data: object, where: str) -> Request:
        """Build from :meth:`to_json`'s result; a StudyError names what is missing or nonsense."""
        read = Fields(data, where)
        return cls(
            read.whole("rank", 0),
            read.text("case"),
            read.whole("slice", 0),
            read.text("partner") if read.has("partner") else None,
            read.whole("partner_slice", 0) if read.has("partner_slice") else None,
            read.number("score") if read.has("score") else None,
            cast(Role, read.choice("role", ROLES)),
            cast(Status, read.choice("status", STATUSES)),
        )


@dataclass(frozen=True)
class Round:
    """One round: what was asked for, whether the network was trained on it, what it reached.

    Args:
        index: from 0, the seed set.
        strategy: name of the strategy that picked.
        requests: in the strategy's order.
        trained: whether the round's training has finished.
        metrics: figures of the evaluation, JSON.
        figures: whatever else is worth keeping, JSON.
    """

    index: int
    strategy: str
    requests: tuple[Request, ...] = ()
    trained: bool = False
    metrics: dict[str, Any] | None = None
    figures: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {**vars(self), "requests": [request.to_json() for request in self.requests]}

    def with_status(self, case: str, slice: int, status: Status) -> Round:
        """Return the round with one request's status changed.

        Raises:
            StudyError: the round asks for no such slice.
        """
        if not any(request.case == case and request.slice == slice for request in self.requests):
            raise StudyError(
                f"Round {self.index} does not ask for slice {slice} of {case!r}.", "Choose one of its requests."
            )
        requests = tuple(
            dataclasses.replace(request, status=status) if (request.case, request.slice) == (case, slice) else request
            for request in self.requests
        )
        return dataclasses.replace(self, requests=requests)

    @classmethod
    def from_json(cls, data: object, where: str) -> Round:
        """Build from :meth:`to_json`'s result; a StudyError names what is missing or nonsense."""
        read = Fields(data, where)
        return cls(
            read.whole("index", 0),
            read.text("strategy"),
            tuple(
                Request.from_json(item, f"{where}, request {number}")
                for number, item in enumerate(read.items("requests"))
            ),
            read.flag("trained"),
            read.mapping("metrics") if read.has("metrics") else None,
            read.mapping("figures") if read.has("figures") else {},
        )


@dataclass(frozen=True)
class Annotation:
    """One annotated slice of a labelmap; a slice without any organ has no foreground pixel.

    Args:
        slice: index along the labelmap's slice axis.
        round: the round that asked for it.
        role: what the slice trains.
        foreground_pixels: pixels of all organs on it.
    """

    slice: int
    round: int
    role: Role
    foreground_pixels: int

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return dict(vars(self))

    @classmethod
    def from_json(cls, data: object, where: str) -> Annotation:
        """Build from :meth:`to_json`'s result; a StudyError names what is missing or nonsense."""
        read = Fields(data, where)
        return cls(
            read.whole("slice", 0),
            read.whole("round", 0),
            cast(Role, read.choice("role", ROLES)),
            read.whole("foreground_pixels", 0),
        )
