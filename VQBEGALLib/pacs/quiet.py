"""Keeps the libraries of the network from logging what may name a patient: addresses with queries, odd values."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

LOGGERS = ("urllib3", "requests", "pynetdicom", "pydicom")

_lock = threading.Lock()
_users = 0
_restore = ExitStack()


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the libraries' loggers and all warnings; they speak again when the last user, of any thread, has left."""
    global _users
    with _lock:
        _users += 1
        if _users == 1:
            _silence()
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                _restore.close()


def _silence() -> None:
    _restore.enter_context(warnings.catch_warnings())
    warnings.simplefilter("ignore")
    for name in LOGGERS:
        logger = logging.getLogger(name)
        _restore.callback(logger.setLevel, logger.level)
        logger.setLevel(logging.CRITICAL + 1)
