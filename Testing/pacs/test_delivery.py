"""A study and a real PACS: pull, segment, push, read back; and what happens when something goes wrong on the way."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest

from Testing.delivery_case import DeliveryCase, make_case
from Testing.dicom_series import PLANTED, phantom_series
from Testing.pacs.orthanc import Orthanc, start_orthanc
from VQBEGALLib.delivery import waiting
from VQBEGALLib.events import Reporter
from VQBEGALLib.pacs.connection import Instance, connect
from VQBEGALLib.pacs.server import Secret, Server
from VQBEGALLib.study import Study
from VQBEGALLib.volumes import on_grid, read_labelmap, write_volume

ROOT = Path(__file__).parents[2]
TINY = ("--preset", "tiny", "--set", "size=32", "--set", "base_channels=4", "--set", "steps=40", "--set", "codes=16")
TINY += ("--set", "seed_budget=8", "--set", "threshold=0.3")


def profile(orthanc: Orthanc, **changes: object) -> dict[str, object]:
    return {
        "name": "PACS-A",
        "url": orthanc.url,
        "user": orthanc.user,
        "auth": "basic",
        "plain": True,
        "attempts": 1,
        "connect_timeout": 5.0,
        "read_timeout": 20.0,
        **changes,
    }


@pytest.fixture
def remembered(orthanc: Orthanc, own_settings: Path) -> Orthanc:
    """The server under the name PACS-A in the user's settings."""
    (own_settings / "servers.json").write_text(json.dumps({"servers": [profile(orthanc)]}))
    return orthanc


@pytest.fixture
def give(monkeypatch: pytest.MonkeyPatch):
    """Gives the next command its standard input."""
    return lambda text: monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))


@pytest.fixture
def send(call, give, remembered: Orthanc):
    """Calls ``vqbegal push`` with the server's password."""

    def run(*words: object, password: str = remembered.password):
        give(password + "\n")
        return call("push", *words, "--server", "PACS-A", "--password-stdin", "--events", "json")

    return run


def store(orthanc: Orthanc, files: list[Path]) -> None:
    instances = [Instance.read(path) for path in files]
    with connect(Server.from_json(profile(orthanc)), Secret(orthanc.password), Reporter()) as connection:
        connection.store(instances, lambda uid, problem: None)


def fetched(orthanc: Orthanc, folder: Path, *, modality: str) -> list[pydicom.Dataset]:
    """All objects of a modality, read back over WADO."""
    folder.mkdir(exist_ok=True)
    with connect(Server.from_json(profile(orthanc)), Secret(orthanc.password), Reporter()) as connection:
        for study in connection.query(patient=PLANTED[1]):
            for series in study.series:
                if series.modality == modality:
                    connection.retrieve(study.study_uid, series.series_uid, folder, Reporter())
    return [pydicom.dcmread(path) for path in sorted(folder.iterdir())]


def voxels_of(data: pydicom.Dataset, case_grid) -> np.ndarray:
    whole = highdicom.Volume(
        np.zeros(case_grid.shape, np.uint8), case_grid.affine[:, [2, 1, 0, 3]], coordinate_system="PATIENT"
    )
    seg = highdicom.seg.Segmentation.from_dataset(data)
    return seg.get_volume(combine_segments=True).match_geometry(whole).array


@pytest.fixture
def case(tmp_path: Path) -> DeliveryCase:
    return make_case(tmp_path)


def test_pull_train_segment_push_and_read_back(call, give, remembered, tmp_path):
    """The whole path of a clinician, patients' names nowhere but in the PACS and in DICOM objects."""
    study_folder, password = tmp_path / "study", remembered.password + "\n"
    made = {}
    assert call("study", "create", study_folder, *TINY).code == 0
    for name, seed in (("A", 1), ("B", 2)):
        made[name] = series = phantom_series(tmp_path / name, seed=seed, size=40, slices=12, shuffled=True)
        store(remembered, series.ct + series.mr)
        give(password)
        options = ("--server", "PACS-A", "--password-stdin", "--study-uid", series.study_uid, "--events", "json")
        told = call("pull", study_folder, name, *options)
        assert told.code == 0, told.out
    study = Study.open(study_folder)
    for name, series in made.items():
        assert np.array_equal(study.volume(name).voxels, on_grid(series.ct_image, study.grid(name)).voxels)
        assert study.subject(name).auxiliary is not None

    assert call("next", study_folder, "--device", "cpu").code == 0
    requests = Study.open(study_folder).rounds()[-1].requests
    for name, series in made.items():
        write_volume(tmp_path / f"{name}.nii.gz", series.ct_labels)
        slices = ",".join(str(item.slice) for item in requests if item.case == name)
        assert (
            call("label", study_folder, name, tmp_path / f"{name}.nii.gz", "--slices", slices, "--value", "1").code == 0
        )
    assert call("train", study_folder, "--device", "cpu").code == 0
    assert call("segment", study_folder, "--device", "cpu").code == 0

    give(password)
    told = call("push", study_folder, "A", "--server", "PACS-A", "--password-stdin", "--what", "corrected")
    assert told.code == 0, told.err
    (data,) = fetched(remembered, tmp_path / "back", modality="SEG")
    call("export", study_folder, "A", "--format", "nifti", "--what", "corrected", "-o", tmp_path / "same.nii.gz")
    grid = study.grid("A")
    assert np.array_equal(voxels_of(data, grid), read_labelmap(tmp_path / "same.nii.gz", grid=grid).voxels)
    assert data.PatientID == PLANTED[1]
    assert data.StudyInstanceUID == made["A"].study_uid
    assert waiting(study_folder) == []
    (event,) = study.events("sent")
    assert (event["server"], event["case"], event["objects"]) == ("PACS-A", "A", 1)
    for path in study_folder.rglob("*"):
        text = path.read_bytes() if path.is_file() else b""
        assert not [word for word in (*PLANTED, remembered.password) if word.encode() in text], path


def test_a_case_that_was_pulled_and_not_kept_asks_the_server_for_its_headers(call, give, remembered, tmp_path, send):
    series = phantom_series(tmp_path / "x", size=40, slices=12)
    store(remembered, series.ct)
    call("study", "create", tmp_path / "study", "--preset", "tiny")
    give(json.dumps({"server": {**profile(remembered), "secret": remembered.password}, "patient": PLANTED[1]}))
    told = call("pull", tmp_path / "study", "P1", "--stdin", "--discard", "--events", "json")
    assert told.code == 0, told.out
    assert not (tmp_path / "study.dicom").exists()
    study = Study.open(tmp_path / "study")
    truth = on_grid(series.ct_labels, study.grid("P1"))
    truth = truth.with_voxels((truth.voxels == 1).astype(np.uint8))
    study.put_prediction(0, "P1", truth, [0.0] * truth.shape[0])
    told = send(study.folder, "P1")
    assert told.code == 0, told.out
    (data,) = fetched(remembered, tmp_path / "back", modality="SEG")
    assert np.array_equal(voxels_of(data, truth), truth.voxels)
    assert data.PatientName == PLANTED[0]


def test_the_auxiliary_may_stay_where_it_is(call, give, remembered, case, tmp_path):
    store(remembered, case.series.ct + case.series.mr)
    call("study", "create", tmp_path / "new", "--preset", "tiny")
    options = ("--server", "PACS-A", "--password-stdin", "--study-uid", case.series.study_uid)
    give(remembered.password + "\n")
    assert call("pull", tmp_path / "new", "P1", *options, "--auxiliary-series", "none").code == 0
    assert Study.open(tmp_path / "new").subject("P1").auxiliary is None


def test_two_series_of_a_modality_are_told_and_one_can_be_named(call, give, remembered, tmp_path):
    first = phantom_series(tmp_path / "x", size=40, slices=12)
    second = phantom_series(tmp_path / "y", size=40, slices=12, seed=1)
    store(remembered, first.ct + second.ct)
    call("study", "create", tmp_path / "study", "--preset", "tiny")
    options = ("--server", "PACS-A", "--password-stdin", "--patient", PLANTED[1])
    give(remembered.password + "\n")
    told = call("pull", tmp_path / "study", "P1", *options)
    assert told.code == 3
    assert "2 CT series" in told.err
    assert PLANTED[1] not in told.err
    give(remembered.password + "\n")
    uid = str(pydicom.dcmread(second.ct[0]).SeriesInstanceUID)
    assert call("pull", tmp_path / "study", "P1", *options, "--primary-series", uid).code == 0
    assert Study.open(tmp_path / "study").subject("P1").primary.source["series_uid"] == uid


def test_a_query_tells_series_and_nothing_of_the_patient(call, give, remembered, case, tmp_path):
    store(remembered, case.series.ct + case.series.mr)
    give(json.dumps({"server": {**profile(remembered), "secret": remembered.password}, "patient": PLANTED[1]}))
    told = call("query", "--stdin", "--events", "json")
    (study,) = told.events[-1]["studies"]
    assert study["study_uid"] == case.series.study_uid
    assert {item["modality"]: item["images"] for item in study["series"]} == {"CT": 12, "MR": 8}
    assert not [word for word in (*PLANTED, remembered.password) if word in told.out]


def test_a_pacs_that_is_down_loses_nothing_and_gets_it_once(send, case, remembered):
    remembered.stop()
    told = send(case.folder, "P1")
    assert told.code == 9
    assert "1 object waits in the study" in told.events[-1]["problem"]
    (item,) = waiting(case.folder)
    assert len(item.left) == 1
    remembered.start()
    told = send(case.folder)
    assert told.events[-1]["sent"] == 1
    assert waiting(case.folder) == []
    assert remembered.instances() == [item.left[0].sop_instance_uid]
    assert send(case.folder).events[-1]["sent"] == 0
    assert len(case.study.events("sent")) == 1


def test_a_wrong_password_is_told_and_the_object_waits(send, case, remembered):
    told = send(case.folder, "P1", password="Wrong-Secret-99")
    assert told.code == 9
    assert "password" in told.events[-1]["problem"] + told.events[-1]["remedy"]
    assert "Wrong-Secret-99" not in told.out + told.err
    assert len(waiting(case.folder)) == 1
    assert remembered.count() == 0


def test_a_process_that_is_killed_again_and_again_sends_everything_once(send, remembered, tmp_path):
    """kill -9 while images are on their way; what is sent again are those that the server had not confirmed."""
    case = make_case(tmp_path, slices=100, size=64)
    count = int(case.truth.voxels.any(axis=(1, 2)).sum())
    assert count > 30
    words = ["push", str(case.folder), "--server", "PACS-A", "--password-stdin", "--events", "json"]
    first = [*words[:2], "P1", "--format", "sc", *words[2:]]
    for number, command in enumerate([first, words, words]):
        _killed_once(command, remembered, lambda least=5 * number: _on_the_way(case.folder, remembered, least))
    told = send(case.folder)
    assert told.code == 0, told.out
    stored = Counter(remembered.instances())
    assert len(stored) == count
    assert set(stored.values()) == {1}
    assert waiting(case.folder) == []
    assert len(case.study.events("sent")) == 1


def test_a_kill_between_the_servers_answer_and_the_note_stores_nothing_twice(send, case, remembered, monkeypatch):
    """The server has it, the study does not know yet: the server is asked before anything is sent again."""

    def stop(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("VQBEGALLib.delivery.outbox.note", stop)
        assert send(case.folder, "P1").code == 130
    assert remembered.count() == 1
    (item,) = waiting(case.folder)
    assert item.begun
    assert len(item.left) == 1
    told = send(case.folder)
    assert (told.events[-1]["sent"], told.events[-1]["already"]) == (0, 1)
    assert remembered.count() == 1
    assert waiting(case.folder) == []
    assert len(case.study.events("sent")) == 1


def test_a_kill_between_the_log_and_the_queue_logs_it_once(send, case, monkeypatch):
    def stop(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("VQBEGALLib.delivery.outbox.remove", stop)
        assert send(case.folder, "P1").code == 130
    assert send(case.folder).code == 0
    assert waiting(case.folder) == []
    assert len(case.study.events("sent")) == 1


def test_every_export_is_a_new_object(send, case, remembered):
    assert send(case.folder, "P1").code == 0
    assert send(case.folder, "P1").code == 0
    assert remembered.count() == 2


def test_over_the_dicom_protocol_too(call, case, remembered, tmp_path):
    aet, host, port = remembered.dicom
    address = f"dicom://{aet}@{host}:{port}"
    assert call("server", "add", "B", address, "--plain").code == 0
    assert call("server", "test", "B").code == 0
    told = call("push", case.folder, "P1", "--server", "B", "--events", "json")
    assert told.code == 0, told.out
    (data,) = fetched(remembered, tmp_path / "back", modality="SEG")
    assert np.array_equal(voxels_of(data, case.truth), case.truth.voxels)


def test_cancelling_keeps_what_is_sent_and_what_waits(send, case, remembered, tmp_path):
    cancel = tmp_path / "cancel"
    cancel.touch()
    told = send(case.folder, "P1", "--cancel-file", cancel)
    assert told.code == 130
    assert remembered.count() == 0


def test_what_waits_for_one_server_is_never_sent_to_another(call, give, send, case, remembered, own_settings, tmp_path):
    """Not under the same name, and not where neither has a name."""
    remembered.stop()
    assert send(case.folder, "P1").code == 9
    with start_orthanc(tmp_path / "other") as other:
        (own_settings / "servers.json").write_text(json.dumps({"servers": [profile(other)]}))
        told = send(case.folder)
        assert told.code == 0
        assert told.events[-1]["sent"] == 0
        assert [event for event in told.events if event["event"] == "warning" and "--redirect" in event["text"]]
        assert other.count() == 0
        (item,) = waiting(case.folder)
        assert call("queue", case.folder, "--redirect", item.id, "--server", "PACS-A").code == 0
        assert send(case.folder).events[-1]["sent"] == 1
        assert other.instances() == [item.left[0].sop_instance_uid]


def test_the_same_result_is_not_made_twice_while_it_waits(send, case, remembered):
    remembered.stop()
    for _ in range(3):
        assert send(case.folder, "P1").code == 9
    assert len(waiting(case.folder)) == 1
    case.study.put_prediction(0, "P1", case.truth.with_voxels(case.truth.voxels[::-1].copy()), [0.0] * 12)
    told = send(case.folder, "P1")
    assert [event for event in told.events if event["event"] == "warning" and "earlier result" in event["text"]]
    assert len(waiting(case.folder)) == 2
    remembered.start()
    assert send(case.folder).events[-1]["sent"] == 2
    assert remembered.count() == 2


def test_an_item_whose_file_is_gone_holds_no_other_up(call, send, case, remembered):
    remembered.stop()
    send(case.folder, "P1")
    send(case.folder, "P1", "--format", "rtstruct")
    first, second = waiting(case.folder)
    first.instances[0].path.unlink()
    remembered.start()
    told = send(case.folder)
    assert told.events[-1]["sent"] == 1
    assert remembered.instances() == [second.left[0].sop_instance_uid]
    assert [event for event in told.events if event["event"] == "warning" and first.id in event["text"]]
    assert "Remove" in told.out
    assert call("queue", case.folder, "--events", "json").events[-1]["items"][0]["last_problem"]


def test_the_patient_is_the_one_that_the_pacs_has_now(send, case, remembered, tmp_path):
    """A name that was corrected in the PACS after the files came here."""
    for path in case.series.ct:
        data = pydicom.dcmread(path)
        data.PatientName = "Corrected^Name"
        data.save_as(tmp_path / path.name)
    store(remembered, sorted(tmp_path.glob("*.dcm")))
    assert send(case.folder, "P1").code == 0
    (data,) = fetched(remembered, tmp_path / "back", modality="SEG")
    assert data.PatientName == "Corrected^Name"


def test_a_removed_case_takes_its_files_along_but_not_while_it_waits(call, give, send, remembered, tmp_path):
    series = phantom_series(tmp_path / "x", size=40, slices=12)
    store(remembered, series.ct)
    call("study", "create", tmp_path / "study", "--preset", "tiny")
    options = ("--server", "PACS-A", "--password-stdin", "--study-uid", series.study_uid)
    give(remembered.password + "\n")
    assert call("pull", tmp_path / "study", "P1", *options).code == 0
    kept = tmp_path / "study.dicom"
    assert len(list(kept.rglob("*.dcm"))) == 12
    assert kept.stat().st_mode & 0o077 == 0
    study = Study.open(tmp_path / "study")
    truth = on_grid(series.ct_labels, study.grid("P1"))
    study.put_prediction(0, "P1", truth.with_voxels((truth.voxels == 1).astype(np.uint8)), [0.0] * 12)
    remembered.stop()
    assert send(study.folder, "P1").code == 9
    told = call("study", "remove", study.folder, "P1")
    assert told.code == 4
    assert "waits to be sent" in told.err
    call("queue", study.folder, "--remove", waiting(study.folder)[0].id)
    assert call("study", "remove", study.folder, "P1").code == 0
    assert not list(kept.rglob("*.dcm"))


def test_what_is_given_up_is_gone_and_not_sent(call, send, case, remembered):
    remembered.stop()
    send(case.folder, "P1")
    (item,) = waiting(case.folder)
    listed = call("queue", case.folder, "--events", "json").events[-1]["items"]
    assert [(each["id"], each["case"], each["left"], each["server"]) for each in listed] == [
        (item.id, "P1", 1, "PACS-A")
    ]
    assert call("queue", case.folder, "--remove", item.id).code == 0
    remembered.start()
    assert send(case.folder).events[-1]["sent"] == 0
    assert remembered.count() == 0


def test_a_study_that_somebody_else_writes_to_is_not_sent_from(send, case):
    with Study.open(case.folder).writing("something else"):
        assert send(case.folder, "P1").code == 5


def _killed_once(command: list[str], orthanc: Orthanc, when) -> None:
    """Start a command with the password, and kill it as soon as a condition holds."""
    process = subprocess.Popen(
        [sys.executable, "-m", "VQBEGALLib.cli", *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
    )
    process.stdin.write(f"{orthanc.password}\n".encode())
    process.stdin.close()
    end = time.monotonic() + 60
    while not when() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.005)
    process.kill()
    process.wait()


def _on_the_way(study: Path, orthanc: Orthanc, least: int) -> bool:
    return bool(waiting(study)) and orthanc.count() > least
