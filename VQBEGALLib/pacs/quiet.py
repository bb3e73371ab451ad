"""Keeps the libraries of the network from logging what may name a patient: addresses with queries, odd values."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

LOGGERS = ("urllib3", "requests", "pynetdicom", "pydicom")

_lock = threading.Lock()
_before: dict[str, int] = {}
_users = 0


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the libraries' loggers and warnings; loggers speak again when the last user, of any thread, has left."""
    global _users
    with _lock:
        _users += 1
        if _users == 1:
            for name in LOGGERS:
                logger = logging.getLogger(name)
                _before[name] = logger.level
                logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                for name in LOGGERS:
                    logging.getLogger(name).setLevel(_before.pop(name))
