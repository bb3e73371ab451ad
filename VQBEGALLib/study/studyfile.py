"""``study.json``: read, migrated, checked, written; and the folder that a new study is built in."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from VQBEGALLib.config import Config
from VQBEGALLib.errors import InputError, StorageError, StudyError, StudyLockedError
from VQBEGALLib.storage import TEMPORARY, flush_folder, inside, read_json, storing, write_json
from VQBEGALLib.study.fields import REMEDY, Fields
from VQBEGALLib.study.locking import StudyLock
from VQBEGALLib.study.membership import check_names, check_patients
from VQBEGALLib.study.records import Subject

STUDY_FILE = "study.json"
SCHEMA = 2
"""Version of the folder's layout. A change that older code cannot read raises it and adds a migration.

1: the first. 2: settings of the related methods, networks of theirs, several organs.
"""

MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {
    1: lambda data: data,  # settings that it lacks take their defaults, which are what version 1 did
}
"""By version: turns the content of that version's ``study.json`` into the next version's."""

_BUILDING = f"{TEMPORARY}study-"


def read_state(folder: Path) -> tuple[Config, dict[str, Subject]]:
    """Read configuration and subjects of a study.

    Raises:
        StudyError: no study, damaged, nonsense, from a newer version, or naming files outside the folder.
    """
    path = folder / STUDY_FILE
    if not path.is_file():
        raise StudyError(f"{folder} is not a study.", "Create one with `vqbegal study create`, or check the path.")
    data = _migrated(read_json(path))
    read = Fields(data, STUDY_FILE)
    subjects = {}
    for number, item in enumerate(read.items("subjects")):
        subject = Subject.from_json(item, f"{STUDY_FILE}, subject {number}")
        if subject.name in subjects:
            raise StudyError(f"{STUDY_FILE} lists {subject.name!r} twice.", REMEDY)
        subjects[subject.name] = subject
    try:
        config = Config.from_json(read.value("config"))
        check_names(subjects)
        check_patients(subjects.values())
    except InputError as error:
        raise StudyError(f"{STUDY_FILE}: {error.problem}", error.remedy) from error
    for subject in subjects.values():
        for record in subject.records().values():
            inside(folder, record.path)
    return config, subjects


def write_state(folder: Path, config: Config, subjects: Mapping[str, Subject]) -> None:
    """Replace ``study.json`` in one step.

    Raises:
        StorageError: the disk is full or refuses; the old file is intact.
    """
    state = {
        "schema": SCHEMA,
        "config": config.to_json(),
        "subjects": [subjects[name].to_json() for name in sorted(subjects)],
    }
    write_json(folder / STUDY_FILE, state)


def renew(folder: Path, config: Config, subjects: Mapping[str, Subject]) -> None:
    """Write ``study.json`` in today's layout where an older one stands, so that older programs refuse the study.

    Raises:
        StorageError: the disk is full or refuses; the old file is intact.
    """
    if _version(read_json(folder / STUDY_FILE)) < SCHEMA:
        write_state(folder, config, subjects)


@contextmanager
def built_aside(folder: Path) -> Iterator[Path]:
    """Yield an empty folder beside ``folder`` that takes its name once the block has ended without an error.

    Raises:
        StudyError: ``folder`` exists and is not empty.
        StorageError: the disk is full or refuses.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise StudyError(f"{folder} exists and is not empty.", "Choose another folder, or empty this one.")
    with storing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(folder.parent)
        building = folder.parent / f"{_BUILDING}{secrets.token_hex(6)}"
        building.mkdir()
    try:
        with StudyLock(building, "create"):
            yield building
        with storing(folder):
            if folder.exists():
                folder.rmdir()
            building.rename(folder)
            flush_folder(folder.parent)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise


def _remove_abandoned(parent: Path) -> None:
    """Remove what killed creations left behind; those still at work hold their lock."""
    for path in parent.glob(f"{_BUILDING}*"):
        try:
            with StudyLock(path, "clean"):
                pass
        except (StudyLockedError, StorageError):
            continue
        shutil.rmtree(path, ignore_errors=True)


def _version(data: Any) -> int:
    return Fields(data, STUDY_FILE).whole("schema", 1)


def _migrated(data: Any) -> Any:
    version = _version(data)
    if version > SCHEMA:
        raise StudyError(
            f"The study was made by a newer version of this software (layout {version}, this one knows {SCHEMA}).",
            "Update, then open it again.",
        )
    for older in range(version, SCHEMA):
        data = {**MIGRATIONS[older](data), "schema": older + 1}
    return data
