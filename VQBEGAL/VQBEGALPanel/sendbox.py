"""Where a DICOM object is sent to: the server, its password, and whether it answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from slicer.i18n import tr as _

from VQBEGALLib.errors import VQBEGALError
from VQBEGALPanel.passwordrow import PasswordRow
from VQBEGALPanel.sections import Gate, attempt, fill_names

if TYPE_CHECKING:
    from VQBEGALLib.pacs.server import Server
    from VQBEGALPanel.jobs import Outcome
    from VQBEGALPanel.servers import Servers
    from VQBEGALPanel.serversdialog import ServersDialog
    from VQBEGALPanel.session import Session


class SendBox:
    """Chooses a server, tests it, and sends.

    Args:
        ui: the panel's widgets.
        session: runs the test.
        servers: known servers.
        edit_servers: the dialog in which they are changed.
        send: called at a click on "Send to PACS".
    """

    def __init__(
        self,
        ui,
        session: Session,
        gate: Gate,
        servers: Servers,
        edit_servers: ServersDialog,
        send: Callable[[], None],
    ) -> None:
        self._ui, self._session, self._gate, self._servers = ui, session, gate, servers
        self._send, self._against = send, ""
        self._names: list[str] = []
        self._asking = False
        self._password = PasswordRow(ui.exportPassword, ui.exportPasswordLabel, servers)
        ui.serverAnswer.visible = False
        ui.exportServer.connect("currentIndexChanged(int)", lambda _index: attempt(self._chosen)())
        ui.exportPassword.connect("textChanged(QString)", lambda _text: attempt(self._update_gates)())
        ui.editServers.connect("clicked()", attempt(lambda: edit_servers.show(ui.exportServer.currentText)))
        ui.testServer.connect("clicked()", attempt(self.test))
        ui.sendResult.connect("clicked()", attempt(self._start))

    def server(self) -> Server | None:
        """Return the chosen server, None without one."""
        return self._servers.profiles().get(self._ui.exportServer.currentText)

    def asked(self) -> Server | None:
        """Return the chosen server where it can be asked for images: over DICOMweb, its password known."""
        server = self.server()
        return server if server is not None and server.web and not self._servers.lacks_secret(server) else None

    def test(self) -> None:
        """Ask the server whether it answers, in the background."""
        server = self.server()
        self._password.take(server)
        self._session.errands.run(["server", "test", "--stdin"], self._servers.told(server), self._answered)
        self._asking = True
        self._say(_("Asking {server}…").format(server=server.name))
        self._update_gates()

    def _answered(self, outcome: Outcome) -> None:
        self._asking = False
        self._say(answer_text(outcome))
        self._update_gates()

    def _say(self, text: str) -> None:
        self._ui.serverAnswer.text = text
        self._ui.serverAnswer.visible = bool(text)

    def _start(self) -> None:
        self._password.take(self.server())
        self._send()

    def update(self) -> None:
        """Show the servers that there are now."""
        names = list(self._servers.profiles()) if not self._session.reasons.servers() else []
        if names != self._names:
            self._names = names
            fill_names(self._ui.exportServer, names)
        self._chosen(keep=True)

    def _chosen(self, *, keep: bool = False) -> None:
        if not keep:
            self._say("")
        self._password.update(self.server())
        self._update_gates()

    def gate_sending(self, against: str) -> None:
        """Grey the button where something else speaks against sending."""
        self._against = against
        self._update_gates()

    def _update_gates(self) -> None:
        ui, lacking = self._ui, self._session.reasons.servers()
        try:
            server = self.server()
        except VQBEGALError as error:
            lacking, server = str(error), None
        none = "" if server is not None else _("Add a server with “Servers…” first.")
        reason = lacking or none or self._password.reason(server)
        self._gate.set(ui.editServers, lacking)
        self._gate.set(ui.testServer, reason or (_("The server is being asked.") if self._asking else ""))
        self._gate.set(ui.sendResult, self._against or reason)


def answer_text(outcome: Outcome) -> str:
    """Return what a server's answer to a question is shown as."""
    if outcome.result is not None:
        return f"✓ {outcome.result['text']}"
    return "" if outcome.cancelled else f"✗ {outcome.problem} {outcome.remedy}".strip()
