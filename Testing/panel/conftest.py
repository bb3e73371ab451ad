"""The panel on the stand-in host: started once, brought back to an empty application after each test."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

_TESTING = Path(__file__).parents[1]
_MODULE = _TESTING.parent / "VQBEGAL" / "VQBEGAL.py"
sys.path[:0] = [str(_TESTING / "host"), str(_TESTING / "panel"), str(_MODULE.parent)]

try:
    import host
    import surface

    host.start()
    if surface.LIST.is_file():
        surface.watch(_MODULE.parent)
    _problem = ""
except ImportError as error:
    if os.environ.get("CI"):
        raise
    _problem = f"the stand-in host needs slicer-core and PySide6 with their system libraries ({error})"


class _Skipped(pytest.Module):
    def collect(self) -> Iterator[pytest.Item]:
        pytest.skip(_problem)


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(file_path: Path, parent: pytest.Collector):
    """Collect the scenarios' tests and no doctests: driver.py and support.py are no modules of their own."""
    return [item for item in (yield) if type(item) in (pytest.Module, _Skipped)]


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """Pass over the scenarios where the host cannot run; they import qt and slicer."""
    return _Skipped.from_parent(parent, path=module_path) if _problem else None


@pytest.fixture(autouse=True)
def application() -> Iterator[None]:
    """A fresh application with the module loaded; errors in slots and observers fail the test."""
    errors: list[BaseException] = []
    before = sys.excepthook
    sys.excepthook = lambda _kind, error, _trace: errors.append(error)
    try:
        host.load_module(_MODULE)
        yield
        host.reset()
    finally:
        sys.excepthook = before
    if errors:
        raise errors[0]


@pytest.fixture
def panel():
    """The module's widget, set up and entered."""
    return host.load_module(_MODULE)
