"""The study folder: volumes, labels and rounds as plain files; a kill at any instant leaves a whole state.

::

    study.json        schema version, configuration, subjects
    cases/<name>/     primary.*, auxiliary.*, primary_reference.nii.gz, auxiliary_reference.nii.gz
    labels/           one labelmap a case and the list of its annotated slices
    rounds/NNN/       round.json and whatever else a round keeps
    cache/            may be deleted at any time
    log.jsonl         one event a line
    lock, lock.json   who is writing
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from VQBEGALLib.config import Config
from VQBEGALLib.errors import InputError, StudyError
from VQBEGALLib.events import Reporter
from VQBEGALLib.storage import append_line, inside, make_folder
from VQBEGALLib.study import checking, imagestore, labelstore, ledger, roundstore
from VQBEGALLib.study.labelstore import Labels
from VQBEGALLib.study.locking import StudyLock
from VQBEGALLib.study.membership import NewSubject, check_names, check_patients, check_trainable, checked
from VQBEGALLib.study.records import ImageRecord, Round, Split, Status, Subject, Which
from VQBEGALLib.study.studyfile import built_aside, read_state, write_state
from VQBEGALLib.volumes.volume import Volume


class Study:
    """A study on the disk, from :meth:`create` or :meth:`open`.

    Reading needs no lock; every change takes it, or happens inside :meth:`writing`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self._writing = False
        self.config: Config
        self.subjects: dict[str, Subject]
        self._load()

    @classmethod
    def create(
        cls, folder: Path, config: Config, subjects: Sequence[NewSubject], *, reporter: Reporter | None = None
    ) -> Study:
        """Copy the subjects' files into a new study; a creation that is cut short leaves no study.

        Args:
            folder: does not exist yet, or is empty.
            config: all settings.
            subjects: at least one with a primary volume for training.
            reporter: told of each volume.

        Raises:
            InputError: a file or the cohort cannot be used.
            StudyError: the folder is in use.
            StorageError: the disk is full or refuses.
            CancelledError: a person asked to stop.
        """
        members = check_trainable(checked(subjects))
        folder = Path(folder).resolve()
        with built_aside(folder) as building:
            write_state(building, config, imagestore.import_subjects(members, building, reporter or Reporter()))
            append_line(building / "log.jsonl", _stamped({"event": "created", "subjects": len(members)}))
        return cls(folder)

    @classmethod
    def open(cls, folder: Path) -> Study:
        """Open a study for reading.

        Raises:
            StudyError: no study, damaged, or from a newer version.
        """
        return cls(Path(folder).resolve())

    def _load(self) -> None:
        self.config, self.subjects = read_state(self.folder)

    @contextmanager
    def writing(self, what: str) -> Iterator[Study]:
        """Hold the study for several changes, on its newest state.

        A second writer is told ``what`` the holder does.

        Raises:
            StudyLockedError: another process, or another part of this one, is writing.
            StorageError: the folder cannot be written.
        """
        with StudyLock(self.folder, what):
            self._writing = True
            try:
                self._load()
                yield self
            finally:
                self._writing = False

    def _change(self, what: str) -> AbstractContextManager[object]:
        return nullcontext() if self._writing else self.writing(what)

    def cases(self, split: Split | None = None) -> list[Subject]:
        """Return the subjects with a primary image, by name; of one split or of all."""
        return self._with("primary", split)

    def auxiliaries(self, split: Split | None = None) -> list[Subject]:
        """Return the subjects with an auxiliary image, by name; of one split or of all."""
        return self._with("auxiliary", split)

    def _with(self, which: Which, split: Split | None) -> list[Subject]:
        subjects = [self.subjects[name] for name in sorted(self.subjects)]
        return [item for item in subjects if item.image(which) is not None and split in (None, item.split)]

    def add_subjects(self, subjects: Sequence[NewSubject], *, reporter: Reporter | None = None) -> None:
        """Take further subjects in, all or none.

        Raises:
            InputError: a file cannot be used, a name is taken, or a patient is in another split.
            StorageError: the disk is full or refuses.
            CancelledError: a person asked to stop.
        """
        with self._change("add subjects"):
            members = checked(subjects)
            check_names([*self.subjects, *(member.name for member in members)])
            check_patients([*self.subjects.values(), *members])
            added = imagestore.add_subjects(members, self.folder, reporter or Reporter())
            write_state(self.folder, self.config, {**self.subjects, **added})
            self._load()

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
        """Read an image's reference labelmap, uint8 0/1 on the image's grid; None where there is none."""
        self._image(name, which)
        record = self.subjects[name].reference(which)
        return None if record is None else imagestore.read_image(self.folder, record, labels=True)

    def _image(self, name: str, which: Which) -> ImageRecord:
        if name not in self.subjects:
            raise InputError(f"The study has no subject {name!r}.", f"It has {', '.join(sorted(self.subjects)[:20])}.")
        record = self.subjects[name].image(which)
        if record is None:
            raise InputError(f"{name!r} has no {which} image.", "Choose another subject or the other image.")
        return record

    def labels(self, name: str, which: Which = "primary") -> Labels | None:
        """Read what has been annotated on an image; None where nothing has."""
        return labelstore.read_labels(self.folder, name, which, self.grid(name, which))

    def put_labels(
        self,
        name: str,
        labelmap: Volume,
        slices: Sequence[int],
        *,
        round: int,
        roles: Mapping[int, str] | None = None,
        axis: int = 0,
        which: Which = "primary",
    ) -> None:
        """Merge annotated slices into an image's labels, in one step; all other slices stay as they are.

        Args:
            name: the subject.
            labelmap: 0/1 on the image's grid.
            slices: the annotated ones, along ``axis``; one without the organ counts as annotated.
            round: the round that asked for them.
            roles: by slice; ``all`` where a slice is not named.
            axis: array axis of (K, J, I).
            which: of the image.

        Raises:
            InputError: another grid, other values, a slice out of range, or another axis than before.
            StorageError: the disk is full or refuses; the old labels are intact.
        """
        with self._change(f"label {name}"):
            old = self.labels(name, which) or Labels(self.grid(name, which), {}, axis)
            new = labelstore.merged(old, labelmap, slices, round=round, roles=roles or {}, axis=axis)
            labelstore.commit_labels(self.folder, name, which, new)

    def remove_labels(self, name: str, slices: Sequence[int], *, which: Which = "primary") -> None:
        """Take annotations back, in one step; slices that have none are passed over."""
        with self._change(f"remove labels of {name}"):
            old = self.labels(name, which)
            if old is not None:
                labelstore.commit_labels(self.folder, name, which, labelstore.without(old, slices))

    def rounds(self) -> list[Round]:
        """Read all rounds, from round 0 on.

        Raises:
            StudyError: a round is damaged or missing, or asks for a case that the study does not have.
        """
        return roundstore.read_rounds(self.folder, self.subjects)

    def round_folder(self, index: int) -> Path:
        """Return a round's folder, made where it is missing."""
        make_folder(folder := roundstore.round_folder(self.folder, index))
        return folder

    def save_round(self, round: Round) -> None:
        """Write a round, new or changed, in one step.

        Raises:
            StudyError: its index leaves a gap, or it asks for a slice that does not exist.
            StorageError: the disk is full or refuses; the old round is intact.
        """
        with self._change(f"save round {round.index}"):
            roundstore.write_round(self.folder, self.subjects, round)

    def set_status(self, round_index: int, places: Sequence[tuple[str, int]], status: Status) -> None:
        """Note what became of requests, given by case and slice, in one step.

        Raises:
            StudyError: there is no such round or request.
            StorageError: the disk is full or refuses; the old round is intact.
        """
        with self._change(f"save round {round_index}"):
            rounds = self.rounds()
            if not 0 <= round_index < len(rounds):
                raise StudyError(f"The study has no round {round_index}.", "Select it first.")
            changed = rounds[round_index]
            for case, slice in places:
                changed = changed.with_status(case, slice, status)
            self.save_round(changed)

    def configure(self, changes: Mapping[str, object]) -> None:
        """Change settings by name; those that shaped the rounds there are stay as they are.

        Args:
            changes: as for :meth:`VQBEGALLib.config.Config.replace`.

        Raises:
            InputError: an unknown setting or a value that does not fit.
            StudyError: there are rounds, and the change touches the seed, slices or network that they rest on.
            StorageError: the disk is full or refuses.
        """
        with self._change("change settings"):
            config = self.config.replace(changes)
            fixed = [
                name for name in ("seed", "slices", "network") if getattr(config, name) != getattr(self.config, name)
            ]
            if fixed and self.rounds():
                raise StudyError(
                    f"The study's rounds rest on its settings of {', '.join(fixed)}.",
                    "Create another study for other settings; those of training, rounds and inference can be changed.",
                )
            write_state(self.folder, config, self.subjects)
            self._load()

    def ledger(self) -> dict[str, Any]:
        """Count what has been annotated on primary images; see :func:`VQBEGALLib.study.ledger.count`."""
        indices = {item.name: labelstore.read_index(self.folder, item.name, "primary") for item in self.cases()}
        found = {name: list(index.annotations.values()) for name, index in indices.items() if index is not None}
        return ledger.count(self.subjects, found, self.config.rounds.total_budget)

    def log(self, event: Mapping[str, Any]) -> None:
        """Append an event to ``log.jsonl``, with the time."""
        append_line(self.folder / "log.jsonl", _stamped(event))

    def check(self) -> list[checking.Finding]:
        """Look at every file; see :func:`VQBEGALLib.study.checking.check_study`."""
        return checking.check_study(self.folder)


def _stamped(event: Mapping[str, Any]) -> dict[str, Any]:
    return {"time": datetime.now(timezone.utc).isoformat(timespec="milliseconds"), **event}
