"""Servers that this computer knows, and their passwords while the application runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import slicer
from slicer.i18n import tr as _

from VQBEGALLib.errors import InputError, VQBEGALError
from VQBEGALLib.pacs import Secret, Server, forget, remember, remembered

if TYPE_CHECKING:
    from collections.abc import Callable

PROFILES = "VQBEGAL/Servers/Profiles"
"""Setting with the profiles as JSON; there is no password in it."""


class Servers:
    """Profiles in the application's settings. Passwords are kept in memory, for one address and user each.

    Args:
        changed: called after a profile or a password has changed.
    """

    def __init__(self, changed: Callable[[], None] = lambda: None) -> None:
        self.changed = changed
        self._secrets: dict[tuple[str, str], Secret | None] = {}
        self._awake = False

    def wake(self) -> None:
        """From now on ask the system's keyring, which may ask the person to unlock it: she is about to use a server."""
        self._awake = True

    def profiles(self) -> dict[str, Server]:
        """Return the servers by name; one that was edited into nonsense is left out."""
        found = {}
        try:
            items = json.loads(str(slicer.app.userSettings().value(PROFILES, "") or "[]"))
        except ValueError:
            items = []
        for item in items if isinstance(items, list) else []:
            try:
                server = Server.from_json(item)
            except VQBEGALError:
                continue
            found[server.name] = server
        return dict(sorted(found.items()))

    def save(self, server: Server, *, instead_of: str = "") -> None:
        """Keep a server, instead of another one where its name has changed.

        Raises:
            InputError: there is another server of this name.
        """
        known = self.profiles()
        if server.name != instead_of and server.name in known:
            raise InputError(
                _("There is already a server {name}.").format(name=server.name), _("Give this one another name.")
            )
        known.pop(instead_of, None)
        self._write({**known, server.name: server})

    def remove(self, name: str) -> None:
        """Forget a server and its password."""
        known = self.profiles()
        server = known.pop(name, None)
        if server is not None:
            self._secrets.pop(_account(server), None)
            forget(server)
            self._write(known)

    def _write(self, known: dict[str, Server]) -> None:
        text = json.dumps([server.to_json() for server in known.values()])
        slicer.app.userSettings().setValue(PROFILES, text)
        self.changed()

    def secret(self, server: Server) -> Secret | None:
        """Return the password or token: from memory, or once from the system's keyring; None where it is not known."""
        if server.auth == "none":
            return None
        account = _account(server)
        if account not in self._secrets and self._awake:
            self._secrets[account] = remembered(server)
        return self._secrets.get(account)

    def lacks_secret(self, server: Server) -> bool:
        """Tell whether a person has to be asked for the password."""
        return server.auth != "none" and self.secret(server) is None

    def keep(self, server: Server, text: str, *, in_keyring: bool = False) -> None:
        """Keep a password in memory, and in the system's keyring if a person wants that.

        Raises:
            VQBEGALError: the system has no keyring, or it refuses.
        """
        secret = Secret(text)
        self._secrets[_account(server)] = secret
        if in_keyring:
            remember(server, secret)
        self.changed()

    def told(self, server: Server, **more: Any) -> dict[str, Any]:
        """Return what a job is told of a server through its standard input."""
        secret = self.secret(server)
        data = server.to_json() if secret is None else {**server.to_json(), "secret": secret.reveal()}
        return {"server": data, **more}


def _account(server: Server) -> tuple[str, str]:
    """Return what a password belongs to: it is never sent to another address after a profile was edited."""
    return server.url, server.user
