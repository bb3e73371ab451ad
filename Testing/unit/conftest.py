"""What the library's tests share."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


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
