"""The window in which servers are added, changed, tested and removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import slicer
from slicer.i18n import tr as _

from VQBEGALLib.errors import VQBEGALError
from VQBEGALLib.pacs import Server, keyring_available
from VQBEGALPanel.dialogs import Window
from VQBEGALPanel.sections import Gate, attempt, choose, fill
from VQBEGALPanel.sendbox import answer_text

if TYPE_CHECKING:
    from VQBEGALPanel.jobs import Outcome
    from VQBEGALPanel.servers import Servers
    from VQBEGALPanel.session import Session

_TEXTS = {"serverName": "name", "serverUrl": "url", "serverUser": "user", "serverAet": "calling_aet"}
_FILES = {"serverCa": "ca_file", "serverCertificate": "cert_file", "serverKey": "key_file"}
_BOXES = {"serverPlain": "plain", "serverProxies": "proxies"}
"""Widgets and the fields of :class:`Server` that they show."""


class ServersDialog:
    """Edits the profiles; passwords go into memory or the keyring, never into the settings.

    Args:
        session: runs the test.
        servers: the profiles.
    """

    def __init__(self, session: Session, servers: Servers) -> None:
        self._session, self._servers = session, servers
        self.window = Window("Servers.ui", _("PACS servers"))
        self._gate = Gate()
        self._edited = ""
        self._asking = False

    def show(self, name: str = "") -> None:
        """Bring the window up at a server."""
        self._servers.wake()
        if self.window.make():
            self._connect()
        self._list(name)
        self.window.bring_up()

    def close(self) -> None:
        """Take the window away for good."""
        self.window.close()

    def _connect(self) -> None:
        ui = self.window.ui
        kinds = [(_("None"), "none"), (_("User and password (Basic)"), "basic"), (_("Token (Bearer)"), "bearer")]
        fill(ui.serverAuth, kinds)
        ui.serverList.connect("currentRowChanged(int)", lambda row: attempt(self._selected)(row))
        ui.serverAuth.connect("currentIndexChanged(int)", lambda _index: self._update_gates())
        ui.serverUrl.connect("textChanged(QString)", lambda _text: self._update_gates())
        ui.newServer.connect("clicked()", attempt(self.new))
        ui.removeServer.connect("clicked()", attempt(self.remove))
        ui.saveServer.connect("clicked()", attempt(self.save))
        ui.tryServer.connect("clicked()", attempt(self.test))
        ui.closeServers.connect("clicked()", lambda: self.window.dialog.hide())

    def _list(self, name: str) -> None:
        """Show the names, and one of the servers."""
        ui, names = self.window.ui, list(self._servers.profiles())
        blocked = ui.serverList.blockSignals(True)
        ui.serverList.clear()
        ui.serverList.addItems(names)
        row = names.index(name) if name in names else 0 if names else -1
        ui.serverList.currentRow = row
        ui.serverList.blockSignals(blocked)
        self._selected(row)

    def _selected(self, row: int) -> None:
        names = list(self._servers.profiles())
        if 0 <= row < len(names):
            self._fill(self._servers.profiles()[names[row]], names[row])
        else:
            self.new()

    def new(self) -> None:
        """Start with an empty form."""
        ui = self.window.ui
        blocked = ui.serverList.blockSignals(True)
        ui.serverList.currentRow = -1
        ui.serverList.clearSelection()
        ui.serverList.blockSignals(blocked)
        self._fill(None, "")

    def _fill(self, server: Server | None, name: str) -> None:
        ui, self._edited = self.window.ui, name
        for widget, field in _TEXTS.items():
            getattr(ui, widget).text = "" if server is None else getattr(server, field)
        for widget, field in _FILES.items():
            getattr(ui, widget).currentPath = "" if server is None else getattr(server, field)
        for widget, field in _BOXES.items():
            getattr(ui, widget).checked = server is not None and getattr(server, field)
        choose(ui.serverAuth, "basic" if server is None else server.auth)
        ui.serverPassword.text = ""
        ui.rememberPassword.checked = False
        known = server is not None and server.auth != "none" and not self._servers.lacks_secret(server)
        ui.serverPassword.placeholderText = _("known; type only to change it") if known else _("kept in memory only")
        self._say("")
        self._update_gates()

    def server(self) -> Server:
        """Return the server as the form has it.

        Raises:
            InputError: something is missing or wrong.
        """
        ui = self.window.ui
        fields = {field: getattr(ui, widget).text.strip() for widget, field in _TEXTS.items()}
        fields |= {field: getattr(ui, widget).currentPath.strip() for widget, field in _FILES.items()}
        fields |= {field: getattr(ui, widget).checked for widget, field in _BOXES.items()}
        auth = "none" if self._is_dicom() else ui.serverAuth.currentData
        fields["calling_aet"] = fields["calling_aet"] or "VQBEGAL"
        fields["user"] = fields["user"] if auth == "basic" else ""
        return Server.from_json({**fields, "auth": auth})

    def _is_dicom(self) -> bool:
        return self.window.ui.serverUrl.text.strip().lower().startswith("dicom")

    def save(self) -> None:
        """Keep the server; its password goes into memory, or into the keyring."""
        try:
            server = self.server()
            self._servers.save(server, instead_of=self._edited)
            self._take_password(server)
        except VQBEGALError as error:
            self._say(f"✗ {error}")
            return
        self._list(server.name)
        self._say(_("{name} is saved.").format(name=server.name))

    def _take_password(self, server: Server) -> None:
        ui = self.window.ui
        text, keyring = ui.serverPassword.text, ui.rememberPassword.checked
        if text and server.auth != "none":
            self._servers.keep(server, text, in_keyring=keyring)

    def test(self) -> None:
        """Ask the server as the form has it, in the background."""
        try:
            server = self.server()
            self._take_password(server)
        except VQBEGALError as error:
            self._say(f"✗ {error}")
            return
        if self._servers.lacks_secret(server):
            self._say(_("Enter the password first."))
            return
        self._session.errands.run(["server", "test", "--stdin"], self._servers.told(server), self._answered)
        self._asking = True
        self._say(_("Asking {server}…").format(server=server.name))
        self._update_gates()

    def _answered(self, outcome: Outcome) -> None:
        self._asking = False
        if self.window.ui is not None:
            self._say(answer_text(outcome))
            self._update_gates()

    def remove(self) -> None:
        """Forget the selected server, after asking."""
        if slicer.util.confirmOkCancelDisplay(
            _("Forget the server {name} and its password? What waits for it stays in the study.").format(
                name=self._edited
            )
        ):
            self._servers.remove(self._edited)
            self._list("")

    def _say(self, text: str) -> None:
        self.window.ui.serverNote.text = text

    def _update_gates(self) -> None:
        ui, dicom = self.window.ui, self._is_dicom()
        kind = ui.serverAuth.currentData
        no_sign_in = _("DICOM servers know you by your AE title, and by a client certificate.") if dicom else ""
        open_door = no_sign_in or (_("The server asks for no sign-in.") if kind == "none" else "")
        self._gate.set(ui.serverAuth, no_sign_in)
        self._gate.set(ui.serverUser, open_door or (_("A token has no user.") if kind == "bearer" else ""))
        self._gate.set(ui.serverPassword, open_door)
        none = "" if keyring_available() else _("This system has no keyring: the password is kept in memory only.")
        self._gate.set(ui.rememberPassword, open_door or none)
        self._gate.set(ui.serverAet, "" if dicom else _("For DICOM addresses only."))
        self._gate.set(ui.removeServer, "" if self._edited else _("Select a server first."))
        self._gate.set(ui.tryServer, _("The server is being asked.") if self._asking else "")
