"""The encoder weights that a study's networks begin with: a copy in the study, with its digest.

``encoder/weights.safetensors``, and ``encoder/weights.json`` that says what it is; both or none.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from VQBEGALLib.errors import InputError, StudyError
from VQBEGALLib.storage import inside, make_folder, read_json, sha256, write_file, write_json
from VQBEGALLib.study.fields import REMEDY, Fields

FOLDER = "encoder"
RECORD = f"{FOLDER}/weights.json"
WEIGHTS = f"{FOLDER}/weights.safetensors"


def put_weights(study: Path, source: Path) -> None:
    """Copy a file of weights into a study.

    Raises:
        InputError: there is no such file.
        StorageError: the disk is full or refuses.
    """
    if not source.is_file():
        raise InputError(f"There is no file {source}.", "Check the path.")
    make_folder(study / FOLDER)
    path = study / WEIGHTS

    def copy(temporary: Path) -> None:
        shutil.copyfile(source, temporary)

    write_file(path, copy)
    record = {"path": WEIGHTS, "name": source.name, "sha256": sha256(path), "size": path.stat().st_size}
    write_json(study / RECORD, record)


def weights(study: Path) -> Path | None:
    """Return a study's file of encoder weights; None where it has none.

    Raises:
        StudyError: the file is missing, or another than was taken into the study.
    """
    if not (study / RECORD).is_file():
        return None
    record = Fields(read_json(study / RECORD), RECORD)
    path = inside(study, record.text("path"))
    if sha256(path) != record.text("sha256"):
        raise StudyError(f"{record.text('path')} has changed since it was taken into the study.", REMEDY)
    return path
