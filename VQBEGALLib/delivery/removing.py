"""Take cases out of a study together with what is kept of them beside it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

from VQBEGALLib.delivery import outbox
from VQBEGALLib.delivery.sources import kept_in, series_uid
from VQBEGALLib.errors import StudyError
from VQBEGALLib.study import Study


def remove_cases(study: Study, names: Sequence[str]) -> None:
    """Remove cases, and the DICOM files that were fetched for them; the study is held for writing.

    Raises:
        InputError: there is no such case.
        StudyError: a round uses one, or a result of one waits to be sent.
        StorageError: the disk is full or refuses.
    """
    for item in outbox.waiting(study.folder):
        if item.about.get("case") in names:
            raise StudyError(
                f"A result of {item.about['case']} waits to be sent to {item.server}.",
                "Send it, or remove it from the queue, first.",
            )
    records = [record for name in names for record in study.subject(name).records().values()]
    study.remove_subjects(names)
    for uid in filter(None, (series_uid(record.source) for record in records)):
        shutil.rmtree(kept_in(study, uid), ignore_errors=True)
