"""Section 2: the patients of the study."""

from __future__ import annotations

import csv
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import slicer
from slicer.i18n import tr as _

from VQBEGALLib.errors import InputError
from VQBEGALLib.slices import SliceFrame
from VQBEGALLib.study.labelstore import read_index
from VQBEGALPanel import dicomsource
from VQBEGALPanel.exporting import export_labels, export_volume, organ_labels
from VQBEGALPanel.organs import listed
from VQBEGALPanel.sections import Gate, attempt, choose, fill, fill_table, selected_row, set_up_table

if TYPE_CHECKING:
    from VQBEGALLib.study.records import Subject
    from VQBEGALPanel.jobs import Outcome
    from VQBEGALPanel.session import Session


class CasesSection:
    """Add cases and look at them.

    Args:
        ui: the panel's widgets.
        session: what the widgets act on.
        show: brings a case up in the views.
    """

    def __init__(self, ui, session: Session, gate: Gate, show: Callable[[str], None]) -> None:
        self._ui, self._session, self._gate, self._show = ui, session, gate, show
        self._names: list[str] = []
        self._updating = False
        set_up_table(ui.casesTable, [_("Case"), _("CT"), _("MR"), _("Annotated"), _("Prediction"), _("Serves")])
        self._words = {value: text for text, value in splits()}
        for combo in (ui.newSplit, ui.caseSplit):
            fill(combo, splits())
        for selector in (ui.ctVolume, ui.mrVolume):
            selector.connect("currentNodeChanged(vtkMRMLNode*)", lambda _node: self._gate_adding())
        ui.casesTable.connect("itemSelectionChanged()", self._selection_changed)
        ui.casesTable.connect("cellDoubleClicked(int,int)", lambda _row, _column: attempt(self.show)())
        ui.showCase.connect("clicked()", attempt(self.show))
        ui.caseSplit.connect("currentIndexChanged(int)", lambda _index: attempt(self._change_split)())
        ui.removeCase.connect("clicked()", attempt(self.remove))
        ui.addCase.connect("clicked()", attempt(self.add))
        ui.addFolders.connect("clicked()", attempt(self.add_folders))
        ui.openDicom.connect("clicked()", lambda: slicer.util.selectModule("DICOM"))

    def selected(self) -> str:
        """Return the selected case, empty without one."""
        row = selected_row(self._ui.casesTable)
        return self._names[row] if 0 <= row < len(self._names) else ""

    def show(self) -> None:
        """Bring the selected case up."""
        if name := self.selected():
            with slicer.util.WaitCursor():
                self._show(name)

    def remove(self) -> None:
        """Take the selected case out of the study, after asking."""
        name = self.selected()
        if name and slicer.util.confirmOkCancelDisplay(
            _("Remove {case} from the study? Its copies are deleted; the originals stay.").format(case=name)
        ):
            self._session.remove_case(name)

    def add(self) -> None:
        """Copy the volumes that are selected in the scene into the study."""
        ui, session = self._ui, self._session
        name = ui.caseName.text.strip() or self.free_name()
        if name in self._names:
            raise InputError(_("There is already a case {name}.").format(name=name), _("Give this one another name."))
        modality = session.scene.modality("primary")
        nodes = {"CT": ui.ctVolume.currentNode(), "MR": ui.mrVolume.currentNode()}
        primary, auxiliary = nodes.pop(modality), next(iter(nodes.values()))
        reference = ui.referenceSegmentation.currentNode()
        folder = Path(tempfile.mkdtemp(prefix="vqbegal-case-"))
        slicer.util.showStatusMessage(_("Copying the volumes…"), 3000)
        try:
            row = {"case": name, "patient": name, "split": ui.newSplit.currentData}
            for key, node in (("primary", primary), ("auxiliary", auxiliary)):
                if node is not None:
                    path = folder / f"{session.scene.modality(key)}.nrrd"
                    export_volume(node, path)
                    row[key] = str(path)
                    row |= self._images_of(key, node, folder)
            if reference is not None and primary is not None:
                labels, lacking = organ_labels(reference, session.study.config.organs, primary)
                export_labels(labels, primary, folder / "labels.nrrd")
                row["primary_labels"] = str(folder / "labels.nrrd")
                row |= self._values(reference, lacking)
            table = folder / "cases.csv"
            with table.open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, list(row))
                writer.writeheader()
                writer.writerow(row)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        ui.caseName.text = ""
        session.add_cases(["--table", str(table)], temporary=folder, then=self._added)

    def _values(self, reference: slicer.vtkMRMLSegmentationNode, lacking: Sequence[str]) -> dict[str, str]:
        """Return the table's entry for each organ's value in the labels, where there are several organs."""
        organs = self._session.study.config.organs
        if lacking:
            text = _("{name} has no segment called {organs}; the case does not measure that.")
            self._session.say(text.format(name=reference.GetName(), organs=listed(lacking)))
        if len(organs) == 1:
            return {}
        values = [0 if name in lacking else value for value, name in enumerate(organs, 1)]
        return {"primary_values": " ".join(map(str, values))}

    def _images_of(self, key: str, node: slicer.vtkMRMLScalarVolumeNode, folder: Path) -> dict[str, str]:
        """Return the table's entry for the DICOM images that a volume was loaded from, where they are known."""
        files, reason = dicomsource.of_node(node)
        if reason:
            self._session.say(reason)
        if not files:
            return {}
        target = folder / f"{key}-images.txt"
        dicomsource.write_list(files, target)
        return {f"{key}_source": str(target)}

    def _added(self, outcome: Outcome) -> None:
        """Empty the selectors, so that a second click does not add the volumes again."""
        if outcome.result is not None:
            for selector in (self._ui.ctVolume, self._ui.mrVolume, self._ui.referenceSegmentation):
                selector.setCurrentNode(None)

    def add_folders(self) -> None:
        """Copy many cases into the study."""
        ui = self._ui
        fields = (
            ("--table", ui.caseTable),
            ("--primary", ui.primaryFolder),
            ("--auxiliary", ui.auxiliaryFolder),
            ("--primary-labels", ui.referenceFolder),
        )
        given = [(option, field.currentPath.strip()) for option, field in fields if field.currentPath.strip()]
        if given and given[0][0] == "--table":
            given = given[:1]
        self._session.add_cases([text for pair in given for text in pair])

    def update(self) -> None:
        """Show the cases, and grey what cannot be done."""
        study = self._session.study
        keep = self.selected()
        subjects = [] if study is None else [study.subjects[name] for name in sorted(study.subjects)]
        self._names = [subject.name for subject in subjects]
        predictions = {} if study is None else study.predictions()
        rows = [self._row(subject, predictions) for subject in subjects]
        fill_table(self._ui.casesTable, rows)
        if keep in self._names:
            self._ui.casesTable.selectRow(self._names.index(keep))
        self._selection_changed()
        self._gate_adding()
        dicom = "" if hasattr(slicer.modules, "dicom") else _("This application has no DICOM module.")
        self._gate.set(self._ui.openDicom, dicom)
        self._gate.set(self._ui.fromPacs, self._session.reasons.exporting(dicom=True))

    def _row(self, subject: Subject, predictions: dict) -> list[str]:
        study = self._session.study
        slices = {}
        for which in ("primary", "auxiliary"):
            there = subject.image(which) is not None
            count = SliceFrame.of(study.grid(subject.name, which)).count if there else 0
            slices[self._session.scene.modality(which)] = str(count) if there else "–"
        index = read_index(study.folder, subject.name, "primary")
        newest = predictions.get(subject.name)
        return [
            subject.name,
            slices["CT"],
            slices["MR"],
            str(0 if index is None else len(index.annotations)),
            "–" if newest is None else _("round {number}").format(number=newest.round),
            self._words[subject.split],
        ]

    def _selection_changed(self) -> None:
        ui, name = self._ui, self.selected()
        nothing = "" if name else _("Select a case in the table first.")
        against = nothing or self._session.reasons.cases() or self._session.study.in_use(name)
        self._gate.set(ui.showCase, nothing)
        self._gate.set(ui.removeCase, against)
        self._gate.set(ui.caseSplit, against)
        if name:
            self._updating = True
            choose(ui.caseSplit, self._session.study.subjects[name].split)
            self._updating = False

    def _change_split(self) -> None:
        name = self.selected()
        if name and not self._updating:
            try:
                self._session.set_split(name, self._ui.caseSplit.currentData)
            finally:
                self._selection_changed()

    def _gate_adding(self) -> None:
        ui, session = self._ui, self._session
        against = session.reasons.cases()
        reason = against
        if not reason:
            chosen = {"CT": ui.ctVolume, "MR": ui.mrVolume}
            if chosen[session.scene.modality("primary")].currentNode() is None:
                reason = _("Choose the {modality} volume first: it is the one that is segmented.").format(
                    modality=session.scene.modality("primary")
                )
            elif ui.ctVolume.currentNode() is ui.mrVolume.currentNode():
                reason = _("CT and MR are the same volume.")
            ui.caseName.placeholderText = self.free_name()
        self._gate.set(ui.addCase, reason)
        self._gate.set(ui.addFolders, against)

    def free_name(self) -> str:
        """Return the first of P01, P02, … that no case has."""
        number = 1
        while f"P{number:02d}" in self._names:
            number += 1
        return f"P{number:02d}"


def splits() -> list[tuple[str, str]]:
    """Return what a case can serve: text and value."""
    return [(_("training"), "train"), (_("validation"), "validation"), (_("test"), "test")]
