"""A real Orthanc on this machine: its own configuration, free ports of 127.0.0.1, storage in a given folder."""

from __future__ import annotations

import base64
import json
import os
import secrets
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PLUGIN = "libOrthancDicomWeb.so"
PLACES = ["/usr/share/orthanc/plugins", "/usr/lib/orthanc", "/usr/local/share/orthanc/plugins"]
SECONDS_TO_START, SECONDS_TO_STOP = 60, 30
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def missing() -> str:
    """Say what is missing for an Orthanc with DICOMweb; empty where nothing is."""
    if _program() is None:
        return "Orthanc is not installed (Debian: apt install orthanc orthanc-dicomweb)"
    return "" if _plugin() else f"Orthanc has no {PLUGIN} (Debian: apt install orthanc-dicomweb)"


def free_port() -> int:
    """A port of 127.0.0.1 on which nobody listens, and that the system gives to nobody's outgoing connection."""
    while True:
        port = secrets.randbelow(10_000) + 20_000
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@dataclass
class Orthanc:
    """A server that can be stopped, killed and started again on the same storage and ports.

    Args:
        folder: holds its configuration, storage and log.
        settings: added to the configuration, or replacing parts of it.
    """

    folder: Path
    settings: Mapping[str, Any] = field(default_factory=dict)
    user: str = "clinician"
    password: str = "pass-Wört-4711"
    aet: str = "ORTHANC"
    host: str = "127.0.0.1"
    http_port: int = field(default_factory=free_port)
    dicom_port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Root of DICOMweb."""
        return f"http://{self.host}:{self.http_port}/dicom-web"

    @property
    def dicom(self) -> tuple[str, str, int]:
        """Application entity, host and port of the DICOM protocol."""
        return self.aet, self.host, self.dicom_port

    @property
    def running(self) -> bool:
        """Whether it was started and not stopped since."""
        return self._process is not None

    def start(self) -> None:
        """Start, and wait until it answers."""
        assert self._process is None, "it runs already"
        self.folder.mkdir(parents=True, exist_ok=True)
        configuration = self.folder / "configuration.json"
        configuration.write_text(json.dumps(self._configuration()), encoding="utf-8")
        command = [_program() or "Orthanc", str(configuration)]
        with (self.folder / "orthanc.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        end = time.monotonic() + SECONDS_TO_START
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > end:
                self.kill()
                raise RuntimeError(f"Orthanc did not start: {self.log()[-2000:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Ask it to end, and wait until it has."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(SECONDS_TO_STOP)
            except subprocess.TimeoutExpired:
                self.kill()
            self._process = None

    def kill(self) -> None:
        """End it at once, as a power cut does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def rest(self, path: str, *, method: str = "GET", data: bytes | None = None) -> Any:
        """Ask Orthanc's own interface, for example ``/instances``; returns parsed JSON."""
        request = urllib.request.Request(f"http://{self.host}:{self.http_port}{path}", data=data, method=method)
        token = base64.b64encode(f"{self.user}:{self.password}".encode()).decode("ascii")
        request.add_header("Authorization", f"Basic {token}")
        with _direct.open(request, timeout=60) as answer:
            return json.loads(answer.read() or b"null")

    def instances(self, series_uid: str = "") -> list[str]:
        """SOP instance UIDs that are stored, of all series or of one."""
        query = {"SeriesInstanceUID": series_uid} if series_uid else {}
        body = json.dumps({"Level": "Instance", "Query": query, "Expand": True}).encode()
        return [item["MainDicomTags"]["SOPInstanceUID"] for item in self.rest("/tools/find", method="POST", data=body)]

    def count(self, series_uid: str = "") -> int:
        """How many instances are stored, of all series or of one."""
        return len(self.instances(series_uid))

    def clear(self) -> None:
        """Remove everything that is stored."""
        for patient in self.rest("/patients"):
            self.rest(f"/patients/{patient}", method="DELETE")

    def log(self) -> str:
        """What it wrote so far."""
        return (self.folder / "orthanc.log").read_text(encoding="utf-8", errors="replace")

    def _answers(self) -> bool:
        try:
            self.rest("/system")
        except urllib.error.HTTPError:
            raise
        except OSError:
            return False
        return True

    def _configuration(self) -> dict[str, Any]:
        storage = str(self.folder / "storage")
        return {
            "Name": "test",
            "StorageDirectory": storage,
            "IndexDirectory": storage,
            "HttpPort": self.http_port,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": True,
            "RegisteredUsers": {self.user: self.password},
            "DicomAet": self.aet,
            "DicomPort": self.dicom_port,
            "DicomCheckCalledAet": True,
            "DicomAlwaysAllowEcho": False,
            "DicomAlwaysAllowStore": False,
            "DicomModalities": {"vqbegal": ["VQBEGAL", "127.0.0.1", free_port()]},
            "OverwriteInstances": False,
            "ConcurrentJobs": 1,
            "Plugins": [str(_plugin())],
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
            **self.settings,
        }


@contextmanager
def start_orthanc(folder: Path, **settings: Any) -> Iterator[Orthanc]:
    """Run an Orthanc for the length of a with statement; keyword arguments are settings of its configuration."""
    server = Orthanc(folder, settings)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def _program() -> str | None:
    return shutil.which("Orthanc", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"]))


def _plugin() -> Path | None:
    found = [Path(place) / PLUGIN for place in PLACES if (Path(place) / PLUGIN).is_file()]
    return found[0].resolve() if found else None
