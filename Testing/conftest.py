"""What tests of every kind share."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from VQBEGALLib.cli import main

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Told:
    """How a command ended and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


Call = Callable[..., Told]


@pytest.fixture(autouse=True)
def own_settings(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for what the user's computer remembers, so that no test touches or sees the real one."""
    folder = tmp_path_factory.mktemp("settings")
    monkeypatch.setenv("VQBEGAL_CONFIG", str(folder))
    return folder


@pytest.fixture
def call(capfd: pytest.CaptureFixture[str]) -> Call:
    """Runs a command in this process."""

    def run(*words: object) -> Told:
        capfd.readouterr()
        try:
            code = main([str(word) for word in words])
        except SystemExit as ended:
            code = int(ended.code or 0)
        out, err = capfd.readouterr()
        return Told(code, out, err)

    return run


@pytest.fixture
def start() -> Callable[..., subprocess.Popen[str]]:
    """Starts a command as a process of its own."""

    def begin(*words: object, **environment: str) -> subprocess.Popen[str]:
        path = os.pathsep.join(filter(None, [environment.pop("PYTHONPATH", ""), str(ROOT)]))
        return subprocess.Popen(
            [sys.executable, "-m", "VQBEGALLib.cli", *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path, **environment},
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
        )

    return begin


@pytest.fixture
def command(start: Callable[..., subprocess.Popen[str]]) -> Call:
    """Runs a command as a process of its own."""

    def run(*words: object, **environment: str) -> Told:
        with start(*words, **environment) as process:
            out, err = process.communicate(timeout=120)
        return Told(process.returncode, out, err)

    return run


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own with room for 256 KiB; skipped where this process may not mount one."""
    folder = tmp_path / "tiny disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if (
        not sys.platform.startswith("linux")
        or not shutil.which("mount")
        or subprocess.run(mount, capture_output=True, check=False).returncode
    ):
        pytest.skip("a disk of a few KiB can be mounted only by the superuser on Linux")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with real patients' images, outside the repository; tests that need it are skipped where it is absent."""
    folder = Path(os.environ.get("VQBEGAL_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("real images are not here; set VQBEGAL_DATA to the folder that holds them")
    return folder
