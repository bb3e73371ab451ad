"""Section 6: what is exported, as what, and whether anything speaks against it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import slicer
from slicer.i18n import tr as _

from VQBEGALPanel import dependencies
from VQBEGALPanel.checklist import Checklist
from VQBEGALPanel.creatorfield import CreatorField
from VQBEGALPanel.delivering import FILES, SCENE, Choice, Delivering, format_words
from VQBEGALPanel.queuebox import QueueBox
from VQBEGALPanel.sections import Gate, attempt, fill, fill_names, show_progress
from VQBEGALPanel.sendbox import SendBox
from VQBEGALPanel.setupframe import Setup

if TYPE_CHECKING:
    from VQBEGALPanel.jobs import Outcome
    from VQBEGALPanel.servers import Servers
    from VQBEGALPanel.serversdialog import ServersDialog
    from VQBEGALPanel.session import Session

FOLDER = "VQBEGAL/ExportFolder"
"""Setting: folder of the last file."""

IMAGES = "Source images"
"""Point of the checklist that a folder of DICOM images can mend."""


class ExportSection:
    """Writes a case's segmentation to a file, or sends it.

    Args:
        ui: the panel's widgets.
        session: what the widgets act on.
        servers: known servers.
        edit_servers: the dialog in which they are changed.
    """

    def __init__(self, ui, session: Session, gate: Gate, servers: Servers, edit_servers: ServersDialog) -> None:
        self._ui, self._session, self._gate, self._servers = ui, session, gate, servers
        self._sources: dict[str, str] = {}
        self._cases: list[str] = []
        self._suggested: tuple[Path, str] | None = None
        self._updating = False
        delivering = Delivering(session, servers)
        self._delivering = delivering
        self.checklist = Checklist(session, delivering, self.choice, self._is_open, self._show_checks)
        self.sending = SendBox(ui, session, gate, servers, edit_servers, self._send)
        self.queue = QueueBox(ui, session, gate, servers, delivering, self.tell)
        whats = [
            (_("Newest prediction"), "prediction"),
            (_("Annotation"), "annotation"),
            (_("Prediction with your corrections"), "corrected"),
            (_("Segmentation of the scene"), SCENE),
        ]
        fill(ui.exportWhat, whats)
        fill(ui.exportFormat, [(text, value) for value, (text, _note) in format_words().items()])
        self._creator = CreatorField(ui.exportCreator, ui.keepCreator)
        for combo in (ui.exportCase, ui.exportWhat, ui.exportFormat, ui.exportServer):
            combo.connect("currentIndexChanged(int)", lambda _index: attempt(self._chosen)())
        ui.exportSegmentation.connect("currentNodeChanged(vtkMRMLNode*)", lambda _node: attempt(self._chosen)())
        ui.exportSource.connect("currentPathChanged(QString)", lambda _path: attempt(self._source_changed)())
        ui.exportPath.connect("currentPathChanged(QString)", lambda _path: self._update_gates())
        ui.exportSection.connect("contentsCollapsed(bool)", lambda _folded: attempt(self._unfolded)())
        ui.saveResult.connect("clicked()", attempt(self.save))
        ui.cancelExport.connect("clicked()", attempt(session.cancel))
        self._setup = Setup(
            ui.exportSetupFrame,
            ui.exportSetupText,
            ui.installExport,
            ui.exportSetupProgress,
            _("DICOM objects and servers need packages that are not installed yet: {packages}."),
            dependencies.install_for_export,
            session.packages_changed,
        )

    def choice(self) -> Choice | None:
        """Return what would be exported now, None where nothing can be."""
        ui, case = self._ui, self._ui.exportCase.currentText
        if self._session.study is None or case not in self._session.study.subjects:
            return None
        what = ui.exportWhat.currentData
        node = ui.exportSegmentation.currentNode() if what == SCENE else None
        if what == SCENE and node is None:
            return None
        source = ui.exportSource.currentPath.strip()
        chosen = Path(source).expanduser() if source else None
        return Choice(
            case,
            what,
            ui.exportFormat.currentData,
            node,
            chosen,
            self._creator.name(),
            server=self.sending.asked(),
        )

    def save(self) -> None:
        """Write the file, after asking where there is one already."""
        if problem := self._problem():
            self.tell(problem)
            return
        path = Path(self._ui.exportPath.currentPath.strip()).expanduser()
        if path.is_file() and not slicer.util.confirmOkCancelDisplay(
            _("{name} is there already. Write it anew?").format(name=path.name)
        ):
            return
        slicer.app.userSettings().setValue(FOLDER, str(path.parent))
        self.tell("")
        self._delivering.save(self.choice(), path, self._saved)

    def _saved(self, outcome: Outcome) -> None:
        result = outcome.result
        if result is None:
            self.tell(outcome_text(outcome))
            return
        text = _("{name} is written ({size}; segments: {segments}, slices: {slices}).")
        self.tell(
            text.format(
                name=Path(str(result["path"])).name,
                segments=result["segments"],
                slices=result["slices"],
                size=size_words(int(result["bytes"])),
            )
        )

    def _send(self) -> None:
        if problem := self._problem():
            self.tell(problem)
            return
        self.tell("")
        self._delivering.send(self.choice(), self.sending.server(), self.queue.sent)

    def tell(self, text: str, problems: list[dict[str, Any]] | None = None) -> None:
        """Say how the last export went, with what a server did not take."""
        self._ui.exportOutcome.text = text
        self._ui.exportOutcome.visible = bool(text)
        self.queue.show_problems(problems or [])
        if text:
            self._session.say(text)

    def update(self) -> None:
        """Show what can be exported, and grey what cannot be done."""
        ui, session, study = self._ui, self._session, self._session.study
        cases = [] if study is None else [subject.name for subject in study.cases()]
        if cases != self._cases:
            self._cases = cases
            self._updating = True
            fill_names(ui.exportCase, cases)
            self._updating = False
            self.tell("")
        self._setup.update(session.missing_for_export, session.work)
        self.sending.update()
        self.queue.update()
        self.update_progress()
        self._chosen()

    def update_progress(self) -> None:
        """Show the job's progress."""
        ui, work = self._ui, self._session.work
        show_progress(work, ui.exportProgress, ui.exportProgressText)
        self._gate.set(ui.cancelExport, "" if work is not None else _("Nothing is going on in the background."))

    def stop(self) -> None:
        """Let go of the timer."""
        self.checklist.stop()

    def _unfolded(self) -> None:
        if self._is_open():
            self._servers.wake()
            self.update()

    def _is_open(self) -> bool:
        return not self._ui.exportSection.collapsed

    def _chosen(self) -> None:
        """Show the fields that the choice needs, and check it soon."""
        if self._updating:
            return
        ui = self._ui
        scene, kind = ui.exportWhat.currentData == SCENE, ui.exportFormat.currentData
        dicom = kind not in FILES
        for widget in (ui.exportSegmentation, ui.exportSegmentationLabel):
            widget.visible = scene
        for widget in (ui.exportCreator, ui.exportCreatorLabel, ui.keepCreator):
            widget.visible = dicom
        ui.formatNote.text = format_words()[kind][1]
        self._suggest_path()
        self._recall_source()
        self.checklist.schedule()
        self._show_checks()

    def _recall_source(self) -> None:
        wanted = self._sources.get(self._ui.exportCase.currentText, "")
        if wanted != self._ui.exportSource.currentPath:
            self._updating = True
            self._ui.exportSource.currentPath = wanted
            self._updating = False

    def _source_changed(self) -> None:
        if not self._updating:
            self._sources[self._ui.exportCase.currentText] = self._ui.exportSource.currentPath
            self._chosen()

    def _suggest_path(self) -> None:
        """Give the file a name when something else is chosen; a name that a person typed stays until then."""
        choice, ui = self.choice(), self._ui
        if choice is None:
            return
        study = self._session.study.folder
        wanted = (study, choice.file_name)
        if wanted == self._suggested:
            return
        before = ui.exportPath.currentPath.strip() if self._suggested and self._suggested[0] == study else ""
        kept = Path(before).parent if before else Path(str(slicer.app.userSettings().value(FOLDER, "") or ""))
        self._suggested = wanted
        ui.exportPath.currentPath = str((kept if kept.is_absolute() and kept.is_dir() else study.parent) / wanted[1])

    def _show_checks(self) -> None:
        ui, source = self._ui, self._ui.exportSource
        lost = source.currentPath or any(item.name == IMAGES for item in self.checklist.lacking())
        for widget in (source, ui.exportSourceLabel):
            widget.visible = bool(lost) and ui.exportFormat.currentData not in FILES
        ui.exportChecks.text = self.checklist.html() if self.checklist.is_current else _("Checking…")
        ui.exportChecks.visible = self.choice() is not None
        self._update_gates()

    def _update_gates(self) -> None:
        problem = self._problem() or ("" if self.checklist.is_current else _("The checklist is being made."))
        nowhere = "" if self._ui.exportPath.currentPath.strip() else _("Choose a file first.")
        self._gate.set(self._ui.saveResult, problem or nowhere)
        kind = self._ui.exportFormat.currentData
        no_dicom = _("A PACS takes DICOM objects only: choose DICOM SEG, RTSTRUCT or the secondary capture under “As”.")
        self.sending.gate_sending(self._problem_before_checks() or (no_dicom if kind in FILES else "") or problem)

    def _problem(self) -> str:
        """Return why nothing can be exported now, empty where it can."""
        return self._problem_before_checks() or self.checklist.problem()

    def _problem_before_checks(self) -> str:
        dicom = self._ui.exportFormat.currentData not in FILES
        if reason := self._session.reasons.exporting(dicom=dicom):
            return reason
        if not self._cases:
            return _("There is no case yet.")
        return "" if self.choice() is not None else _("Choose a segmentation of the scene first.")


def outcome_text(outcome: Outcome) -> str:
    """Return what is said of a job without a result."""
    return _("Cancelled; what was finished is kept.") if outcome.cancelled else f"{outcome.problem} {outcome.remedy}"


def size_words(count: int) -> str:
    """Return a number of bytes in words."""
    return _("{size:.1f} MB").format(size=count / 1e6) if count >= 1e5 else _("{size:.1f} kB").format(size=count / 1e3)
