"""Tests against a real Orthanc; skipped where it is not installed, except where CI is set."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from Testing.pacs.orthanc import Orthanc, missing, start_orthanc


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
