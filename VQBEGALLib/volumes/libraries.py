"""Libraries that read files, loaded when a file asks for them: the rest must load where they are missing."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

from VQBEGALLib.errors import MissingDependencyError


def library(name: str) -> Any:
    """Import a library by name.

    Raises:
        MissingDependencyError: it is not installed, or only half installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # SimpleITK's generated wrappers draw deprecation warnings
            return importlib.import_module(name)
    except ImportError as error:
        raise MissingDependencyError(
            f"{name}, which this file format needs, is not installed or cannot be loaded.",
            f"Run: python -m pip install {name}",
        ) from error
