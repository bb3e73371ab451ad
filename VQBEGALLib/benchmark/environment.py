"""On what a benchmark ran: kept beside its results, so that a figure can be judged and repeated."""

from __future__ import annotations

import json
import os
import platform
import re
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from VQBEGALLib import __version__
from VQBEGALLib.network.memory import device_name
from VQBEGALLib.storage import read_json, write_json

FILE = "environment.json"
_PLACE = re.compile(r"""(["'])(?:[/~]|[A-Za-z]:[/\\]|\\\\)[^"'\n]*[/\\]""")
PACKAGES = ("torch", "numpy", "scipy", "scikit-learn", "pandas", "distributed")


def environment(device: torch.device) -> dict[str, Any]:
    """Return date, machine kind and versions; nothing that names a computer or a person."""
    return {
        "date": datetime.now(timezone.utc).date().isoformat(),
        "vqbegal": __version__,
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in PACKAGES},
        "system": sys.platform,
        "processor": _processor(),
        "cores": os.cpu_count(),
        "device": device_name(device),
    }


def write_environments(folder: Path, found: Iterable[Mapping[str, Any]]) -> None:
    """Add environments to the folder's list, the earliest of those that differ in nothing but the date.

    Raises:
        StudyError: the list is damaged.
        StorageError: the disk is full or refuses.
    """
    path = folder / FILE
    known = read_json(path) if path.exists() else []
    listed: dict[str, Mapping[str, Any]] = {}
    for each in sorted([*known, *found], key=lambda each: str(each.get("date"))):
        listed.setdefault(json.dumps({**each, "date": None}, sort_keys=True), each)
    if list(listed.values()) != known:
        write_json(path, list(listed.values()))


def without_places(text: str) -> str:
    """Return a plan's text with each absolute path cut to its end: a report tells nobody where data lie.

    Examples:
        >>> without_places('primary = "/home/doe/liver/ct"')
        'primary = "…/ct"'
    """
    return _PLACE.sub(r"\1…/", text)


def _processor() -> str:
    """Return the processor's model where the system tells it, else its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
