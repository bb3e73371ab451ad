"""The queue of a study: DICOM objects that wait for a PACS, and what became of each.

``outbox/<id>/item.json`` and the objects beside it appear in one step; ``outbox/<id>/sent.jsonl`` grows by a line for
each answer. Once the PACS has confirmed all of them, the folder goes: the objects name the patient, the rest of the
study does not.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from VQBEGALLib.errors import InputError, StudyError
from VQBEGALLib.pacs.connection import Instance
from VQBEGALLib.storage import (
    TEMPORARY,
    append_line,
    flush_folder,
    inside,
    make_folder,
    read_json,
    read_lines,
    storing,
    write_json,
)

OUTBOX = "outbox"
_ITEM, _SENT = "item.json", "sent.jsonl"


@dataclass(frozen=True, kw_only=True)
class Item:
    """What waits for one server.

    Args:
        id: name of its folder.
        about: what the log says of it once it is sent: case, what, format, round.
        server: name of the server's profile.
        address: of the server, without user or password.
        created: ISO 8601, UTC.
        instances: all objects of it.
        sent: UIDs that the server has confirmed.
        problems: by UID, why the server did not take an object when it was last tried.
        trouble: why nothing more could be sent when it was last tried; or what is wrong with the item itself.
        begun: sending was tried before, so that the server may have more of it than it confirmed.
        damaged: it cannot be sent, only removed.
    """

    id: str
    about: dict[str, Any]
    server: str
    address: str
    created: str
    instances: tuple[Instance, ...]
    sent: frozenset[str] = frozenset()
    problems: dict[str, str] = field(default_factory=dict)
    trouble: str = ""
    begun: bool = False
    damaged: bool = False

    @property
    def left(self) -> list[Instance]:
        """Those that the server has not confirmed."""
        return [each for each in self.instances if each.sop_instance_uid not in self.sent]

    @property
    def last_problem(self) -> str:
        """Why it still waits, as far as that is known."""
        return self.trouble or next(reversed(self.problems.values()), "")


def put(
    study: Path, fill: Callable[[Path], Sequence[Instance]], *, about: dict[str, Any], server: str, address: str
) -> Item:
    """Add an item, in one step.

    Args:
        study: the study's folder; it is held for writing.
        fill: writes the objects into a folder and returns them.
        about: for the log.
        server: its name.
        address: where it is.

    Raises:
        StorageError: the disk is full or refuses; then nothing is added.
    """
    remove_abandoned(study)
    now = datetime.now(timezone.utc)
    name = f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"
    make_folder(study / OUTBOX)
    aside = study / OUTBOX / f"{TEMPORARY}{name}"
    try:
        make_folder(aside)
        with storing(aside):
            aside.chmod(0o700)
        instances = fill(aside)
        write_json(
            aside / _ITEM,
            {
                "about": about,
                "server": server,
                "address": address,
                "created": now.isoformat(timespec="seconds"),
                "instances": [{**_plain(each), "file": each.path.name} for each in instances],
            },
        )
        with storing(study / OUTBOX):
            aside.rename(study / OUTBOX / name)
            flush_folder(study / OUTBOX)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return read(study, name)


def remove_abandoned(study: Path) -> None:
    """Delete what a killed process was about to put here or to take away: it names patients, and nothing waits in it.

    The study is held for writing, so that nobody is at work on it.
    """
    for path in (study / OUTBOX).glob(f"{TEMPORARY}*"):
        shutil.rmtree(path, ignore_errors=True)


def waiting(study: Path) -> list[Item]:
    """Return what waits, oldest first; what is damaged waits to be removed."""
    folder = study / OUTBOX
    names = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    found = []
    for name in names:
        if name.startswith(TEMPORARY):
            continue
        try:
            found.append(read(study, name))
        except InputError:  # it has just been sent or removed
            continue
        except StudyError as error:
            found.append(_damaged(name, error))
    return found


def _damaged(name: str, error: StudyError) -> Item:
    return Item(id=name, about={}, server="", address="", created="", instances=(), trouble=str(error), damaged=True)


def read(study: Path, name: str) -> Item:
    """Return an item by its ID.

    Raises:
        InputError: there is none.
        StudyError: it is damaged.
    """
    folder = _folder(study, name)
    lines = read_lines(folder / _SENT)
    try:
        data = read_json(folder / _ITEM)
        lines = lines[int(data.get("answers_from", 0)) :]
        instances = tuple(
            Instance(path=folder / Path(each["file"]).name, **{key: str(each[key]) for key in _UIDS})
            for each in data["instances"]
        )
        return Item(
            id=name,
            about=dict(data["about"]),
            server=str(data["server"]),
            address=str(data["address"]),
            created=str(data["created"]),
            instances=instances,
            sent=frozenset(str(line["uid"]) for line in lines if line.get("uid") and not line.get("problem")),
            problems=_problems(lines),
            trouble=str(lines[-1].get("trouble", "")) if lines else "",
            begun=bool(lines),
        )
    except (AttributeError, KeyError, TypeError, ValueError, InputError, StudyError) as error:
        _folder(study, name)
        raise StudyError(
            f"{OUTBOX}/{name} is damaged.", "Remove it with `vqbegal queue --remove`, and export again."
        ) from error


def begin(study: Path, item: Item) -> None:
    """Note that sending starts; a StorageError where the disk refuses."""
    append_line(study / OUTBOX / item.id / _SENT, {"begun": datetime.now(timezone.utc).isoformat(timespec="seconds")})


def note(study: Path, item: Item, uid: str, problem: str = "") -> None:
    """Note the server's answer to one object, empty for a success; a StorageError where the disk refuses."""
    append_line(study / OUTBOX / item.id / _SENT, {"uid": uid, **({"problem": problem} if problem else {})})


def note_trouble(study: Path, item: Item, text: str) -> None:
    """Note why nothing more of an item could be sent; a StorageError where the disk refuses."""
    append_line(study / OUTBOX / item.id / _SENT, {"trouble": text})


def redirect(study: Path, item: Item, *, server: str, address: str) -> Item:
    """Let an item wait for another server, which may have none of it yet.

    Raises:
        StorageError: the disk is full or refuses; it waits for the old one then.
    """
    folder = study / OUTBOX / item.id
    answers = len(read_lines(folder / _SENT))  # those of the old server, which say nothing about the new one
    write_json(
        folder / _ITEM, {**read_json(folder / _ITEM), "server": server, "address": address, "answers_from": answers}
    )
    return read(study, item.id)


def remove(study: Path, name: str) -> None:
    """Remove an item, sent or given up.

    Raises:
        InputError: there is none.
        StorageError: the system refuses.
    """
    folder = _folder(study, name)
    aside = folder.with_name(f"{TEMPORARY}{name}")
    with storing(folder):
        folder.rename(aside)
        flush_folder(folder.parent)
    shutil.rmtree(aside, ignore_errors=True)


def _folder(study: Path, name: str) -> Path:
    """Return an item's folder; an InputError where it is not there, or not any more."""
    folder = inside(study / OUTBOX, name)
    if not folder.is_dir():
        raise InputError(f"Nothing waits under {name!r}.", "Look at the list with `vqbegal queue`.")
    return folder


_UIDS = ("sop_class_uid", "sop_instance_uid", "study_uid", "series_uid")


def _plain(instance: Instance) -> dict[str, str]:
    return {key: getattr(instance, key) for key in _UIDS}


def _problems(lines: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Return the newest problem of each object that is not sent."""
    found: dict[str, str] = {}
    for line in lines:
        uid = str(line.get("uid", ""))
        found.pop(uid, None)
        if line.get("problem"):
            found[uid] = str(line["problem"])
    return found
