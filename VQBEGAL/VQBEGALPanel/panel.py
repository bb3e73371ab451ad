"""The panel: puts the sections together and follows the scene; no logic of its own."""

from __future__ import annotations

from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from VQBEGALLib.errors import VQBEGALError
from VQBEGALPanel import dependencies
from VQBEGALPanel.annotating import Annotating
from VQBEGALPanel.casessection import CasesSection, splits
from VQBEGALPanel.caseviewer import CaseViewer
from VQBEGALPanel.exemplarbox import ExemplarBox
from VQBEGALPanel.exportsection import ExportSection
from VQBEGALPanel.pacsdialog import FromPacsDialog
from VQBEGALPanel.parameters import Parameters
from VQBEGALPanel.paths import resource
from VQBEGALPanel.plots import Clicks
from VQBEGALPanel.resultssection import ResultsSection
from VQBEGALPanel.roundsection import RoundSection
from VQBEGALPanel.sections import Gate, attempt
from VQBEGALPanel.servers import Servers
from VQBEGALPanel.serversdialog import ServersDialog
from VQBEGALPanel.session import Session
from VQBEGALPanel.setupframe import Setup
from VQBEGALPanel.slicessection import SlicesSection
from VQBEGALPanel.studysection import StudySection
from VQBEGALPanel.wheel import WheelGuard

SELECTORS = ("ctVolume", "mrVolume", "referenceSegmentation")
"""Selectors whose nodes are saved with the scene; parameter and widget have the same name."""

EDITOR_TAG = "VQBEGAL"
"""Singleton tag of the editor's own parameter set, so that the Segment Editor module keeps its choices."""


class Panel(VTKObservationMixin):
    """Everything that the module shows.

    Args:
        host: the module's widget, with ``layout`` and ``logic``.
    """

    def __init__(self, host) -> None:
        VTKObservationMixin.__init__(self)
        self._host = host
        self._parameters: Parameters | None = None
        self._entered = self._restore_pending = False
        self._unfolded: tuple = ()
        self._sections: tuple = ()
        root = slicer.util.loadUI(str(resource("UI", "VQBEGAL.ui")))
        host.layout.addWidget(root)
        self.ui = ui = slicer.util.childWidgetVariables(root)
        self.root = root
        self.session = session = Session(
            changed=self._changed,
            progressed=self._progressed,
            failed=lambda text: slicer.util.errorDisplay(text),
            confirm=lambda text: slicer.util.confirmOkCancelDisplay(text),
        )
        gate = Gate()
        self.annotating = annotating = Annotating(session)
        self.viewer = viewer = CaseViewer(session)
        self.study = StudySection(ui, session, gate, self._opened)
        self.cases = CasesSection(ui, session, gate, viewer.show_case)
        self.exemplar = ExemplarBox(ui, session, gate)
        self.rounds = RoundSection(ui, session, gate, annotating)
        self.slices = SlicesSection(ui, session, gate, annotating, viewer, self._shown)
        self.results = ResultsSection(ui, session, gate, annotating, viewer)
        servers = Servers(self._changed)
        self.servers_dialog = ServersDialog(session, servers)
        self.export = ExportSection(ui, session, gate, servers, self.servers_dialog)
        self.pacs_dialog = FromPacsDialog(session, servers, self.servers_dialog, self.cases.free_name, splits())
        ui.fromPacs.connect("clicked()", attempt(self.pacs_dialog.show))
        self._sections = (
            self.study,
            self.cases,
            self.exemplar,
            self.rounds,
            self.slices,
            self.results,
            self.export,
            self.pacs_dialog,
        )
        self._wheel = WheelGuard(root, except_in=ui.editor)
        self._clicks = Clicks(attempt(self.slices.select_slice))
        viewer.plotted = self._clicks.follow
        for name in SELECTORS:
            getattr(ui, name).connect(
                "currentNodeChanged(vtkMRMLNode*)", lambda _node, name=name: self._note_selection(name)
            )
        self._setup = Setup(
            ui.setupFrame,
            ui.setupText,
            ui.install,
            ui.setupProgress,
            _("Training needs packages that are not installed yet: {packages}."),
            dependencies.install,
            session.packages_changed,
        )
        ui.keepTime.connect("toggled(bool)", self._keep_time)
        self._select_editor_node()
        root.setMRMLScene(slicer.mrmlScene)
        ui.editor.setMRMLScene(slicer.mrmlScene)
        for event, action in (
            (slicer.mrmlScene.StartCloseEvent, self._scene_closes),
            (slicer.mrmlScene.EndCloseEvent, self._scene_closed),
            (slicer.mrmlScene.StartImportEvent, self._import_starts),
            (slicer.mrmlScene.EndImportEvent, self._scene_imported),
        ):
            self.addObserver(slicer.mrmlScene, event, action)
        self._take_parameters()
        self._changed()
        self._restore_pending = bool(self._parameters.studyFolder)

    # The application's calls

    def enter(self) -> None:
        """Take up work when the module is shown."""
        self._entered = True
        self._take_parameters()
        self._select_editor_node()
        self.ui.editor.turnOffLightboxes()
        self.ui.editor.updateEffectList()
        self.ui.editor.installKeyboardShortcuts()
        self.ui.editor.updateWidgetFromMRML()
        self.session.look_for_packages()
        self.slices.check()
        self._changed()
        self._restore()

    def exit(self) -> None:
        """Leave the views to other modules."""
        self._entered = False
        self.ui.editor.setActiveEffect(None)
        self.ui.editor.uninstallKeyboardShortcuts()
        self.ui.editor.removeViewObservations()
        self._drop_parameters()

    def cleanup(self) -> None:
        """Let go of everything: the module is reloaded, or the application quits."""
        self.removeObservers()
        self._sections = ()
        self._entered = False
        self._drop_parameters()
        editor = self.ui.editor
        editor.setActiveEffect(None)
        editor.uninstallKeyboardShortcuts()
        editor.removeViewObservations()
        editor.setMRMLScene(None)  # an editor that holds the scene crashes the application when it quits
        self.root.setMRMLScene(None)
        self._clicks.stop()
        self.export.stop()
        self.pacs_dialog.close()
        self.servers_dialog.close()
        self.viewer.attention.put_away()
        self.session.errands.stop()
        self.session.close()
        self.viewer.views.forget()

    # The scene

    def _take_parameters(self) -> None:
        """Follow the scene's parameters.

        Selectors are not connected with connectGui: its observer could not be undone in Slicer 5.8 (it returns no tag
        for a set of widgets), and crashes the application once the wrapper has been collected.
        """
        if self._parameters is None:
            self._parameters = parameters = Parameters(self._host.logic.getParameterNode())
            for name in SELECTORS:
                getattr(self.ui, name).setCurrentNode(getattr(parameters, name))
            if self.session.study is not None:
                parameters.studyFolder = str(self.session.study.folder)

    def _drop_parameters(self) -> None:
        self._parameters = None

    def _note_selection(self, name: str) -> None:
        if self._parameters is not None:
            setattr(self._parameters, name, getattr(self.ui, name).currentNode())

    def _select_editor_node(self) -> None:
        """Give the editor its own parameter set in the scene."""
        node = slicer.mrmlScene.GetSingletonNode(EDITOR_TAG, "vtkMRMLSegmentEditorNode")
        if node is None:
            node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLSegmentEditorNode")
            node.UnRegister(None)
            node.SetSingletonTag(EDITOR_TAG)
            node = slicer.mrmlScene.AddNode(node)
        self.ui.editor.setMRMLSegmentEditorNode(node)

    def _scene_closes(self, caller=None, event=None) -> None:
        self._drop_parameters()
        self.slices.leave()
        self.ui.editor.removeViewObservations()
        self.viewer.forget()

    def _scene_closed(self, caller=None, event=None) -> None:
        """Go on with an empty scene: the study is on the disk, and its job goes on."""
        self._select_editor_node()
        if not slicer.mrmlScene.IsBatchProcessing():  # else a scene is loaded next, with parameters of its own
            self._take_parameters()
        self._changed()

    def _import_starts(self, caller=None, event=None) -> None:
        """Let go of the parameters before loading replaces them."""
        self._drop_parameters()
        self.slices.leave()

    def _scene_imported(self, caller=None, event=None) -> None:
        """Take up a loaded scene, once the application has finished with it."""
        self._restore_pending = True
        qt.QTimer.singleShot(0, self._restore)

    def _restore(self) -> None:
        """Take up the study and the slice that a loaded scene was saved with, when the module is shown."""
        if not (self._restore_pending and self._entered):
            return
        self._restore_pending = False
        self._drop_parameters()
        saved = Parameters(self._host.logic.getParameterNode())
        folder, case, index = saved.studyFolder, saved.case, saved.slice
        self._select_editor_node()
        self.viewer.forget()
        open_now = "" if self.session.study is None else str(self.session.study.folder)
        if folder and folder != open_now and self.session.work is None:
            attempt(self.session.open)(Path(folder))
        self._take_parameters()
        self._changed()
        if self.session.study is not None and str(self.session.study.folder) == folder:
            for request in self.annotating.requests():
                if (request.case, request.slice) == (case, index):
                    self.slices.select(request.rank)

    # What the sections tell

    def _opened(self, folder: str) -> None:
        if self._parameters is not None:
            self._parameters.studyFolder = folder
        self.viewer.forget()

    def _shown(self, case: str, index: int) -> None:
        if self._parameters is not None:
            current = self.session.current()
            self._parameters.case, self._parameters.slice = case, index
            self._parameters.round = current.index if current is not None else -1

    def _keep_time(self, on: bool) -> None:
        self.annotating.keep_time = on

    def _progressed(self) -> None:
        if self._sections:
            for section in (self.rounds, self.export, self.pacs_dialog):
                section.update_progress()

    def _changed(self) -> None:
        """Show the session as it is now."""
        if not self._sections:
            return
        try:
            for section in self._sections:
                section.update()
        except VQBEGALError as error:  # the folder was damaged or taken away under the open study
            self.session.give_up()
            slicer.util.errorDisplay(str(error))
        self._setup.update(self.session.missing, self.session.work)
        self.ui.status.text = self._status()
        self._guide()

    def _guide(self) -> None:
        """Unfold the section that comes next and fold those before it, once, when a study gets there."""
        ui, current = self.ui, self.session.current()
        sections = (ui.studySection, ui.casesSection, ui.roundSection, ui.slicesSection, ui.resultsSection)
        if self.session.study is None:
            wanted = sections[:1]
        elif current is None:
            wanted = sections[1:3]
        else:
            wanted = (ui.roundSection, ui.resultsSection if current.trained else ui.slicesSection)
        if wanted != self._unfolded:
            self._unfolded = wanted
            for section in sections:
                section.collapsed = section not in wanted

    def _status(self) -> str:
        """Return the one sentence that says what can be done next."""
        session = self.session
        if session.work is not None:
            return _("{what} is going on in the background.").format(what=session.work.what)
        if reason := session.reasons.round():
            return reason
        current = session.current()
        if current is not None and not current.trained and self.annotating.remaining_text():
            return _("Annotate the slices in section 4, then train.")
        if session.is_begun():
            return _("Train on what is annotated in section 3.")
        if current is None:
            return _("Choose the first slices in section 3.")
        return _("Ready for the next round.")
