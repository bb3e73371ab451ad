"""Tests against a real Orthanc; skipped where it is not installed, except where CI is set."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from Testing.dicom_series import PLANTED, PhantomSeries, phantom_series
from Testing.pacs.fronts import Certificates
from Testing.pacs.orthanc import Orthanc, missing, start_orthanc
from VQBEGALLib.pacs import Instance


@pytest.fixture(scope="session")
def running_orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """One Orthanc for all tests."""
    if problem := missing():
        if os.environ.get("CI"):
            pytest.fail(problem)
        pytest.skip(problem)
    with start_orthanc(tmp_path_factory.mktemp("orthanc")) as server:
        yield server


@pytest.fixture
def orthanc(running_orthanc: Orthanc) -> Orthanc:
    """The running Orthanc, emptied; it runs again where a test stopped it."""
    if not running_orthanc.running:
        running_orthanc.start()
    running_orthanc.clear()
    return running_orthanc


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder whose name has a space and letters beyond ASCII."""
    path = tmp_path / "Mäppchen 1"
    path.mkdir()
    return path


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """An authority of our own, certificates of servers and of clients."""
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def patient(tmp_path_factory: pytest.TempPathFactory) -> PhantomSeries:
    """A simulated person's CT and MR as DICOM files, with planted attributes."""
    return phantom_series(tmp_path_factory.mktemp("patient"), size=48, slices=12)


@pytest.fixture(scope="session")
def images(patient: PhantomSeries) -> list[Instance]:
    """The files of the person's CT and MR."""
    return [Instance.read(path) for path in [*patient.ct, *patient.mr]]


@pytest.fixture(autouse=True)
def _nothing_in_the_logs(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], str]]:
    """Whatever a test does, no log at any level holds a password or names the planted patient."""
    caplog.set_level(logging.DEBUG)
    yield
    text = "\n".join(f"{record.getMessage()} {record.exc_text}" for record in caplog.get_records("call"))
    assert not [word for word in (*PLANTED, Orthanc.password) if word in text]
