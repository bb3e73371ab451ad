"""Asks a server what it has (QIDO-RS); what names a patient is dropped as soon as it has been compared."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from VQBEGALLib.errors import InputError
from VQBEGALLib.pacs.answers import text, values
from VQBEGALLib.pacs.connection import FoundSeries, FoundStudy, checked_uid
from VQBEGALLib.pacs.transport import Parameters, Transport
from VQBEGALLib.pacs.trouble import not_understood
from VQBEGALLib.volumes.dicom_slice import is_uid

JSON = "application/dicom+json"
PAGE = 500
MOST_ITEMS = 100_000

SOP_INSTANCE, STUDY, SERIES = "00080018", "0020000D", "0020000E"
PATIENT_ID, DATE, MODALITY, MODALITIES = "00100020", "00080020", "00080060", "00080061"
STUDY_DESCRIPTION, SERIES_DESCRIPTION, IMAGES = "00081030", "0008103E", "00201209"

_NOT_OFFERED = {204, 400, 404, 405, 406, 501}


def studies(transport: Transport, *, patient: str, study_uid: str, modality: str, limit: int) -> list[FoundStudy]:
    """Find studies by the patient's number or the study's UID, the newest first, each with its series.

    Raises:
        InputError: neither is given, or the number would match several patients.
        ServerError: no answer, or not one of QIDO-RS.
    """
    wanted = _wanted(patient, study_uid, modality)
    fields = [STUDY_DESCRIPTION, MODALITIES]
    found = _all(transport, "/studies", {**wanted, "includefield": fields}, limit)
    found = [item for item in found if _fits(item, patient, study_uid) and is_uid(text(item, STUDY))]
    result = []
    for item in found[:limit]:
        series = _series(transport, text(item, STUDY))
        if modality and not any(one.modality == modality for one in series):
            continue
        names = {one.modality for one in series} | {str(name) for name in values(item, MODALITIES)}
        result.append(
            FoundStudy(
                study_uid=text(item, STUDY),
                date=text(item, DATE),
                description=text(item, STUDY_DESCRIPTION),
                modalities=tuple(sorted(names - {""})),
                series=series,
            )
        )
    return sorted(result, key=lambda study: study.date, reverse=True)


def instances(transport: Transport, study_uid: str, series_uid: str, *, strict: bool = False) -> set[str]:
    """Return the SOP instance UIDs of a series; none where the server does not offer to tell, unless ``strict``.

    Raises:
        ServerError: no answer, or not one of QIDO-RS.
    """
    path = f"/studies/{checked_uid(study_uid)}/series/{checked_uid(series_uid)}/instances"
    found = _all(transport, path, {"includefield": [SOP_INSTANCE]}, MOST_ITEMS, lenient=not strict)
    uids = {text(item, SOP_INSTANCE) for item in found}
    if not all(map(is_uid, uids)):
        raise not_understood(transport.server)
    return uids


def page(
    transport: Transport,
    path: str,
    parameters: Parameters,
    *,
    lenient: bool = False,
    attempts: int | None = None,
) -> list[Mapping[str, Any]]:
    """Ask once; returns the attributes of each match.

    Raises:
        ServerError: no answer, or not one of QIDO-RS.
    """
    fine = {200, 204} | (_NOT_OFFERED if lenient else set())
    answer = transport.fetch(
        path, accept=JSON, parameters=parameters, accepted=lambda status: status in fine, attempts=attempts
    )
    if answer.status != 200 or not answer.body.strip():
        return []
    try:
        data = json.loads(answer.body)
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, list) or not all(isinstance(item, Mapping) for item in data):
        raise not_understood(transport.server)
    return data


def _all(
    transport: Transport, path: str, parameters: Parameters, most: int, *, lenient: bool = False
) -> list[Mapping[str, Any]]:
    """Ask page by page, until one brings nothing new: some servers do not know of pages and repeat themselves."""
    found: dict[str, Mapping[str, Any]] = {}
    while len(found) < most:
        size = min(PAGE, most - len(found))
        batch = page(transport, path, {**parameters, "limit": size, "offset": len(found)}, lenient=lenient)
        before = len(found)
        found |= {json.dumps(item, sort_keys=True): item for item in batch}
        if len(batch) < size or len(found) == before:
            break
    return list(found.values())


def _series(transport: Transport, study_uid: str) -> tuple[FoundSeries, ...]:
    fields = [SERIES_DESCRIPTION, IMAGES]
    found = _all(transport, f"/studies/{study_uid}/series", {"includefield": fields}, MOST_ITEMS)
    series = [
        FoundSeries(
            series_uid=text(item, SERIES),
            modality=text(item, MODALITY),
            description=text(item, SERIES_DESCRIPTION),
            images=int(text(item, IMAGES)) if text(item, IMAGES).isdecimal() else -1,
        )
        for item in found
        if is_uid(text(item, SERIES))
    ]
    return tuple(sorted(series, key=lambda one: (one.modality, one.series_uid)))


def _wanted(patient: str, study_uid: str, modality: str) -> dict[str, str | int | list[str]]:
    patient = patient.strip()
    if not patient and not study_uid:
        raise InputError("Neither a patient's number nor a study is given.", "Give one of them.")
    if any(letter in patient for letter in "*?\\,") or not patient.isprintable():
        raise InputError("The patient's number holds a wildcard.", "Give it without * ? \\ and commas.")
    wanted: dict[str, str | int | list[str]] = {"PatientID": patient} if patient else {}
    if study_uid:
        wanted["StudyInstanceUID"] = checked_uid(study_uid)
    if modality:
        wanted["ModalitiesInStudy"] = modality
    return wanted


def _fits(item: Mapping[str, Any], patient: str, study_uid: str) -> bool:
    """Tell whether a match is one: some servers pass over a condition that they do not know."""
    number = text(item, PATIENT_ID)
    return (not patient or number == patient.strip()) and (not study_uid or text(item, STUDY) == study_uid)
