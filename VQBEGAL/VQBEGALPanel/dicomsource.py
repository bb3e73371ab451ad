"""From which DICOM images a volume was loaded, as far as the application's DICOM database knows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import slicer
from slicer.i18n import tr as _

if TYPE_CHECKING:
    from collections.abc import Iterable

    from VQBEGALLib.study.records import ImageRecord

INSTANCES = "DICOM.instanceUIDs"
"""Attribute of a volume node that the application loaded from its DICOM database: UIDs with spaces between."""


def files(uids: Iterable[str]) -> list[Path]:
    """Return the files of SOP instances; nothing unless the application has a database that knows them all."""
    database = getattr(slicer, "dicomDatabase", None)
    wanted = list(uids)
    if database is None or not wanted:
        return []
    found = [Path(name) for uid in wanted if (name := database.fileForInstance(uid))]
    return found if len(found) == len(wanted) and all(path.is_file() for path in found) else []


def write_list(paths: Iterable[Path], target: Path) -> None:
    """Write a list of files as ``vqbegal`` reads it: one path a line."""
    target.write_text("".join(f"{path}\n" for path in paths), encoding="utf-8")


def of_node(node: slicer.vtkMRMLVolumeNode) -> tuple[list[Path], str]:
    """Return the files that a volume was loaded from, and why they are not passed on, empty where they are."""
    uids = (node.GetAttribute(INSTANCES) or "").split()
    if not uids:
        return [], ""
    if node.GetParentTransformNode() is not None:
        return [], _(
            "{name} is under a transform, so that it no longer lies where its DICOM images lie: the study does not "
            "remember them, and DICOM objects cannot refer to them."
        ).format(name=node.GetName())
    found = files(uids)
    if found:
        return found, ""
    return [], _("The DICOM images of {name} are no longer in the application's database.").format(name=node.GetName())


def of_record(record: ImageRecord | None) -> list[Path]:
    """Return the files of the images that a case's volume was made from, where the database has them."""
    uids = ((record.source if record is not None else None) or {}).get("sop_instance_uids")
    return files(str(uid) for uid in uids) if isinstance(uids, list) else []
