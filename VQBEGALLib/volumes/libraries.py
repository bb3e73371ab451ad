"""Libraries that are loaded when a step asks for them: the rest must load where they are missing."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

from VQBEGALLib.errors import MissingDependencyError


def library(name: str, *, needed_by: str = "this file format") -> Any:
    """Import a library by name; ``needed_by`` says to a person what for.

    Raises:
        MissingDependencyError: it is not installed, or only half installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # SimpleITK's generated wrappers draw deprecation warnings
            return importlib.import_module(name)
    except ImportError as error:
        raise MissingDependencyError(
            f"{name}, which {needed_by} needs, is not installed or cannot be loaded.",
            f"Run: python -m pip install {name}",
        ) from error
