"""DICOMweb with a real Orthanc: what is stored comes back equal, and trust is not given away."""

from __future__ import annotations

import stat
from pathlib import Path

import pydicom
import pytest

from Testing.dicom_series import PLANTED, PhantomSeries
from Testing.pacs.fronts import Certificates, tls_front
from Testing.pacs.orthanc import Orthanc
from Testing.pacs.support import PASSWORD, Outcome, connected, tiny_images, uids, web_server
from VQBEGALLib.errors import CancelledError, InputError, ServerError
from VQBEGALLib.events import Reporter
from VQBEGALLib.pacs import Instance, Secret, connect, stow


def stored_by(orthanc: Orthanc, images: list[Instance]) -> None:
    outcome = Outcome()
    with connected(web_server(orthanc.url)) as pacs:
        pacs.store(images, outcome)
    assert outcome.problems == dict.fromkeys(uids(images), "")


def test_what_is_stored_is_found_and_comes_back_equal(
    orthanc: Orthanc, patient: PhantomSeries, images: list[Instance], folder: Path
):
    events = []
    with connected(web_server(orthanc.url), events=events) as pacs:
        assert pacs.test().startswith("PACS answers (DICOMweb, not encrypted, ")
        assert pacs.stored(images) == set()
        pacs.store(images, Outcome())
        assert pacs.stored(images) == set(uids(images))
        (study,) = pacs.query(patient=PLANTED[1])
        assert (study.study_uid, study.date, study.modalities) == (patient.study_uid, "20260203", ("CT", "MR"))
        assert [series.images for series in study.series] == [len(patient.ct), len(patient.mr)]
        assert study.description == "Abdomen"
        headers = pacs.series_headers(study.study_uid, study.series[0].series_uid)
        target = folder / "new" / "ct"
        assert pacs.retrieve(study.study_uid, study.series[0].series_uid, target, Reporter(events.append)) == 12
    assert stat.S_IMODE(target.stat().st_mode) == 0o700
    fetched = {path.stem: pydicom.dcmread(path) for path in target.iterdir()}
    originals = {str(data.SOPInstanceUID): data for data in map(pydicom.dcmread, patient.ct)}
    assert fetched == originals
    assert {str(header.SOPInstanceUID): header.ImagePositionPatient for header in headers} == {
        uid: data.ImagePositionPatient for uid, data in originals.items()
    }
    assert orthanc.count() == len(images)
    assert not [word for word in PLANTED if word in str(study) + str(events)]


def test_a_search_finds_only_what_was_asked_for(orthanc: Orthanc, images: list[Instance], patient: PhantomSeries):
    stored_by(orthanc, images)
    with connected(web_server(orthanc.url)) as pacs:
        assert len(pacs.query(study_uid=patient.study_uid)) == 1
        assert len(pacs.query(study_uid=patient.study_uid, modality="MR")) == 1
        assert pacs.query(patient="somebody else") == []
        assert pacs.query(patient=PLANTED[1], study_uid="1.2.3") == []
        assert pacs.query(patient=PLANTED[1], modality="PT") == []
        for patient_id in ("*", "PID*", "PID-PLANTED-471?", ""):
            with pytest.raises(InputError):
                pacs.query(patient=patient_id)
        for wrong in ("1.2/../3", "../../instances", "1..2", "a", "1." + "2" * 64):
            with pytest.raises(InputError):
                pacs.query(study_uid=wrong)


def test_fetching_goes_on_where_it_was_broken_off(orthanc: Orthanc, images: list[Instance], folder: Path):
    stored_by(orthanc, images)
    ct = [image for image in images if image.series_uid == images[0].series_uid]
    with connected(web_server(orthanc.url)) as pacs:
        pacs.retrieve(ct[0].study_uid, ct[0].series_uid, folder, Reporter())
        kept, lost = sorted(folder.iterdir())[:9], sorted(folder.iterdir())[9:]
        before = [path.stat().st_mtime_ns for path in kept]
        for path in lost:
            path.unlink()
        (folder / ".tmp-0815-.dcm").write_bytes(b"what a killed process left")
        events = []
        assert pacs.retrieve(ct[0].study_uid, ct[0].series_uid, folder, Reporter(events.append)) == len(ct)
        assert events[0]["done"] == 9
        assert sorted(folder.iterdir()) == sorted(kept + lost)
        assert [path.stat().st_mtime_ns for path in kept] == before
        with pytest.raises(ServerError, match="no such series"):
            pacs.retrieve(ct[0].study_uid, "1.2.3", folder, Reporter())


def test_tls_with_an_authority_of_its_own_and_a_client_certificate(
    orthanc: Orthanc, certificates: Certificates, images: list[Instance], folder: Path
):
    certificate, key = map(str, certificates.client)
    with tls_front(orthanc.http_port, certificates.good, client_ca=certificates.ca_file) as port:
        server = web_server(
            f"https://localhost:{port}/dicom-web/",
            ca_file=str(certificates.ca_file),
            cert_file=certificate,
            key_file=key,
        )
        outcome = Outcome()
        with connected(server) as pacs:
            assert "DICOMweb, TLS" in pacs.test()
            pacs.store(images, outcome)
            assert pacs.retrieve(images[0].study_uid, images[0].series_uid, folder, Reporter()) == 12
    assert outcome.stored == uids(images)


@pytest.mark.parametrize(
    ("shown", "host", "changes", "sentence", "remedy"),
    [
        ("expired", "localhost", {}, "has expired", "renew"),
        ("elsewhere", "localhost", {}, "is for another host name", "host name"),
        ("elsewhere", "127.0.0.1", {}, "is for another address", "host name"),
        ("good", "localhost", {"ca_file": ""}, "an authority that this computer does not know", "CA file"),
        ("good", "localhost", {"ca_file": "stranger.pem"}, "does not know", "CA file"),
        ("wanting", "localhost", {}, "wants a client certificate", "client certificate"),
        ("wanting", "localhost", {"cert_file": "stranger.pem", "key_file": "stranger.key"}, "client certificate", ""),
        ("plain", "localhost", {}, "does not speak TLS", "port"),
        ("good", "localhost", {"ca_file": "client.key"}, "CA file holds no certificate", "PEM"),
        ("good", "localhost", {"ca_file": "missing.pem"}, "does not exist", ""),
        ("good", "localhost", {"cert_file": "client.pem", "key_file": "good.key"}, "cannot be used", "PEM"),
    ],
)
def test_a_certificate_that_is_refused_is_named(
    orthanc: Orthanc, certificates: Certificates, shown: str, host: str, changes: dict, sentence: str, remedy: str
):
    files = {"ca_file": "authority.pem"} | changes
    files = {name: str(certificates.folder / file) if file else "" for name, file in files.items()}
    client_ca = certificates.ca_file if shown == "wanting" else None
    certificate = getattr(certificates, shown, certificates.good)
    with tls_front(orthanc.http_port, certificate, client_ca=client_ca) as port:
        port = orthanc.http_port if shown == "plain" else port
        with (
            pytest.raises(ServerError) as error,
            connected(web_server(f"https://{host}:{port}/dicom-web", **files)) as pacs,
        ):
            pacs.test()
    assert sentence in error.value.problem
    assert remedy in error.value.remedy


def test_a_wrong_password_and_a_missing_one(orthanc: Orthanc, images: list[Instance]):
    outcome = Outcome()
    with connected(web_server(orthanc.url), Secret("wrong password")) as pacs:
        for ask in (pacs.test, lambda: pacs.store(images, outcome), lambda: pacs.stored(images)):
            with pytest.raises(ServerError, match="does not accept the user or the password"):
                ask()
    with pytest.raises(ServerError, match="needs a password"):
        connect(web_server(orthanc.url), None, Reporter())
    with connected(web_server(orthanc.url, auth="none")) as pacs, pytest.raises(ServerError, match="user or the pass"):
        pacs.test()
    assert not outcome.problems
    assert orthanc.count() == 0


def test_a_server_that_is_down(orthanc: Orthanc, images: list[Instance]):
    orthanc.stop()
    outcome = Outcome()
    with connected(web_server(orthanc.url, attempts=2)) as pacs:
        with pytest.raises(ServerError, match="nothing listens"):
            pacs.store(images, outcome)
        with pytest.raises(ServerError, match="nothing listens"):
            pacs.test()
    assert not outcome.problems
    orthanc.start()
    stored_by(orthanc, images)


def test_killed_in_the_middle_and_resumed_each_is_stored_once(
    orthanc: Orthanc, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(stow, "BATCH_IMAGES", 4)
    images = tiny_images(folder, 40)
    first, second = Outcome(), Outcome()

    def kill(uid: str, problem: str) -> None:
        first(uid, problem)
        if len(first.problems) == 16:
            orthanc.kill()

    with connected(web_server(orthanc.url, attempts=1)) as pacs, pytest.raises(ServerError):
        pacs.store(images, kill)
    assert first.stored == uids(images)[:16]
    orthanc.start()
    assert set(first.stored) <= set(orthanc.instances())
    with connected(web_server(orthanc.url)) as pacs:
        already = pacs.stored(images)
        pacs.store([image for image in images if image.sop_instance_uid not in already], second)
    assert already | set(second.stored) == set(uids(images))
    assert sorted(orthanc.instances()) == sorted(uids(images))


def test_a_cancelled_job_stops_between_requests(
    orthanc: Orthanc, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(stow, "BATCH_IMAGES", 2)
    images = tiny_images(folder, 10)
    outcome = Outcome()

    def stop(uid: str, problem: str) -> None:
        outcome(uid, problem)
        (tmp_path / "cancel").touch()

    reporter = Reporter(cancel_file=tmp_path / "cancel")
    with connect(web_server(orthanc.url), PASSWORD, reporter) as pacs, pytest.raises(CancelledError):
        pacs.store(images, stop)
    assert outcome.stored == uids(images)[:2]
    assert orthanc.count() == 2


def test_twelve_hundred_instances(orthanc: Orthanc, folder: Path):
    images = tiny_images(folder, 1200)
    stored_by(orthanc, images)
    assert orthanc.count(images[0].series_uid) == 1200
    with connected(web_server(orthanc.url)) as pacs:
        assert pacs.stored(images) == set(uids(images))
