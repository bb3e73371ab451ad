"""A field for a password: shown where a server asks for one, and emptied at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slicer.i18n import tr as _

if TYPE_CHECKING:
    import qt

    from VQBEGALLib.pacs.server import Server
    from VQBEGALPanel.servers import Servers


class PasswordRow:
    """A field for the password of the chosen server; it is emptied as soon as the password is in memory.

    Args:
        line: where it is typed.
        label: beside it.
        servers: keep it.
    """

    def __init__(self, line: qt.QLineEdit, label: qt.QLabel, servers: Servers) -> None:
        self._line, self._label, self._servers = line, label, servers

    def update(self, server: Server | None) -> None:
        """Show the field where the server asks for a password."""
        needed = server is not None and server.auth != "none"
        self._line.visible = self._label.visible = needed
        if needed:
            known = not self._servers.lacks_secret(server)
            self._line.placeholderText = _("known; type only to change it") if known else _("kept in memory only")

    def take(self, server: Server | None) -> None:
        """Keep what was typed."""
        text = self._line.text
        if text and server is not None and server.auth != "none":
            self._line.text = ""
            self._servers.keep(server, text)

    def reason(self, server: Server) -> str:
        """Return why the server cannot be asked yet, empty where it can."""
        if self._line.text or not self._servers.lacks_secret(server):
            return ""
        return _("Enter the password for {server} first.").format(server=server.name)
