"""What tests of every kind share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with real patients' images, outside the repository; tests that need it are skipped where it is absent."""
    folder = Path(os.environ.get("VQBEGAL_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("real images are not here; set VQBEGAL_DATA to the folder that holds them")
    return folder
