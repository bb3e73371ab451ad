"""A PACS that is reached through the DICOM protocol: C-ECHO and C-STORE."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from VQBEGALLib.errors import InputError, ServerError
from VQBEGALLib.events import Reporter, Stage
from VQBEGALLib.pacs.answers import DUPLICATE, is_warning, reason
from VQBEGALLib.pacs.association import associate, forget, hold_reactor, release, store_contexts
from VQBEGALLib.pacs.connection import FoundStudy, Instance, OnDone
from VQBEGALLib.pacs.quiet import quiet
from VQBEGALLib.pacs.server import Server
from VQBEGALLib.pacs.tls import make_context
from VQBEGALLib.pacs.transport import FIRST_PAUSE, LONGEST_PAUSE, wait
from VQBEGALLib.pacs.trouble import Trouble, broken_off, silent
from VQBEGALLib.volumes.libraries import library


class Dimse:
    """See :class:`VQBEGALLib.pacs.connection.Connection`; searching and fetching need DICOMweb.

    Args:
        server: where to.
        reporter: told of progress, asked whether a person cancelled.

    Raises:
        ServerError: a certificate's file cannot be used.
        MissingDependencyError: pynetdicom is not installed.
    """

    def __init__(self, server: Server, reporter: Reporter) -> None:
        library("pynetdicom", needed_by="sending by C-STORE")
        self._server = server
        self._reporter = reporter
        self._tls = make_context(server) if server.encrypted else None
        self._open = ExitStack()

    def __enter__(self) -> Dimse:
        self._open.enter_context(quiet())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def test(self) -> str:
        """Send a C-ECHO."""
        started = time.monotonic()
        with self._association([]) as association:
            if isinstance(association, Trouble):
                raise association.error
            hold_reactor(association)
            status = association.send_c_echo().get("Status")
        taken = 1000 * (time.monotonic() - started)
        if status != 0:
            said = "nothing" if status is None else f"status {status:04X}"
            raise ServerError(f"{self._server.name} answers the C-ECHO with {said}.", "Ask those who run the server.")
        security = "TLS" if self._server.encrypted else "not encrypted"
        return f"{self._server.name} answers (DICOM, {security}, {taken:.0f} ms)."

    def stored(self, instances: Sequence[Instance]) -> set[str]:
        """Return nothing: the protocol's storage service cannot be asked."""
        return set()

    def store(self, instances: Sequence[Instance], on_done: OnDone) -> None:
        """Send instances over one association; another one where it is lost, for those that are left."""
        left = list(instances)
        failures = 0
        with self._reporter.stage("send", len(left), unit="image") as stage:
            while left:
                before = len(left)
                trouble = self._send(left, on_done, stage)
                if trouble is None:
                    continue
                failures = failures + 1 if len(left) == before else 1
                if failures >= self._server.attempts or not trouble.again:
                    raise trouble.error
                wait(min(FIRST_PAUSE * 2 ** (failures - 1), LONGEST_PAUSE), self._reporter)

    def query(self, *, patient: str = "", study_uid: str = "", modality: str = "", limit: int = 50) -> list[FoundStudy]:
        """Refuse."""
        raise self._web_only()

    def series_headers(self, study_uid: str, series_uid: str) -> list[Any]:
        """Refuse."""
        raise self._web_only()

    def retrieve(self, study_uid: str, series_uid: str, folder: Path, reporter: Reporter) -> int:
        """Refuse."""
        raise self._web_only()

    def _send(self, left: list[Instance], on_done: OnDone, stage: Stage) -> Trouble | None:
        """Send over one association and take from ``left`` what was answered; returns what ended it early."""
        with self._association(left) as association:
            if isinstance(association, Trouble):
                return association
            for number, instance in enumerate(list(left)):
                found = self._send_one(association, instance, number % 0xFFFF + 1)
                if isinstance(found, Trouble):
                    return found
                left.remove(instance)
                on_done(instance.sop_instance_uid, found)
                stage.advance()
        return None

    def _send_one(self, association: Any, instance: Instance, number: int) -> str | Trouble:
        """Send one instance; returns what is wrong with it, empty where it is stored."""
        data = _read(instance.path)
        hold_reactor(association)
        started = time.monotonic()
        try:
            status = association.send_c_store(data, msg_id=number).get("Status")
        except (ValueError, AttributeError):
            return "Refused: the server does not take this kind of object or its transfer syntax."
        except (RuntimeError, OSError):  # the association ended meanwhile
            status = None
        if status is None:
            late = time.monotonic() - started >= self._server.read_timeout
            return silent(self._server) if late else broken_off(self._server)
        if is_warning(status):
            self._reporter.warn(f"The server stored an instance with changes ({status:04X}).")
        return "" if status in (0, DUPLICATE) or is_warning(status) else reason(status)

    @contextmanager
    def _association(self, instances: Sequence[Instance]) -> Iterator[Any]:
        """Yield an open association, or the Trouble that there is none; released afterwards, aborted on an error."""
        self._reporter.check_cancelled()
        association = associate(self._server, self._tls, store_contexts(instances))
        if isinstance(association, Trouble):
            yield association
            return
        try:
            yield association
        except BaseException:
            association.abort()
            raise
        else:
            release(association)
        finally:
            forget(association)

    def _web_only(self) -> ServerError:
        return ServerError(
            f"{self._server.name} is reached by C-STORE, which only sends.",
            "Use the server's DICOMweb address to search and fetch.",
        )


def _read(path: Path) -> Any:
    try:
        return library("pydicom").dcmread(path)
    except Exception:  # damaged bytes bring out any of pydicom's errors, which quote them
        damaged = InputError(f"{path} cannot be read.", "Export it anew, and send that.")
    raise damaged
