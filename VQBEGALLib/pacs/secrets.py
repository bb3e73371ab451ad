"""Passwords in the system's keyring, where a person asked for it."""

from __future__ import annotations

from typing import Any

from VQBEGALLib.errors import MissingDependencyError, VQBEGALError
from VQBEGALLib.pacs.server import Secret, Server
from VQBEGALLib.volumes.libraries import library

SERVICE = "VQBEGAL"


def remembered(server: Server) -> Secret | None:
    """Return the password of a server; None where none is kept or this system has no keyring."""
    try:
        keyring = _keyring()
        text = keyring.get_password(SERVICE, _account(server))
        return Secret(text) if text else None
    except Exception:  # a locked, damaged or missing keyring: whatever its back end raises, the person is asked
        return None


def remember(server: Server, secret: Secret) -> None:
    """Keep the password of a server for this user of this computer.

    Raises:
        VQBEGALError: the system has no keyring, or it refuses.
    """
    keyring = _keyring()
    if not _changed(lambda: keyring.set_password(SERVICE, _account(server), secret.reveal())):
        raise VQBEGALError(_REFUSED, _UNLOCK)


def forget(server: Server) -> None:
    """Remove the password of a server from the keyring; nothing happens where none is kept.

    Raises:
        VQBEGALError: the keyring keeps it all the same.
    """
    if remembered(server) is None:
        return
    keyring = _keyring()
    if not _changed(lambda: keyring.delete_password(SERVICE, _account(server))):
        raise VQBEGALError(_REFUSED, _UNLOCK)


def keyring_available() -> bool:
    """Tell whether this system has a keyring that keeps passwords encrypted."""
    try:
        _keyring()
    except VQBEGALError:
        return False
    return True


def _account(server: Server) -> str:
    """Return what the password belongs to: the user at that computer, so that no other ever gets it."""
    return f"{server.auth} {server.user} {server.scheme}://{server.host}:{server.port}"


def _keyring() -> Any:
    """Return the library, with a back end that is neither missing nor keeps passwords in plain text."""
    try:
        keyring = library("keyring", needed_by="remembering passwords")
        usable = bool(keyring.core.recommended(keyring.get_keyring()))
    except MissingDependencyError:
        raise
    except Exception:  # a back end that cannot even be asked
        usable = False
    if not usable:
        raise VQBEGALError("This computer has no keyring to keep passwords in.", "Enter the password each time.")
    return keyring


def _changed(change: Any) -> bool:
    """Run a change; the back end's own error is dropped, as nobody knows what it quotes."""
    try:
        change()
    except Exception:
        return False
    return True


_REFUSED = "The keyring did not take the change."
_UNLOCK = "Unlock it and try again, or enter the password each time."
