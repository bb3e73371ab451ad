"""Section 1: which study, and its settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import slicer
from slicer.i18n import tr as _

from VQBEGALLib.config import PRESETS, preset
from VQBEGALPanel.choices import cold_starts, has_roles, method_of, methods, strategies
from VQBEGALPanel.organfield import OrganField
from VQBEGALPanel.sections import Gate, attempt, choose, fill, fill_explained

if TYPE_CHECKING:
    from VQBEGALPanel.session import Session

_ROUND_FIXED = ("primaryModality", "preset", "seed", "method")
"""Settings that belong to a study from its creation on."""


class StudySection:
    """New or open a study.

    Args:
        ui: the panel's widgets.
        session: what the widgets act on.
        opened: called with the folder after a study has been opened.
    """

    def __init__(self, ui, session: Session, gate: Gate, opened: Callable[[str], None]) -> None:
        self._ui, self._session, self._gate, self._opened = ui, session, gate, opened
        self._shown: Path | None = None
        self._organs = OrganField(ui, gate)
        fill(ui.primaryModality, [("CT", "CT"), ("MR", "MR")])
        fill(
            ui.preset,
            [
                (_("Laptop (small)"), "small"),
                (_("Graphics card (paper)"), "paper"),
                (_("Trial, minutes only (tiny)"), "tiny"),
            ],
        )
        fill(
            ui.device,
            [
                (_("Automatic"), "auto"),
                (_("Processor"), "cpu"),
                (_("Graphics card (CUDA)"), "cuda"),
                (_("Graphics card (Apple)"), "mps"),
            ],
        )
        fill_explained(ui.method, methods())
        fill_explained(ui.strategy, strategies())
        fill_explained(ui.coldStart, cold_starts())
        fill(ui.routing, [(_("Joint"), "joint"), (_("Soft"), "soft"), (_("Strict (paper)"), "strict")])
        self._recall()
        ui.preset.connect("currentIndexChanged(int)", lambda _index: self._suggest_budget())
        ui.method.connect("currentIndexChanged(int)", lambda _index: self._gate_routing())
        ui.studyPath.connect("currentPathChanged(QString)", lambda _path: self.update())
        ui.createStudy.connect("clicked()", attempt(self.create))
        ui.openStudy.connect("clicked()", attempt(self.open))
        ui.closeStudy.connect("clicked()", attempt(self.close))
        ui.applySettings.connect("clicked()", attempt(self.apply))
        for combo in (ui.device, ui.strategy):
            combo.connect("currentIndexChanged(int)", lambda _index: self._hand_over())
        self._hand_over()

    def folder(self) -> Path | None:
        """Return the folder in the path field, None where it is empty."""
        text = self._ui.studyPath.currentPath.strip()
        return Path(text).expanduser() if text else None

    def create(self) -> None:
        """Make a study in the folder and open it."""
        self._session.create(self.folder(), self._ui.preset.currentData, self._settings())
        self._remember()

    def open(self) -> None:
        """Open the study in the folder."""
        self._session.open(self.folder())
        self._remember()

    def close(self) -> None:
        """Let go of the study."""
        if self._session.work is None or slicer.util.confirmOkCancelDisplay(
            _("{what} is going on. Closing the study ends it; what is finished is kept.").format(
                what=self._session.work.what
            )
        ):
            self._session.close()
            self._opened("")

    def apply(self) -> None:
        """Write changed settings into the open study."""
        settings = self._settings()
        for name in ("organ", "seed", "primary_modality", "auxiliary_modality", "method"):
            settings.pop(name)
        self._session.configure(settings)

    def update(self) -> None:
        """Show the open study's settings, and grey what cannot be done."""
        ui, session = self._ui, self._session
        study = session.study
        self._show_config()
        busy = session.reasons.study()
        folder = self.folder()
        is_study = folder is not None and (folder / "study.json").is_file()
        nowhere = "" if folder is not None else _("Choose a folder first.")
        taken = _("The folder holds a study already: open it.") if is_study else _occupied(folder)
        self._gate.set(ui.createStudy, busy or nowhere or taken)
        already = study is not None and folder is not None and study.folder == folder.resolve()
        self._gate.set(
            ui.openStudy,
            busy
            or nowhere
            or ("" if is_study else _("There is no study in the folder."))
            or (_("This study is open.") if already else ""),
        )
        none = "" if study is not None else _("No study is open.")
        self._gate.set(ui.closeStudy, none)
        self._gate.set(ui.applySettings, none or busy)
        fixed = _("Fixed when the study was created.") if study is not None else ""
        for name in _ROUND_FIXED:
            self._gate.set(getattr(ui, name), fixed)
        self._organs.fix(fixed)
        begun = study is not None and (session.current() is not None or session.budget()["used"] > 0)
        self._gate.set(ui.coldStart, _("The study has begun.") if begun else "")
        self._gate_routing()

    def _gate_routing(self) -> None:
        """Grey the roles where the method has none."""
        ui = self._ui
        without = (
            "" if has_roles(ui.method.currentData) else _("With this method every slice trains the whole network.")
        )
        self._gate.set(ui.routing, without)

    def _show_config(self) -> None:
        study, ui = self._session.study, self._ui
        if study is None or study.folder == self._shown:
            self._shown = None if study is None else self._shown
            return
        self._shown = study.folder
        config = study.config
        ui.studyPath.currentPath = str(study.folder)
        self._organs.show(config.organs)
        for name in PRESETS:
            known = preset(name)
            if (known.network, known.slices.size) == (config.network, config.slices.size):
                choose(ui.preset, name)
        choose(ui.primaryModality, config.slices.primary_modality)
        choose(ui.method, method_of(config))
        choose(ui.coldStart, config.rounds.cold_start)
        choose(ui.routing, config.training.routing)
        ui.roundBudget.value = config.rounds.round_budget
        ui.totalBudget.value = config.rounds.total_budget
        ui.seedBudget.value = config.rounds.seed_budget
        ui.seed.value = config.seed

    def _settings(self) -> dict[str, object]:
        ui = self._ui
        primary = ui.primaryModality.currentData
        return {
            "organ": ", ".join(self._organs.names()),
            "method": ui.method.currentData,
            "cold_start": ui.coldStart.currentData,
            "primary_modality": primary,
            "auxiliary_modality": "MR" if primary == "CT" else "CT",
            "round_budget": ui.roundBudget.value,
            "total_budget": ui.totalBudget.value,
            "seed_budget": ui.seedBudget.value,
            "routing": ui.routing.currentData,
            "seed": ui.seed.value,
        }

    def _suggest_budget(self) -> None:
        if self._session.study is None:
            rounds = preset(self._ui.preset.currentData).rounds
            self._ui.roundBudget.value = rounds.round_budget
            self._ui.totalBudget.value = rounds.total_budget
            self._ui.seedBudget.value = rounds.seed_budget

    def _hand_over(self) -> None:
        self._session.device = self._ui.device.currentData
        self._session.strategy = self._ui.strategy.currentData
        slicer.app.userSettings().setValue("VQBEGAL/Device", self._session.device)

    def _recall(self) -> None:
        settings = slicer.app.userSettings()
        choose(self._ui.device, str(settings.value("VQBEGAL/Device", "auto")))
        self._ui.studyPath.currentPath = str(settings.value("VQBEGAL/Folder", "") or "")
        self._suggest_budget()

    def _remember(self) -> None:
        folder = str(self._session.study.folder)
        slicer.app.userSettings().setValue("VQBEGAL/Folder", folder)
        self._opened(folder)


def _occupied(folder: Path | None) -> str:
    """Return why no study can be made in a folder, empty where it can."""
    try:
        full = folder is not None and folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    except OSError:
        return _("The folder cannot be read.")
    return _("The folder is not empty: choose an empty or a new one.") if full else ""
