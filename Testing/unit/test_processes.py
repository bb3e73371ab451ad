"""What the operating system tells about processes and memory."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from VQBEGALLib.processes import alive, free_memory, peak_memory


def test_a_process_is_alive_until_it_has_ended():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert alive(process.pid)
        process.communicate()
    assert not alive(process.pid)
    assert alive(os.getpid())


@pytest.mark.skipif(sys.platform == "win32", reason="how POSIX answers")
def test_a_process_of_somebody_else_is_alive(monkeypatch):
    def refuse(pid: int, signal: int) -> None:
        assert signal == 0, "nothing may be sent"
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    assert alive(1)


def test_a_number_that_no_process_has_is_not_alive():
    assert not alive(2**22 + 7)  # beyond the highest number that Linux gives


def test_the_peak_of_memory_grows_with_what_is_held():
    before = peak_memory()
    held = np.ones(before // 8 + 2**24)  # more than there ever was
    assert peak_memory() >= held.nbytes > before > 2**20


@pytest.mark.skipif(not sys.platform.startswith(("linux", "win")), reason="the system does not tell")
def test_free_memory_is_some_of_what_there_is():
    free = free_memory()
    assert free is not None and 2**20 < free < 2**50
