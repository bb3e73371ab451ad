"""Errors that a person can act on: one sentence what is wrong, one what to do.

Every error the library raises on purpose derives from :class:`VQBEGALError`; each class has the exit code
that the command line ends with, so that a script or the panel can tell them apart without reading text.
"""

from __future__ import annotations

import re
from pathlib import Path

_TOO_LARGE = re.compile(r"out of memory|can't allocate memory|not enough memory", re.IGNORECASE)
"""How torch words a lack of memory where it raises a bare RuntimeError: on the processor and on Apple's GPUs."""


class VQBEGALError(Exception):
    """Base of all deliberate errors.

    Args:
        problem: what is wrong, one sentence.
        remedy: what to do about it, one sentence; may be empty.
    """

    exit_code = 1

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(problem, remedy)
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.problem} {self.remedy}".strip()


class InputError(VQBEGALError):
    """A volume, labelmap, table or option cannot be used as it is."""

    exit_code = 3


class StudyError(VQBEGALError):
    """A study folder is missing, damaged, from a newer version, or not in the state the command needs."""

    exit_code = 4


class StudyLockedError(StudyError):
    """Another process is writing to the study."""

    exit_code = 5


class StorageError(VQBEGALError):
    """The disk is full or a file cannot be written; the state before the write is intact."""

    exit_code = 6


class OutOfMemoryError(VQBEGALError):
    """The chosen device has too little memory for the configured network and batch."""

    exit_code = 7


def lacks_memory(error: BaseException) -> bool:
    """Tell whether an error, of whichever library, says that a device has too little memory."""
    return isinstance(error, (OutOfMemoryError, MemoryError)) or (
        isinstance(error, RuntimeError) and bool(_TOO_LARGE.search(str(error)))
    )


class MissingDependencyError(VQBEGALError):
    """A library that this step needs is not installed, or only half installed."""

    exit_code = 8


class ServerError(VQBEGALError):
    """A PACS was not reached, refused, or gave an answer that is no success; what was to be sent is kept."""

    exit_code = 9


class CancelledError(VQBEGALError):
    """A person asked the job to stop; everything finished so far is kept."""

    exit_code = 130

    def __init__(self, problem: str = "Cancelled; everything finished so far is kept.", remedy: str = "") -> None:
        super().__init__(problem, remedy)


def as_told(error: BaseException) -> VQBEGALError:
    """Return an error as a person is told of it: what is wrong and what to do."""
    if isinstance(error, VQBEGALError):
        return error
    if isinstance(error, ImportError):
        package = (error.name or "").partition(".")[0]
        if not package:
            return MissingDependencyError(f"A Python package cannot be loaded: {error}.", "Install it again.")
        return MissingDependencyError(
            f"The Python package {package} is not installed, or cannot be loaded.",
            f"Run: python -m pip install {package}",
        )
    if lacks_memory(error):
        return OutOfMemoryError(
            "There is too little memory for this step.",
            "Close other programs, or create the study with a smaller preset, size or batch_size.",
        )
    if isinstance(error, OSError):
        place = f" ({Path(error.filename).name})" if isinstance(error.filename, str) else ""
        return StorageError(f"{error.strerror or error}{place}.", "Check the path, the permissions and the free space.")
    return VQBEGALError(
        f"Something unexpected went wrong ({type(error).__name__}).",
        "Run the command again with --debug and report what it prints.",
    )
