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

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from VQBEGALLib.config import Config
from VQBEGALLib.errors import InputError, StudyError
from VQBEGALLib.events import Reporter
from VQBEGALLib.storage import append_line, make_folder
from VQBEGALLib.study import encoderstore, imagestore, labelstore, predictionstore, roundstore
from VQBEGALLib.study.labelstore import Labels
from VQBEGALLib.study.locking import StudyLock
from VQBEGALLib.study.membership import NewSubject, check_names, check_patients, check_trainable, checked
from VQBEGALLib.study.predictionstore import Prediction
from VQBEGALLib.study.reading import LOG, StudyReader
from VQBEGALLib.study.records import SPLITS, WHICH, Round, Split, Status, Which
from VQBEGALLib.study.studyfile import built_aside, renew, write_state
from VQBEGALLib.volumes.volume import Volume


class Study(StudyReader):
    """A study on the disk, from :meth:`create` or :meth:`open`.

    Reading needs no lock; every change takes it, or happens inside :meth:`writing`.
    """

    _writing = False

    @classmethod
    def create(
        cls,
        folder: Path,
        config: Config,
        subjects: Sequence[NewSubject],
        *,
        reporter: Reporter | None = None,
        encoder_weights: Path | None = None,
    ) -> Study:
        """Copy the subjects' files into a new study; a creation that is cut short leaves no study.

        Args:
            folder: does not exist yet, or is empty.
            config: all settings.
            subjects: at least one with a primary volume for training; or none, to add them later.
            reporter: told of each volume.
            encoder_weights: file that the networks' encoders begin with, copied into the study.

        Raises:
            InputError: a file or the cohort cannot be used.
            StudyError: the folder is in use.
            StorageError: the disk is full or refuses.
            CancelledError: a person asked to stop.
        """
        members = checked(subjects)
        if members:
            check_trainable(members)
        folder = Path(folder).resolve()
        with built_aside(folder) as building:
            imported = imagestore.import_subjects(members, building, reporter or Reporter(), organs=config.organs)
            write_state(building, config, imported)
            if encoder_weights is not None:
                encoderstore.put_weights(building, encoder_weights)
            append_line(building / LOG, _stamped({"event": "created", "subjects": len(members)}))
        return cls(folder)

    @classmethod
    def open(cls, folder: Path) -> Study:
        """Open a study for reading.

        Raises:
            StudyError: no study, damaged, or from a newer version.
        """
        return cls(Path(folder).resolve())

    @contextmanager
    def writing(self, what: str) -> Iterator[Study]:
        """Hold the study for several changes, on its newest state and in today's layout.

        A second writer is told ``what`` the holder does.

        Raises:
            StudyLockedError: another process, or another part of this one, is writing.
            StorageError: the folder cannot be written.
        """
        with StudyLock(self.folder, what):
            self._writing = True
            try:
                self._load()
                renew(self.folder, self.config, self.subjects)
                yield self
            finally:
                self._writing = False

    def _change(self, what: str) -> AbstractContextManager[object]:
        return nullcontext() if self._writing else self.writing(what)

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
            added = imagestore.add_subjects(members, self.folder, reporter or Reporter(), organs=self.config.organs)
            write_state(self.folder, self.config, {**self.subjects, **added})
            self._load()

    def remove_subjects(self, names: Iterable[str]) -> None:
        """Take subjects out and delete their files, all or none.

        Raises:
            InputError: there is no such subject.
            StudyError: one has labels, or a round asks for it or pairs slices with it.
            StorageError: the disk is full or refuses.
        """
        with self._change("remove subjects"):
            gone = set(names)
            self._check_unused(gone, "Keep it, and skip its slices where they are of no use.")
            for name in gone:
                predictionstore.drop_case(self.folder, name)
            kept = {name: subject for name, subject in self.subjects.items() if name not in gone}
            write_state(self.folder, self.config, kept)
            self._load()
            for name in gone:
                imagestore.remove_files(self.folder, name)

    def set_split(self, name: str, split: Split) -> None:
        """Let a subject serve something else; all subjects of its patient go along.

        Raises:
            InputError: there is no such subject or split.
            StudyError: one of them has labels, or a round asks for it or pairs slices with it.
            StorageError: the disk is full or refuses.
        """
        if split not in SPLITS:
            raise InputError(f"There is no split {split!r}.", f"Choose one of {', '.join(SPLITS)}.")
        with self._change(f"move {name}"):
            patient = self.subject(name).patient
            moved = {
                each.name: replace(each, split=split)
                for each in self.subjects.values()
                if each.patient == patient and each.split != split
            }
            self._check_unused(moved, "It stays in its split; add another patient instead.")
            if moved:
                write_state(self.folder, self.config, {**self.subjects, **moved})
                self._load()

    def _check_unused(self, names: Iterable[str], remedy: str) -> None:
        for name in sorted(names):
            if reason := self.in_use(name):
                raise StudyError(reason, remedy)

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
            labelmap: 0 outside, each organ with its number in the study, on the image's grid.
            slices: the annotated ones, along ``axis``; they speak of all organs, and one without any counts as
                annotated.
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
            new = labelstore.merged(
                old,
                labelmap,
                slices,
                round=round,
                roles=roles or {},
                axis=axis,
                organs=len(self.config.organs),
            )
            labelstore.commit_labels(self.folder, name, which, new)

    def remove_labels(self, name: str, slices: Sequence[int], *, which: Which = "primary") -> None:
        """Take annotations back, in one step; slices that have none are passed over.

        A round 0 that asks for nothing goes with the last annotation that it began with, unless it is trained.
        """
        with self._change(f"remove labels of {name}"):
            old = self.labels(name, which)
            if old is None:
                return
            new = labelstore.without(old, slices)
            taken = len(old.annotations) - len(new.annotations)
            rounds = self.rounds()
            bare = len(rounds) == 1 and not rounds[0].requests and not rounds[0].trained
            taught = which == "primary" and self.subject(name).split == "train"
            if bare and taught and self.ledger()["budget"]["used"] == taken:
                roundstore.remove_round(self.folder, 0)  # before the labels: a kill between leaves a study to begin
            labelstore.commit_labels(self.folder, name, which, new)

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

    def put_prediction(
        self, index: int, case: str, labelmap: Volume, uncertainty: Iterable[float], attention: Volume | None = None
    ) -> Prediction:
        """Keep what the network of a round made of a case.

        Args:
            index: the round.
            case: the subject.
            labelmap: uint8 on the primary image's grid, each organ with its number.
            uncertainty: mean binary entropy of each slice, bits.
            attention: what was taken from the other modality, uint8 percent on the same grid; or None.

        Raises:
            StorageError: the disk is full or refuses; the prediction is whole or not there.
        """
        with self._change(f"segment {case}"):
            return predictionstore.write_prediction(self.folder, index, case, labelmap, uncertainty, attention)

    def drop_predictions(self, index: int) -> None:
        """Remove the predictions of a round, because its network or what turns it into labelmaps changes.

        Raises:
            StorageError: the system refuses.
        """
        with self._change(f"remove predictions of round {index}"):
            predictionstore.drop_round(self.folder, index)

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

        Other settings of inference make the newest network's predictions void: they are removed.

        Args:
            changes: as for :meth:`VQBEGALLib.config.Config.replace`.

        Raises:
            InputError: an unknown setting or a value that does not fit.
            StudyError: there are rounds, and the change touches the seed, slices, network, organs or tasks that they
                rest on; there are labels, and it touches the organs that they show, or the tasks.
            StorageError: the disk is full or refuses.
        """
        with self._change("change settings"):
            config = self.config.replace(changes)
            before, after = self.config.foundations(), config.foundations()
            fixed = [name for name, value in after.items() if value != before.get(name, value)]
            if fixed and self.rounds():
                raise StudyError(
                    f"The study's rounds rest on its settings of {', '.join(fixed)}.",
                    "Create another study for other settings; those of training, rounds and inference can be changed.",
                )
            if "organ" in fixed and self._show_organs(config.organs):
                raise StudyError(
                    "The study's labels show its organs in their order.", "Create another study for other organs."
                )
            if "tasks" in fixed and self._labelled():
                raise StudyError(
                    "The study's labels were drawn for the tasks that it has.", "Create another study for other tasks."
                )
            trained = [item.index for item in self.rounds() if item.trained]
            if trained and config.inference != self.config.inference:
                self.drop_predictions(trained[-1])
            write_state(self.folder, config, self.subjects)
            self._load()

    def _show_organs(self, others: tuple[str, ...]) -> bool:
        """Tell whether labels or references would mean something else with other organs; one may change its name."""
        if self._labelled():
            return True
        referred = any(subject.reference(which) for subject in self.subjects.values() for which in WHICH)
        return referred and max(len(others), len(self.config.organs)) > 1

    def _labelled(self) -> bool:
        return any(labelstore.read_index(self.folder, name, which) for name in self.subjects for which in WHICH)

    def log(self, event: Mapping[str, Any]) -> None:
        """Append an event to ``log.jsonl``, with the time."""
        append_line(self.folder / LOG, _stamped(event))


def _stamped(event: Mapping[str, Any]) -> dict[str, Any]:
    return {"time": datetime.now(timezone.utc).isoformat(timespec="milliseconds"), **event}
