"""The DICOM protocol with a real Orthanc: C-ECHO and C-STORE, with and without TLS."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pydicom
import pytest

from Testing.dicom_series import PhantomSeries
from Testing.pacs.fronts import Certificates, Listener, tls_front
from Testing.pacs.orthanc import Orthanc, start_orthanc
from Testing.pacs.support import Outcome, connected, dicom_server, tiny_images, uids, web_server
from VQBEGALLib.errors import ServerError
from VQBEGALLib.events import Reporter
from VQBEGALLib.pacs import Instance, Server

# On a busy processor pynetdicom now and then leaves a socket of a failed association to the garbage collector.
pytestmark = pytest.mark.filterwarnings(
    r"ignore:Exception ignored in. <socket\.socket:pytest.PytestUnraisableExceptionWarning"
)


def test_what_is_sent_comes_back_equal(orthanc: Orthanc, patient: PhantomSeries, images: list[Instance], folder: Path):
    outcome, events = Outcome(), []
    with connected(dicom_server(orthanc), events=events) as pacs:
        assert pacs.test().startswith("PACS answers (DICOM, not encrypted, ")
        pacs.store(images, outcome)
    assert outcome.problems == dict.fromkeys(uids(images), "")
    assert events[-1]["done"] == len(images)
    with connected(web_server(orthanc.url)) as web:
        web.retrieve(images[0].study_uid, images[0].series_uid, folder, Reporter())
    fetched = {path.stem: pydicom.dcmread(path) for path in folder.iterdir()}
    assert fetched == {str(data.SOPInstanceUID): data for data in map(pydicom.dcmread, patient.ct)}


def test_searching_needs_dicomweb(orthanc: Orthanc, folder: Path):
    with connected(dicom_server(orthanc)) as pacs:
        assert pacs.stored([]) == set()
        for ask in (
            lambda: pacs.query(patient="x"),
            lambda: pacs.series_headers("1.2", "1.3"),
            lambda: pacs.retrieve("1.2", "1.3", folder, Reporter()),
        ):
            with pytest.raises(ServerError, match="which only sends"):
                ask()


@pytest.mark.parametrize(
    ("address", "changes", "sentence"),
    [
        ("WRONG@127.0.0.1:{dicom}", {}, "does not call itself WRONG"),
        ("ORTHANC@127.0.0.1:{dicom}", {"calling_aet": "NOBODY"}, "does not know the application entity NOBODY"),
        ("ORTHANC@127.0.0.1:{http}", {}, "does not answer as a DICOM server"),
        ("ORTHANC@127.0.0.1:{closed}", {}, "nothing listens"),
        ("ORTHANC@does-not-exist.invalid:104", {}, "No computer has the host name"),
    ],
)
def test_why_there_is_no_association(
    orthanc: Orthanc, images: list[Instance], address: str, changes: dict, sentence: str
):
    with socket.create_server(("127.0.0.1", 0)) as other:
        closed = other.getsockname()[1]
    url = "dicom://" + address.format(dicom=orthanc.dicom_port, http=orthanc.http_port, closed=closed)
    outcome = Outcome()
    with connected(dicom_server(orthanc, url=url, attempts=1, connect_timeout=5.0, **changes)) as pacs:
        with pytest.raises(ServerError, match=sentence):
            pacs.test()
        with pytest.raises(ServerError, match=sentence):
            pacs.store(images, outcome)
    assert not outcome.problems


def test_one_that_the_server_does_not_take_does_not_keep_the_others(orthanc: Orthanc, folder: Path):
    good = tiny_images(folder / "good", 2)
    strange = tiny_images(folder / "strange", 1, SOPClassUID="1.2.826.0.1.3680043.8.498.4711")[0]
    outcome = Outcome()
    with connected(dicom_server(orthanc)) as pacs:
        pacs.store([good[0], strange, good[1]], outcome)
    assert outcome.stored == uids(good)
    assert "does not take this kind of object" in outcome.problems[strange.sop_instance_uid]


def test_killed_in_the_middle_and_resumed_each_is_stored_once(orthanc: Orthanc, folder: Path):
    images = tiny_images(folder, 40)
    first, second = Outcome(), Outcome()

    def kill(uid: str, problem: str) -> None:
        first(uid, problem)
        if len(first.problems) == 13:
            orthanc.kill()

    with connected(dicom_server(orthanc, attempts=1)) as pacs, pytest.raises(ServerError):
        pacs.store(images, kill)
    assert first.stored == uids(images)[:13]
    orthanc.start()
    with connected(dicom_server(orthanc)) as pacs:
        pacs.store([image for image in images if image.sop_instance_uid not in first.stored], second)
    assert first.stored + second.stored == uids(images)
    assert sorted(orthanc.instances()) == sorted(uids(images))


def test_a_lost_association_is_made_anew_for_those_that_are_left(orthanc: Orthanc, folder: Path):
    images = tiny_images(folder, 12)
    outcome = Outcome()

    def restart(uid: str, problem: str) -> None:
        outcome(uid, problem)
        if len(outcome.problems) == 5:
            orthanc.kill()
            orthanc.start()

    with connected(dicom_server(orthanc)) as pacs:
        pacs.store(images, restart)
    assert outcome.stored == uids(images)
    assert sorted(orthanc.instances()) == sorted(uids(images))


def test_a_server_that_falls_silent(orthanc: Orthanc, images: list[Instance]):
    silent = Listener(lambda connection: [connection.recv(1 << 16), time.sleep(1.5)])
    try:
        url = f"dicom://ORTHANC@127.0.0.1:{silent.port}"
        started = time.monotonic()
        server = dicom_server(orthanc, url=url, connect_timeout=0.5, attempts=1)
        with connected(server) as pacs, pytest.raises(ServerError, match="does not answer as a DICOM server"):
            pacs.store(images, Outcome())
        assert time.monotonic() - started < 3
    finally:
        silent.close()


def secured(port: int, certificates: Certificates, **changes: str) -> Server:
    files = {"ca_file": "authority.pem", "cert_file": "client.pem", "key_file": "client.key"} | changes
    files = {name: str(certificates.folder / file) if file else "" for name, file in files.items()}
    return Server(name="PACS", url=f"dicoms://ORTHANC@localhost:{port}", attempts=1, connect_timeout=5.0, **files)


def test_tls_of_orthanc_itself_with_a_client_certificate(
    running_orthanc: Orthanc, certificates: Certificates, images: list[Instance], folder: Path
):
    tls = {
        "DicomTlsEnabled": True,
        "DicomTlsCertificate": str(certificates.good[0]),
        "DicomTlsPrivateKey": str(certificates.good[1]),
        "DicomTlsTrustedCertificates": str(certificates.ca_file),
    }
    outcome = Outcome()
    with start_orthanc(folder / "orthanc", **tls) as server:
        with connected(secured(server.dicom_port, certificates)) as pacs:
            assert "DICOM, TLS" in pacs.test()
            pacs.store(images, outcome)
        assert outcome.stored == uids(images)
        assert server.count() == len(images)
        anonymous = secured(server.dicom_port, certificates, cert_file="", key_file="")
        with connected(anonymous) as pacs, pytest.raises(ServerError, match="client certificate"):
            pacs.test()


@pytest.mark.parametrize(
    ("shown", "changes", "sentence"),
    [
        ("expired", {}, "has expired"),
        ("elsewhere", {}, "is for another host name"),
        ("good", {"ca_file": ""}, "an authority that this computer does not know"),
        ("good", {"cert_file": "", "key_file": ""}, "wants a client certificate"),
    ],
)
def test_a_certificate_that_is_refused_is_named(
    orthanc: Orthanc, certificates: Certificates, shown: str, changes: dict[str, str], sentence: str
):
    certificate = getattr(certificates, shown)
    with (
        tls_front(orthanc.dicom_port, certificate, client_ca=certificates.ca_file) as port,
        connected(secured(port, certificates, **changes)) as pacs,
        pytest.raises(ServerError, match=sentence),
    ):
        pacs.test()
