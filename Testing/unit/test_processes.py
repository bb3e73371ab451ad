"""What the operating system tells about processes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from VQBEGALLib.processes import alive


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
