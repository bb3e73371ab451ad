"""A PACS that is reached through DICOMweb: QIDO-RS, STOW-RS, WADO-RS."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from VQBEGALLib.events import Reporter
from VQBEGALLib.pacs import query, retrieve, stow
from VQBEGALLib.pacs.connection import FoundStudy, Instance, OnDone
from VQBEGALLib.pacs.quiet import quiet
from VQBEGALLib.pacs.server import Secret, Server
from VQBEGALLib.pacs.transport import Transport


class DicomWeb:
    """See :class:`VQBEGALLib.pacs.connection.Connection`."""

    def __init__(self, server: Server, secret: Secret | None, reporter: Reporter) -> None:
        self._server = server
        self._reporter = reporter
        self._transport = Transport(server, secret, reporter)
        self._open = ExitStack()

    def __enter__(self) -> DicomWeb:
        self._open.enter_context(quiet())
        self._open.callback(self._transport.close)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def test(self) -> str:
        """Ask for one study."""
        started = time.monotonic()
        query.page(self._transport, "/studies", {"limit": 1}, attempts=1)
        taken = 1000 * (time.monotonic() - started)
        security = "TLS" if self._server.encrypted else "not encrypted"
        return f"{self._server.name} answers (DICOMweb, {security}, {taken:.0f} ms)."

    def stored(self, instances: Sequence[Instance]) -> set[str]:
        """Ask for the instances of each series."""
        series = {(item.study_uid, item.series_uid): set[str]() for item in instances}
        for study_uid, series_uid in series:
            series[study_uid, series_uid] = query.instances(self._transport, study_uid, series_uid)
        return {
            item.sop_instance_uid
            for item in instances
            if item.sop_instance_uid in series[item.study_uid, item.series_uid]
        }

    def store(self, instances: Sequence[Instance], on_done: OnDone) -> None:
        """Send instances."""
        stow.store(self._transport, instances, on_done, self._reporter)

    def query(self, *, patient: str = "", study_uid: str = "", modality: str = "", limit: int = 50) -> list[FoundStudy]:
        """Find studies with their series."""
        return query.studies(self._transport, patient=patient, study_uid=study_uid, modality=modality, limit=limit)

    def series_headers(self, study_uid: str, series_uid: str) -> list[Any]:
        """Fetch the attributes of a series' images."""
        return retrieve.headers(self._transport, study_uid, series_uid)

    def retrieve(self, study_uid: str, series_uid: str, folder: Path, reporter: Reporter) -> int:
        """Fetch a series to a folder."""
        return retrieve.series(self._transport, study_uid, series_uid, folder, reporter)
