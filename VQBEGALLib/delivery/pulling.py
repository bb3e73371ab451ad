"""Fetch a patient's CT and MR from a PACS and make a case of them."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from VQBEGALLib.delivery.sources import kept_in
from VQBEGALLib.errors import InputError
from VQBEGALLib.events import Reporter
from VQBEGALLib.pacs.connection import Connection, FoundSeries, FoundStudy
from VQBEGALLib.storage import TEMPORARY, make_folder, storing
from VQBEGALLib.study import Study
from VQBEGALLib.study.membership import NewSubject, check_names
from VQBEGALLib.study.records import WHICH, Split, Which

_LEAST = 3
"""Images that a series needs to be taken for a volume where nobody names a series; a localizer may have less."""

Place = tuple[str, str]
"""A series: study instance UID, series instance UID."""


def pull(
    study: Study,
    case: str,
    series: dict[Which, Place],
    connection: Connection,
    *,
    split: Split,
    keep: bool = True,
    reporter: Reporter,
) -> None:
    """Fetch series and add them to a study as one case; what was fetched before an interruption is not fetched again.

    Args:
        study: gets the case.
        case: its name, and the patient's; must be new.
        series: what is fetched, by what it serves.
        connection: to the server.
        split: what the case serves.
        keep: leave the DICOM files beside the study, so that a result can refer to them when the server is down.
        reporter: told of each image.

    Raises:
        InputError: there is such a case, or the images make up no volume.
        ServerError: the server was not reached, or an image is missing.
        StorageError: the disk is full or refuses.
        CancelledError: a person asked to stop.
    """
    check_names([*study.subjects, case])
    with _folders(study, [uid for _, uid in series.values()], keep) as folders:
        for (study_uid, series_uid), folder in zip(series.values(), folders, strict=True):
            connection.retrieve(study_uid, series_uid, folder, reporter)
        images = dict(zip(series, folders, strict=True))
        member = NewSubject(case, case, split, images.get("primary"), images.get("auxiliary"))
        study.add_subjects([member], reporter=reporter)
    study.log({"event": "pulled", "case": case, "series": {which: place[1] for which, place in series.items()}})


def chosen(study: Study, found: Sequence[FoundStudy], named: dict[Which, str]) -> dict[Which, Place]:
    """Return which series to fetch: the named ones, else the only one of the study's modality.

    Args:
        study: says which modality is primary and which auxiliary.
        found: what the server has.
        named: series instance UIDs that a person chose; ``none`` for no auxiliary.

    Raises:
        InputError: none of the primary modality, several to choose from, or a named one that the server does not have.
    """
    settings = study.config.slices
    modality = {"primary": settings.primary_modality, "auxiliary": settings.auxiliary_modality}
    series: dict[Which, Place] = {}
    for which in WHICH:
        if which == "auxiliary" and named.get(which) == "none":
            continue
        choices = _choices(found, modality[which], named.get(which, ""))
        if named.get(which) and not choices:
            raise InputError(f"The PACS has no such {which} series.", "Look with `vqbegal query`.")
        if len(choices) > 1:
            told = "; ".join(f"{item.series_uid} ({item.images} images)" for _, item in choices[:8])
            raise InputError(
                f"There are {len(choices)} {modality[which]} series: {told}.", f"Name one with --{which}-series."
            )
        if choices:
            series[which] = (choices[0][0].study_uid, choices[0][1].series_uid)
    if "primary" not in series:
        raise InputError(f"The PACS has no {modality['primary']} series there.", "Look with `vqbegal query`.")
    return series


def _choices(found: Sequence[FoundStudy], modality: str, uid: str) -> list[tuple[FoundStudy, FoundSeries]]:
    pairs = [(each, item) for each in found for item in each.series]
    if uid:
        return [pair for pair in pairs if pair[1].series_uid == uid]
    return [pair for pair in pairs if pair[1].modality == modality and not 0 <= pair[1].images < _LEAST]


@contextmanager
def _folders(study: Study, uids: Sequence[str], keep: bool) -> Iterator[list[Path]]:
    """Yield a private folder for each series; those of series that make up no volume do not stay."""
    for abandoned in study.folder.glob(f"{TEMPORARY}pull-*"):  # by a process that was killed: the study is held here
        shutil.rmtree(abandoned, ignore_errors=True)
    aside = study.folder / f"{TEMPORARY}pull-{secrets.token_hex(6)}"
    folders = [kept_in(study, uid) if keep else aside / uid for uid in uids]
    for folder in folders:
        make_folder(folder)
        with storing(folder):
            folder.parent.chmod(0o700)
    try:
        yield folders
    except InputError:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
