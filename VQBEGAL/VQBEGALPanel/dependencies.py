"""What training and export need beyond the application, and its installation at first use."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import re
from collections.abc import Callable
from importlib import metadata

import slicer
from slicer.i18n import tr as _

from VQBEGALPanel.paths import resource

TORCH = "torch>=2.2"

TRAINING, EXPORT = "requirements.txt", "requirements-pacs.txt"
"""Lists of packages in the module's resources: for all work with a study, and for DICOM objects and servers."""

SHIPPED = ("SimpleITK", "scipy", "pydicom", "tqdm", "requests")
"""Packages that the application may bring itself: an older one than asked for is used, as replacing it under the
application could break the application."""


def requirements(name: str) -> list[str]:
    """Return the packages of a list, as ``name>=version``."""
    lines = resource(name).read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def missing() -> list[str]:
    """Return what training needs and is not installed or too old; imports none of it."""
    return [item for item in (*requirements(TRAINING), TORCH) if not _installed(item)]


def missing_for_export() -> list[str]:
    """Return what DICOM objects and servers need and is not installed or too old; imports none of it."""
    return [item for item in requirements(EXPORT) if not _installed(item)]


def _installed(requirement: str) -> bool:
    name, wanted = re.fullmatch(r"([\w.-]+)(?:>=([\d.]+))?", requirement).groups()
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:  # some builds of the application ship packages without metadata
        return importlib.util.find_spec(name) is not None
    return wanted is None or name in SHIPPED or _numbers(version) >= _numbers(wanted)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.partition("+")[0])[:3])


class InstallError(Exception):
    """What is missing cannot be installed; the text says why and what to do."""


def install(say: Callable[[str], None]) -> None:
    """Install what training needs; PyTorch through its extension. To be called when a person asks for it.

    Args:
        say: told of each step.

    Raises:
        InstallError: an installation failed, or is not possible here.
    """
    wanted = missing()
    others = [item for item in wanted if item != TORCH]
    if others:
        _pip(others, TRAINING, say)
    if TORCH in wanted:
        say(_("Installing PyTorch; this downloads up to 2.5 GB…"))
        _install_torch()
    _check(missing)


def install_for_export(say: Callable[[str], None]) -> None:
    """Install what DICOM objects and servers need; arguments and errors as :func:`install`."""
    if wanted := missing_for_export():
        _pip(wanted, EXPORT, say)
    _check(missing_for_export)


def _check(look: Callable[[], list[str]]) -> None:
    importlib.invalidate_caches()
    if left := look():
        raise InstallError(
            _("{packages} could not be installed. Look at the application's log, and try again.").format(
                packages=", ".join(left)
            )
        )


def _pip(packages: list[str], name: str, say: Callable[[str], None]) -> None:
    say(_("Installing {packages}…").format(packages=", ".join(packages)))
    try:
        packaging = importlib.import_module("slicer.packaging")
    except ImportError:  # before 5.11
        try:
            slicer.util.pip_install(packages)
        except Exception as error:
            raise InstallError(
                _("The installation failed ({error}). Check the network connection and try again.").format(error=error)
            ) from error
        return
    packaging.pip_ensure(packaging.load_requirements(resource(name)), requester="VQBEGAL")


def _install_torch() -> None:
    try:
        logic = importlib.import_module("PyTorchUtils").PyTorchUtilsLogic()
    except ImportError:
        raise InstallError(
            _(
                "The extension PyTorch is not installed. Open the Extensions Manager, install PyTorch, and start the "
                "application again."
            )
        ) from None
    known = inspect.signature(logic.installTorch).parameters
    options = {"askConfirmation": True, "torchVersionRequirement": ">=2.2"}
    logic.installTorch(**{name: value for name, value in options.items() if name in known})
