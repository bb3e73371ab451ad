"""What can be read of a study, without a lock and without any library that computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from VQBEGALLib.config import Config
from VQBEGALLib.errors import InputError
from VQBEGALLib.storage import inside, read_lines
from VQBEGALLib.study import checking, imagestore, labelstore, ledger, predictionstore, roundstore
from VQBEGALLib.study.labelstore import Labels
from VQBEGALLib.study.predictionstore import Prediction
from VQBEGALLib.study.records import WHICH, ImageRecord, Round, Split, Subject, Which
from VQBEGALLib.study.studyfile import read_state
from VQBEGALLib.volumes.volume import Volume

LOG = "log.jsonl"


class StudyReader:
    """A study on the disk as it can be read at any time, also while another process writes to it.

    Args:
        folder: the study.

    Raises:
        StudyError: no study, damaged, or from a newer version.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.config: Config
        self.subjects: dict[str, Subject]
        self._load()

    def _load(self) -> None:
        self.config, self.subjects = read_state(self.folder)

    def cases(self, split: Split | None = None) -> list[Subject]:
        """Return the subjects with a primary image, by name; of one split or of all."""
        return self._with("primary", split)

    def auxiliaries(self, split: Split | None = None) -> list[Subject]:
        """Return the subjects with an auxiliary image, by name; of one split or of all."""
        return self._with("auxiliary", split)

    def _with(self, which: Which, split: Split | None) -> list[Subject]:
        subjects = [self.subjects[name] for name in sorted(self.subjects)]
        return [item for item in subjects if item.image(which) is not None and split in (None, item.split)]

    def subject(self, name: str) -> Subject:
        """Return a subject by name; an InputError where there is none."""
        if name not in self.subjects:
            known = ", ".join(sorted(self.subjects)[:20])
            raise InputError(
                f"The study has no subject {name!r}.", f"It has {known}." if known else "It has none yet; add one."
            )
        return self.subjects[name]

    def in_use(self, name: str) -> str:
        """Return why a subject can be neither removed nor put into another split, one sentence; empty where it can.

        Raises:
            InputError: there is no such subject.
        """
        self.subject(name)
        if any(labelstore.read_index(self.folder, name, which) for which in WHICH):
            return f"{name!r} has labels."
        for round_ in self.rounds():
            if any(item.case == name for item in round_.requests):
                return f"Round {round_.index} asks for slices of {name!r}."
            if any(item.partner == name for item in round_.requests):
                return f"Round {round_.index} pairs slices with {name!r}."
        return ""

    def image_path(self, name: str, which: Which = "primary") -> Path:
        """Return where an image lies; an InputError where there is no such subject or image."""
        return inside(self.folder, self._image(name, which).path)

    def grid(self, name: str, which: Which = "primary") -> Volume:
        """Return zeros (uint8, read-only) on an image's grid, without reading the image."""
        return imagestore.grid_of(self._image(name, which))

    def volume(self, name: str, which: Which = "primary") -> Volume:
        """Read an image; a StudyError where the file is missing, damaged or another than when it was taken in."""
        return imagestore.read_image(self.folder, self._image(name, which))

    def reference(self, name: str, which: Which = "primary") -> Volume | None:
        """Read an image's reference labelmap, uint8 on the image's grid; None where there is none.

        Returns:
            0 outside, 1 in the first organ of the study, 2 in the second, …
        """
        self._image(name, which)
        record = self.subjects[name].reference(which)
        return None if record is None else imagestore.read_image(self.folder, record, organs=len(self.config.organs))

    def reference_organs(self, name: str, which: Which = "primary") -> tuple[str, ...]:
        """Return the organs that an image's reference tells of, also where the image shows none of one."""
        record = self.subject(name).reference(which)
        absent = range(1, len(self.config.organs) + 1) if record is None else record.absent
        return tuple(organ for value, organ in enumerate(self.config.organs, start=1) if value not in absent)

    def _image(self, name: str, which: Which) -> ImageRecord:
        record = self.subject(name).image(which)
        if record is None:
            raise InputError(f"{name!r} has no {which} image.", "Choose another subject or the other image.")
        return record

    def labels(self, name: str, which: Which = "primary") -> Labels | None:
        """Read what has been annotated on an image; None where nothing has."""
        return labelstore.read_labels(self.folder, name, which, self.grid(name, which))

    def rounds(self) -> list[Round]:
        """Read all rounds, from round 0 on.

        Raises:
            StudyError: a round is damaged or missing, or asks for a case that the study does not have.
        """
        return roundstore.read_rounds(self.folder, self.subjects)

    def scores(self, index: int) -> dict[str, dict[int, float]]:
        """Read the score of every slice of the pool that a round was chosen from, by case and slice.

        Returns:
            Nothing where there is no such round, or its strategy gave no scores.

        Raises:
            StudyError: the table is damaged.
        """
        return roundstore.read_scores(self.folder, index)

    def predictions(self) -> dict[str, Prediction]:
        """Return the newest prediction of each case that has one."""
        return predictionstore.newest(self.folder, {case.name for case in self.cases()})

    def uncertainty(self, case: str) -> dict[int, float]:
        """Read how unsure the network was on each slice of a case's newest prediction, bits a pixel, 0 to 1.

        Returns:
            Mean binary entropy of the organ's probability by slice; nothing where the case has no prediction.

        Raises:
            StudyError: the table is damaged.
        """
        found = self.predictions().get(case)
        return {} if found is None else predictionstore.read_uncertainty(found.path)

    def events(self, kind: str | None = None) -> list[dict[str, Any]]:
        """Read the log, oldest event first, of one kind or of all; a torn line is passed over."""
        return [event for event in read_lines(self.folder / LOG) if kind in (None, event.get("event"))]

    def ledger(self) -> dict[str, Any]:
        """Count what has been annotated on primary images; see :func:`VQBEGALLib.study.ledger.count`."""
        indices = {item.name: labelstore.read_index(self.folder, item.name, "primary") for item in self.cases()}
        found = {name: list(index.annotations.values()) for name, index in indices.items() if index is not None}
        return ledger.count(self.subjects, found, self.config.rounds.total_budget)

    def check(self) -> list[checking.Finding]:
        """Look at every file; see :func:`VQBEGALLib.study.checking.check_study`."""
        return checking.check_study(self.folder)
