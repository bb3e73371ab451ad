"""The window that searches a server and loads a CT and an MR series into a new case."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import qt
from slicer.i18n import tr as _

from VQBEGALPanel.dialogs import Window
from VQBEGALPanel.pacsseries import Series, read_series
from VQBEGALPanel.passwordrow import PasswordRow
from VQBEGALPanel.sections import (
    Gate,
    attempt,
    choose,
    fill,
    fill_names,
    fill_table,
    selected_row,
    set_up_table,
    show_progress,
)

if TYPE_CHECKING:
    from VQBEGALLib.pacs.server import Server
    from VQBEGALPanel.jobs import Outcome
    from VQBEGALPanel.servers import Servers
    from VQBEGALPanel.serversdialog import ServersDialog
    from VQBEGALPanel.session import Session


class FromPacsDialog:
    """Searches by patient ID or study UID, and pulls two series.

    Args:
        session: runs the jobs.
        servers: known servers.
        edit_servers: the dialog in which they are changed.
        free_name: returns a name that no case has.
        splits: what a case can serve: text and value.
    """

    def __init__(
        self,
        session: Session,
        servers: Servers,
        edit_servers: ServersDialog,
        free_name: Callable[[], str],
        splits: Sequence[tuple[str, str]],
    ) -> None:
        self._session, self._servers, self._edit_servers = session, servers, edit_servers
        self._free_name, self._splits = free_name, splits
        self.window = Window("FromPacs.ui", _("Load a case from the PACS"))
        self._gate = Gate()
        self._series: list[Series] = []
        self._wanted: dict[str, str] = {}
        self._asking = False

    def show(self) -> None:
        """Bring the window up."""
        self._servers.wake()
        if self.window.make():
            self._connect()
        self.window.bring_up()
        self.update()

    def close(self) -> None:
        """Take the window away for good."""
        self.window.close()

    def _connect(self) -> None:
        ui = self.window.ui
        self._password = PasswordRow(ui.pullPassword, ui.pullPasswordLabel, self._servers)
        set_up_table(ui.seriesTable, [_("Date"), _("Study"), _("Series"), _("Modality"), _("Images")])
        header = ui.seriesTable.horizontalHeader()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(2, qt.QHeaderView.Stretch)
        fill(ui.pullSplit, self._splits)
        ui.pullServer.connect("currentIndexChanged(int)", lambda _index: attempt(self.update)())
        for line in (ui.pullPassword, ui.pullPatient, ui.pullStudyUid, ui.pullCase):
            line.connect("textChanged(QString)", lambda _text: attempt(self._update_gates)())
        for combo in (ui.pullCt, ui.pullMr):
            combo.connect("currentIndexChanged(int)", lambda _index: self._update_gates())
        for line in (ui.pullPatient, ui.pullStudyUid):
            line.connect("returnPressed()", attempt(self.search))
        ui.seriesTable.connect("itemSelectionChanged()", attempt(self._row_selected))
        ui.pullEditServers.connect("clicked()", attempt(lambda: self._edit_servers.show(ui.pullServer.currentText)))
        ui.search.connect("clicked()", attempt(self.search))
        ui.pull.connect("clicked()", attempt(self.pull))
        ui.cancelPull.connect("clicked()", attempt(self._session.cancel))
        ui.closePull.connect("clicked()", lambda: self.window.dialog.hide())
        self._found([])

    def server(self) -> Server | None:
        """Return the chosen server, None without one."""
        return self._servers.profiles().get(self.window.ui.pullServer.currentText)

    def search(self) -> None:
        """Ask the server, in the background."""
        ui, server = self.window.ui, self.server()
        if self._against_search():
            return
        self._password.take(server)
        patient, uid = ui.pullPatient.text.strip(), ui.pullStudyUid.text.strip()
        self._wanted = {"study_uid": uid} if uid else {"patient": patient}
        self._found([])
        self._session.errands.run(["query", "--stdin"], self._servers.told(server, **self._wanted), self._answered)
        self._asking = True
        ui.searchAnswer.text = _("Asking {server}…").format(server=server.name)
        self._update_gates()

    def _answered(self, outcome: Outcome) -> None:
        self._asking = False
        ui = self.window.ui
        if ui is None:
            return
        if outcome.result is None:
            ui.searchAnswer.text = f"✗ {outcome.problem} {outcome.remedy}".strip()
        else:
            self.list_studies(outcome.result["studies"])
        self._update_gates()

    def list_studies(self, studies: Sequence[Mapping[str, Any]]) -> None:
        """Show what ``vqbegal query`` found."""
        self._found(read_series(studies))
        count = len(studies)
        text = _("{count} studies found.").format(count=count) if count > 1 else _("One study found.")
        self.window.ui.searchAnswer.text = text if count else _("The server knows no such study.")

    def _found(self, series: list[Series]) -> None:
        """List the series; where there is one CT or one MR, it is chosen."""
        ui, self._series = self.window.ui, series
        fill_table(ui.seriesTable, [item.row() for item in series])
        for combo, modality in ((ui.pullCt, "CT"), (ui.pullMr, "MR")):
            mine = [item for item in series if item.modality == modality]
            texts = [(f"{item.date}  {item.text or item.study} ({item.count()})", item.uid) for item in mine]
            fill(combo, [(_("None"), ""), *texts])
            combo.setCurrentIndex(1 if len(mine) == 1 else 0)

    def _row_selected(self) -> None:
        row = selected_row(self.window.ui.seriesTable)
        if 0 <= row < len(self._series):
            item = self._series[row]
            combo = {"CT": self.window.ui.pullCt, "MR": self.window.ui.pullMr}.get(item.modality)
            if combo is not None:
                choose(combo, item.uid)

    def pull(self) -> None:
        """Load the chosen series into the study, in the background."""
        ui, session = self.window.ui, self._session
        case = ui.pullCase.text.strip() or self._free_name()
        chosen = {"CT": self._chosen(ui.pullCt), "MR": self._chosen(ui.pullMr)}
        primary = chosen.pop(session.scene.modality("primary"))
        auxiliary = next(iter(chosen.values()))
        self._password.take(self.server())
        options = ["--primary-series", primary.uid]
        options += ["--auxiliary-series", "none" if auxiliary is None else auxiliary.uid]
        options += ["--split", ui.pullSplit.currentData, *([] if ui.keepImages.checked else ["--discard"])]
        arguments = ["pull", str(session.study.folder), case, *options, "--stdin"]
        where = self._wanted if auxiliary is not None else {"study_uid": primary.study_uid}
        told = self._servers.told(self.server(), **where)
        session.start(_("Loading from the PACS"), arguments, self._pulled, told=told)

    def _pulled(self, outcome: Outcome) -> None:
        if outcome.result is not None and self.window.ui is not None:
            for line in (self.window.ui.pullCase, self.window.ui.pullPatient, self.window.ui.pullStudyUid):
                line.text = ""
            self._found([])
            self.window.dialog.hide()

    def _chosen(self, combo) -> Series | None:
        return next((item for item in self._series if item.uid == combo.currentData), None)

    def update(self) -> None:
        """Show servers and progress, and grey what cannot be done."""
        if self.window.ui is None:
            return
        ui = self.window.ui
        names = [name for name, server in self._servers.profiles().items() if server.web]
        if names != [ui.pullServer.itemText(number) for number in range(ui.pullServer.count)]:
            fill_names(ui.pullServer, names)
        self._password.update(self.server())
        ui.pullCase.placeholderText = self._free_name()
        self.update_progress()
        self._update_gates()

    def update_progress(self) -> None:
        """Show the job's progress."""
        if self.window.is_up:
            ui, work = self.window.ui, self._session.work
            show_progress(work, ui.pullProgress, ui.pullProgressText)
            self._gate.set(ui.cancelPull, "" if work is not None else _("Nothing is going on in the background."))

    def _against_search(self) -> str:
        ui, server = self.window.ui, self.server()
        if reason := self._session.reasons.servers():
            return reason
        if server is None:
            return _("Add a DICOMweb server with “Servers…” first.")
        if self._asking:
            return _("The server is being asked.")
        if not (ui.pullPatient.text.strip() or ui.pullStudyUid.text.strip()):
            return _("Enter a patient ID or a study UID first.")
        return self._password.reason(server)

    def _update_gates(self) -> None:
        if self.window.ui is None:
            return
        ui = self.window.ui
        self._gate.set(ui.search, self._against_search())
        self._gate.set(ui.pull, self._session.reasons.exporting(dicom=True) or self._against_pull())

    def _against_pull(self) -> str:
        ui, session = self.window.ui, self._session
        modality = session.scene.modality("primary")
        if self._chosen({"CT": ui.pullCt, "MR": ui.pullMr}[modality]) is None:
            return _("Search, and choose the {modality} series: it is the one that is segmented.").format(
                modality=modality
            )
        if ui.pullCase.text.strip() in session.study.subjects:
            return _("There is already a case of this name.")
        return ""
