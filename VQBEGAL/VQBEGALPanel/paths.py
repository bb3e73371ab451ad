"""Where the extension's files lie, installed or in a checkout."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

MODULE = Path(__file__).resolve().parent.parent
"""Folder of VQBEGAL.py and its Resources."""


def library_root() -> Path:
    """Return the folder that holds the package VQBEGALLib: beside the module when installed, above it in a checkout."""
    return MODULE if (MODULE / "VQBEGALLib").is_dir() else MODULE.parent


def ensure_library() -> None:
    """Make VQBEGALLib importable; in a checkout only the module's own folder is on the search path."""
    if importlib.util.find_spec("VQBEGALLib") is None:
        sys.path.append(str(library_root()))


def resource(*parts: str) -> Path:
    """Return a file of the module's Resources."""
    return MODULE.joinpath("Resources", *parts)
