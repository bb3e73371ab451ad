"""HTTP requests to one server: encrypted, authenticated, repeated where that helps, explained where it does not."""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from VQBEGALLib import __version__
from VQBEGALLib.errors import ServerError
from VQBEGALLib.events import Reporter
from VQBEGALLib.pacs.adapter import make_adapter
from VQBEGALLib.pacs.probe import probe
from VQBEGALLib.pacs.server import Secret, Server
from VQBEGALLib.pacs.tls import make_context
from VQBEGALLib.pacs.trouble import Trouble, of_exception, of_status
from VQBEGALLib.volumes.libraries import library

CHUNK = 1 << 16
MOST_BYTES = 256 << 20
"""Of an answer that is read as a whole; a longer one is garbage."""

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 8.0
"""Seconds between two attempts; each pause is twice the one before."""


Parameters = Mapping[str, str | int | list[str]]
"""Of a query; a list stands for several of one name."""


@dataclass(frozen=True)
class Answer:
    """What a server said: status, media type, whole body."""

    status: int
    media_type: str
    body: bytes


class Transport:
    """One session with a server; its addresses all begin with the configured one, whatever the server names.

    Args:
        server: where to.
        secret: password or token, where the server asks for one.
        reporter: asked whether a person cancelled, before every attempt and during every pause.

    Raises:
        ServerError: the password is missing, or a certificate's file cannot be used.
        MissingDependencyError: requests is not installed.
    """

    def __init__(self, server: Server, secret: Secret | None, reporter: Reporter) -> None:
        self._requests = library("requests", needed_by="reaching a PACS")
        self.server = server
        self._reporter = reporter
        self._session = self._requests.Session()
        self._session.trust_env = False  # no passwords from .netrc, no authorities from the environment
        self._session.auth = _authentication(server, secret)
        self._session.headers["User-Agent"] = f"VQBEGAL/{__version__}"
        self._session.verify = server.ca_file or True
        self._tls = make_context(server) if server.encrypted else None
        adapter = make_adapter(self._tls, server.read_timeout)
        self._session.mount(f"{server.scheme}://", adapter)
        if server.proxies:
            self._session.proxies = self._requests.utils.get_environ_proxies(server.url, no_proxy=None)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def fetch(
        self,
        path: str,
        *,
        accept: str,
        parameters: Parameters | None = None,
        body: Iterable[bytes] | None = None,
        content_type: str = "",
        accepted: Callable[[int], bool] = lambda status: status in (200, 204),
        attempts: int | None = None,
    ) -> Answer:
        """Ask, or send a body, and return the whole answer; repeated on lost connections and errors of the server.

        Args:
            path: below the configured address, such as ``/studies``.
            accept: media types to ask for.
            parameters: of the query.
            body: sent with POST, read anew at every attempt.
            content_type: of the body.
            accepted: which status is an answer to return; any other is an error.
            attempts: at most; the server's own number where None.

        Raises:
            ServerError: no answer, or one that is not accepted.
            CancelledError: a person asked to stop.
        """

        def once() -> Answer | Trouble:
            with self._send(path, accept, parameters, body, content_type) as response:
                answer = Answer(response.status_code, media_type(response), _whole(response))
            return answer if accepted(answer.status) else of_status(self.server, answer.status, answer.body)

        answer: Answer = self._repeat(once, attempts or self.server.attempts)
        return answer

    @contextmanager
    def stream(self, path: str, *, accept: str) -> Iterator[tuple[str, Iterator[bytes]]]:
        """Ask for much; yields the Content-Type and the body in pieces as they arrive.

        Raises:
            ServerError: no answer, an error, or the connection broke off in the middle.
        """

        def once() -> Any:
            response = self._send(path, accept, None, None, "")
            if response.status_code == 200:
                return response
            with response:
                return of_status(self.server, response.status_code, _whole(response))

        with self._repeat(once, self.server.attempts) as response:
            yield response.headers.get("Content-Type", ""), self._pieces(response)

    def _send(self, path: str, accept: str, parameters: Any, body: Any, content_type: str) -> Any:
        headers = {"Accept": accept} | ({"Content-Type": content_type} if content_type else {})
        return self._session.request(
            "GET" if body is None else "POST",
            self.server.url.rstrip("/") + path,
            params=parameters,
            data=body,
            headers=headers,
            timeout=(self.server.connect_timeout, self.server.read_timeout),
            allow_redirects=False,
            stream=True,
        )

    def _repeat(self, once: Callable[[], Any], attempts: int) -> Any:
        pause = FIRST_PAUSE
        for attempt in range(attempts):
            if attempt:
                wait(pause, self._reporter)
                pause = min(2 * pause, LONGEST_PAUSE)
            self._reporter.check_cancelled()
            found = self._guarded(once)
            if not isinstance(found, Trouble):
                return found
            if not found.again:
                break
        if found.cut and self._tls and not self._session.proxies:
            found = probe(self.server, self._tls) or found
        raise found.error  # outside of every except block: the library's own error quotes the address

    def _guarded(self, step: Callable[[], Any]) -> Any:
        """Run a step; what requests, urllib3 or the system raise becomes a Trouble."""
        try:
            return step()
        except (self._requests.exceptions.RequestException, library("urllib3").exceptions.HTTPError, OSError) as error:
            return of_exception(self.server, error)

    def _pieces(self, response: Any) -> Iterator[bytes]:
        pieces = response.iter_content(CHUNK)
        while True:
            piece = self._guarded(lambda: next(pieces, b""))
            if isinstance(piece, Trouble):
                raise piece.error
            if not piece:
                return
            self._reporter.check_cancelled()
            yield piece


def media_type(response: Any) -> str:
    """Return the media type of a response without its parameters."""
    return str(response.headers.get("Content-Type", "")).partition(";")[0].strip().lower()


def wait(seconds: float, reporter: Reporter) -> None:
    """Wait, and look for a request to cancel meanwhile.

    Raises:
        CancelledError: a person asked to stop.
    """
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        reporter.check_cancelled()
        time.sleep(min(0.1, left))


def _whole(response: Any) -> bytes:
    parts, size = [], 0
    for piece in response.iter_content(CHUNK):
        parts.append(piece)
        size += len(piece)
        if size > MOST_BYTES:
            break
    return b"".join(parts)


def _authentication(server: Server, secret: Secret | None) -> Callable[[Any], Any] | None:
    """Return what puts the password on a request; never a pair, which requests would show in its repr."""
    if server.auth == "none":
        return None
    if secret is None:
        raise ServerError(f"{server.name} needs a password, and none was given.", "Enter it.")
    given = secret  # UTF-8, as RFC 7617 asks; requests would take Latin-1

    def add(request: Any) -> Any:
        if server.auth == "bearer":
            request.headers["Authorization"] = b"Bearer " + given.reveal().encode()
        else:
            login = f"{server.user}:{given.reveal()}".encode()
            request.headers["Authorization"] = b"Basic " + b64encode(login)
        return request

    return add
