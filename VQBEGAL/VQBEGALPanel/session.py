"""What the panel can do: one open study, at most one job in the background, and reasons for what cannot be done.

No widgets, and no torch: training and scoring are the job's affair. While a study is open here it is held for
writing, so that a second application is told; a job gets it for as long as it runs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from VQBEGALLib.config import preset
from VQBEGALLib.delivery import remove_cases
from VQBEGALLib.errors import StudyError, VQBEGALError
from VQBEGALLib.study import Study
from VQBEGALLib.study.records import Round, Split
from VQBEGALPanel import dependencies
from VQBEGALPanel.estimate import Estimate
from VQBEGALPanel.jobs import Event, Job, Outcome, threads
from VQBEGALPanel.reasons import Reasons
from VQBEGALPanel.scene import Scene
from VQBEGALPanel.work import Errands, Work, log_line


class Session:
    """The open study and what goes on with it.

    Args:
        changed: called after anything changed that the panel shows.
        progressed: called when only the job's progress or the log did.
        failed: told of a problem that a person should see: what is wrong and what to do.
        confirm: asks a person; returns whether to go on.
    """

    def __init__(
        self,
        *,
        changed: Callable[[], None],
        progressed: Callable[[], None],
        failed: Callable[[str], None],
        confirm: Callable[[str], bool],
    ) -> None:
        self._changed, self._progressed, self._failed, self._confirm = changed, progressed, failed, confirm
        self.study: Study | None = None
        self.scene: Scene | None = None
        self.work: Work | None = None
        self.log: list[str] = []
        self.estimate: Estimate | None = None
        self.advice = ""
        self.strategy = "vq_begal"
        self.device = "auto"
        self.errands = Errands()
        self.look_for_packages()
        self.reasons = Reasons(self)
        self._hold = ExitStack()
        self._read: dict[str, Any] = {}

    def look_for_packages(self) -> None:
        """See which packages are not installed: those of the training, and those of DICOM and PACS."""
        self.missing, self.missing_for_export = dependencies.missing(), dependencies.missing_for_export()

    def packages_changed(self) -> None:
        """Look for the packages again, and tell."""
        self.look_for_packages()
        self.refresh()

    def refresh(self) -> None:
        """Forget what has been read of the study, and tell that something changed."""
        self._read.clear()
        self._changed()

    # The study

    def create(self, folder: Path, preset_name: str, changes: Mapping[str, object]) -> None:
        """Make a study without cases and open it.

        Raises:
            VQBEGALError: the folder or a setting cannot be used.
        """
        Study.create(folder, preset(preset_name, changes), [])
        self.open(folder)

    def open(self, folder: Path) -> None:
        """Open a study and hold it.

        Raises:
            VQBEGALError: there is no study, it is damaged, or somebody else is writing to it.
        """
        study = Study.open(folder)
        with ExitStack() as hold:
            hold.enter_context(study.writing("3D Slicer"))
            self.close()
            self._hold = hold.pop_all()
        self.study, self.scene, self.estimate, self.advice = study, Scene(study), None, ""
        self.refresh()

    def close(self) -> None:
        """Let go of the study; a job that is going on is ended, and can be resumed."""
        if self.work is not None:
            self.work.job.stop()
            self.work.tidy()
            self.work = None
        self.give_up()
        self.refresh()

    def give_up(self) -> None:
        """Let go of the study without a word; its folder may have been damaged or taken away."""
        self._read.clear()
        self._hold.close()
        self.study = self.scene = None

    def configure(self, changes: Mapping[str, object]) -> None:
        """Change settings of the open study.

        Raises:
            VQBEGALError: a setting cannot be changed any more, or the disk refuses.
        """
        self._open_study().configure(changes)
        self.estimate = None
        self.refresh()

    def set_split(self, case: str, split: Split) -> None:
        """Let a case serve something else; a VQBEGALError says why it cannot."""
        self._open_study().set_split(case, split)
        self.refresh()

    def remove_case(self, case: str) -> None:
        """Take a case out of the study; a VQBEGALError says why it cannot."""
        remove_cases(self._open_study(), [case])
        self.refresh()

    def rounds(self) -> list[Round]:
        """Return the study's rounds, read once after every change; empty without a study."""
        if self.study is None:
            return []
        if "rounds" not in self._read:
            self._read["rounds"] = self.study.rounds()
        return self._read["rounds"]

    def budget(self) -> dict[str, int]:
        """Return ``total``, ``used`` and ``left`` slices, read once after every change; zeros without a study."""
        if self.study is None:
            return {"total": 0, "used": 0, "left": 0}
        if "budget" not in self._read:
            self._read["budget"] = self.study.ledger()["budget"]
        return self._read["budget"]

    def current(self) -> Round | None:
        """Return the newest round, None where there is none."""
        return next(reversed(self.rounds()), None)

    def is_begun(self) -> bool:
        """Tell whether the study begins with annotated slices, and its first network is not trained yet."""
        begins = self.study is not None and self.study.config.rounds.cold_start == "exemplar"
        return begins and self.current() is None and self.budget()["used"] > 0

    def scores(self, case: str) -> dict[int, float]:
        """Return the newest round's scores of a case by slice; empty where the round was chosen without a network."""
        current = self.current()
        if current is None:
            return {}
        if "scores" not in self._read:
            self._read["scores"] = self.study.scores(current.index)
        return self._read["scores"].get(case, {})

    def _open_study(self) -> Study:
        if self.study is None:
            raise StudyError(_("No study is open."), _("Create or open one in section 1."))
        return self.study

    def say(self, text: str) -> None:
        """Write a line into the log."""
        self.log.append(text)
        self._progressed()

    # Jobs

    def add_cases(
        self,
        source: Sequence[str],
        *,
        temporary: Path | None = None,
        then: Callable[[Outcome], None] = lambda _outcome: None,
    ) -> None:
        """Copy cases into the study in the background.

        Args:
            source: options of ``vqbegal study add``.
            temporary: folder that the files were written to for this; it is deleted at the end.
            then: called with the outcome.
        """
        folder = str(self._open_study().folder)
        self.start(_("Adding cases"), ["study", "add", folder, *source], then, temporary=temporary)

    def next_round(self, *, only_train: bool = False) -> None:
        """Train where there are labels, then score and select; a long run asks first."""
        if self.estimate is None and (self.current() is not None or self.is_begun()):
            self.measure(lambda: self._advance(only_train))
        else:
            self._advance(only_train)

    def _advance(self, only_train: bool) -> None:
        cost = self.estimate
        if (
            cost is not None
            and cost.is_worth_asking
            and not self._confirm(_("{cost} Start now?").format(cost=cost.text()))
        ):
            return
        options = ["--only-train"] if only_train else ["--strategy", self.strategy]
        self.start(_("Next round"), self._command("advance", *options), self._advanced)

    def _advanced(self, outcome: Outcome) -> None:
        if outcome.result is not None:
            self.advice = " ".join(str(outcome.result[key]) for key in ("stopped", "advice") if outcome.result.get(key))

    def segment(self, cases: Sequence[str]) -> None:
        """Apply the newest network to cases; to all without any."""
        self.start(_("Segmenting"), self._command("segment", *cases), lambda outcome: None)

    def measure(self, go_on: Callable[[], None] = lambda: None) -> None:
        """Estimate time and memory of the next round, then go on where that was not cancelled."""

        def then(outcome: Outcome) -> None:
            if outcome.result is not None:
                self.estimate = Estimate.of(outcome.result)
                go_on()

        self.start(_("Estimating"), self._command("estimate"), then)

    def cancel(self) -> None:
        """Ask the job to stop; what is finished is kept."""
        if self.work is not None:
            self.work.job.cancel()
            self.refresh()

    def _command(self, name: str, *options: str) -> list[str]:
        return [name, str(self._open_study().folder), *options, "--device", self.device, "--threads", str(threads())]

    def start(
        self,
        what: str,
        arguments: Sequence[str],
        then: Callable[[Outcome], None],
        *,
        temporary: Path | None = None,
        told: Mapping[str, Any] | None = None,
    ) -> None:
        """Start a job that works on the open study.

        Args:
            what: for the status line, for example ``Training``.
            arguments: of the command.
            then: called with the outcome once the study is held again.
            temporary: folder that goes when the job has ended.
            told: what the process reads from its standard input.
        """
        self._hold.close()
        self.work = Work(what, Job(arguments, self._event, self._ended, told), then, temporary)
        self.log.append(f"— {what}")
        try:
            self.work.job.start()
        except OSError as error:
            self.work = None
            self._take_hold()
            self._failed(_("The work cannot be started: {error}.").format(error=error))
        self.refresh()

    def _event(self, event: Event) -> None:
        kind = event.get("event")
        if kind in ("stage", "progress") and self.work is not None:
            progress = self.work.progress
            progress.stage = str(event["stage"])
            progress.done, progress.total = int(event["done"]), int(event["total"])
            progress.seconds_left = event.get("seconds_left")
        if line := log_line(event):
            self.log.append(line)
        self._progressed()

    def _ended(self, outcome: Outcome) -> None:
        work, self.work = self.work, None
        if work is None:
            return
        work.tidy()
        if self._take_hold():
            told = _("cancelled; what was finished is kept") if outcome.cancelled else outcome.problem or _("done")
            self.log.append(f"{work.what}: {told}")
            work.then(outcome)
        if outcome.problem:
            self.look_for_packages()
        self.refresh()
        if outcome.problem:
            told = f"{outcome.problem} {outcome.remedy}".strip()
            self._failed(told if work.temporary is None else told.replace(f"{work.temporary}{os.sep}", ""))

    def _take_hold(self) -> bool:
        """Hold the study again after a job; where somebody else was quicker it is closed, and a person told."""
        try:
            self._hold.enter_context(self._open_study().writing("3D Slicer"))
        except VQBEGALError as error:
            self.give_up()
            self._failed(str(error))
            return False
        return True
