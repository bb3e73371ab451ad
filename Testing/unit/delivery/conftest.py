"""A case to export."""

from __future__ import annotations

from pathlib import Path

import pytest

from Testing.delivery_case import DeliveryCase, make_case


@pytest.fixture
def case(tmp_path: Path) -> DeliveryCase:
    """A study with a CT/MR pair from DICOM and a prediction of it."""
    return make_case(tmp_path)
