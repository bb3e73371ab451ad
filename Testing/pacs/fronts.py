"""Servers on 127.0.0.1 that stand before Orthanc or in its place: TLS, and answers that go wrong as told."""

from __future__ import annotations

import contextlib
import datetime
import io
import json
import re
import select
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pydicom
import trustme


class Listener:
    """Accepts connections on a free port and serves each in a thread, until closed.

    Args:
        serve: called with each connection, which is closed afterwards.
    """

    def __init__(self, serve: Callable[[socket.socket], None]) -> None:
        self._serve = serve
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self._open: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def close(self) -> None:
        """Stop listening, cut all connections, and wait until their threads have ended."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in list(self._threads):
            thread.join(10)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self._open.add(connection)
            thread = threading.Thread(target=self._one, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _one(self, connection: socket.socket) -> None:
        try:
            with contextlib.suppress(OSError):
                self._serve(connection)
        finally:
            self._open.discard(connection)
            with contextlib.suppress(OSError):
                connection.close()


@dataclass
class Certificates:
    """An authority of our own and what it signed, as PEM files in a folder."""

    folder: Path
    authority: trustme.CA = field(default_factory=trustme.CA)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.ca_file = self.folder / "authority.pem"
        self.authority.cert_pem.write_to_path(self.ca_file)
        past = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=1)
        self.good = self._write("good", self.authority.issue_cert("localhost", "127.0.0.1"))
        self.expired = self._write("expired", self.authority.issue_cert("localhost", "127.0.0.1", not_after=past))
        self.elsewhere = self._write("elsewhere", self.authority.issue_cert("pacs.example.org"))
        self.client = self._write("client", self.authority.issue_cert("clinician@example.org"))
        self.stranger = self._write("stranger", trustme.CA().issue_cert("clinician@example.org"))

    def _write(self, name: str, issued: trustme.LeafCert) -> tuple[Path, Path]:
        certificate, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(key)
        return certificate, key


@contextlib.contextmanager
def tls_front(port: int, certificate: tuple[Path, Path], *, client_ca: Path | None = None) -> Iterator[int]:
    """Stand with TLS before a server at ``port`` of 127.0.0.1; yields the front's port.

    Args:
        port: of the server without TLS.
        certificate: files with the front's certificate and key.
        client_ca: authority whose clients alone are let in; anyone where None.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sslsocket_class = _Secured
    context.load_cert_chain(*certificate)
    if client_ca:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED

    def serve(connection: socket.socket) -> None:
        with (
            context.wrap_socket(connection, server_side=True) as secured,
            socket.create_connection(("127.0.0.1", port)) as server,
        ):
            pump(secured, server)

    listener = Listener(serve)
    try:
        yield listener.port
    finally:
        listener.close()


class _Secured(ssl.SSLSocket):
    """Closes itself where the client left before the handshake began; ssl forgets it then."""

    def __del__(self) -> None:
        self.close()


def pump(client: socket.socket, server: socket.socket) -> None:
    """Hand on bytes both ways until one side ends."""
    while True:
        decrypted = isinstance(client, ssl.SSLSocket) and client.pending()
        ready = [client] if decrypted else select.select([client, server], [], [])[0]
        for source, target in ((client, server), (server, client)):
            if source in ready:
                data = source.recv(1 << 16)
                if not data:
                    return
                target.sendall(data)


@dataclass(frozen=True)
class Request:
    """What a client sent."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def uids(self) -> list[str]:
        """SOP instance UIDs of the files in a multipart body."""
        boundary = re.search(r"boundary=(\w+)", self.headers["content-type"]).group(1).encode()
        parts = self.body.split(b"--" + boundary)[1:-1]
        files = [part.split(b"\r\n\r\n", 1)[1][:-2] for part in parts]
        return [str(pydicom.dcmread(io.BytesIO(data)).SOPInstanceUID) for data in files]


Script = Callable[[Request, int], bytes | None]
"""Returns the whole answer to a request, whose number from 0 is given; None where the connection is to be cut."""


@contextlib.contextmanager
def scripted(script: Script, *, read_body: bool = True) -> Iterator[tuple[str, list[Request]]]:
    """A server that answers as a script says; yields its DICOMweb root and the requests so far.

    Args:
        script: makes the answers; called in the order in which requests arrive.
        read_body: False answers as soon as the headers are read, and then closes.
    """
    requests: list[Request] = []
    lock = threading.Lock()

    def serve(connection: socket.socket) -> None:
        with connection.makefile("rb") as stream:
            while request := _read_request(stream, read_body):
                with lock:
                    requests.append(request)
                    number = len(requests) - 1
                answer = script(request, number)
                if answer is None:
                    reset(connection)
                    return
                connection.sendall(answer)
                if not read_body or b"\r\nConnection: close\r\n" in answer:
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(1 << 16):
                        pass
                    return

    listener = Listener(serve)
    try:
        yield f"http://127.0.0.1:{listener.port}/dicom-web", requests
    finally:
        listener.close()


def reset(connection: socket.socket) -> None:
    """Make closing the connection a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def http(status: int, body: bytes = b"", *, content_type: str = "application/dicom+json", extra: str = "") -> bytes:
    """A whole answer of HTTP; ``extra`` holds more header lines, each with its line end."""
    head = f"HTTP/1.1 {status} Said\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n{extra}\r\n"
    return head.encode() + body


def stow_json(stored: list[str], failed: dict[str, int] | None = None) -> bytes:
    """The body of an answer of STOW-RS."""
    good = [{"00081155": {"vr": "UI", "Value": [uid]}} for uid in stored]
    bad = [
        {"00081155": {"vr": "UI", "Value": [uid]}, "00081197": {"vr": "US", "Value": [code]}}
        for uid, code in (failed or {}).items()
    ]
    data = {"00081199": {"vr": "SQ", "Value": good}, "00081198": {"vr": "SQ", "Value": bad}}
    return json.dumps({tag: item for tag, item in data.items() if item["Value"]}).encode()


def listing(*uids: str) -> bytes:
    """An answer of QIDO-RS that names instances; each is a study of that UID as well."""
    found = [{"00080018": {"vr": "UI", "Value": [uid]}, "0020000D": {"vr": "UI", "Value": [uid]}} for uid in uids]
    return http(200, json.dumps(found).encode())


def multipart(*files: bytes, end: bytes = b"--b--\r\n") -> bytes:
    """An answer of WADO-RS with files; another ``end`` cuts it short."""
    body = b"".join(b"--b\r\nContent-Type: application/dicom\r\n\r\n" + data + b"\r\n" for data in files) + end
    return http(200, body, content_type="multipart/related; type=application/dicom; boundary=b")


def _read_request(stream: io.BufferedReader, read_body: bool) -> Request | None:
    first = stream.readline().decode("latin-1").split()
    if len(first) != 3:
        return None
    headers = {}
    while line := stream.readline().strip():
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    length = int(headers.get("content-length", 0)) if read_body else 0
    return Request(first[0], first[1], headers, stream.read(length))
