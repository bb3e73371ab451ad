"""The slices of the newest round: what is asked for, what has been answered, what the model proposes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from slicer.i18n import tr as _

from VQBEGALLib.slices import SliceFrame

if TYPE_CHECKING:
    from VQBEGALLib.study.records import Request, Status
    from VQBEGALLib.volumes import Volume
    from VQBEGALPanel.session import Session


@dataclass(frozen=True)
class Counter:
    """How much is annotated.

    Args:
        done: slices of the newest round that are answered with Done.
        asked: slices that it asks for.
        used: annotated slices of the study's training cases.
        total: budget in all.
    """

    done: int
    asked: int
    used: int
    total: int


class Annotating:
    """Answers the newest round's requests.

    Args:
        session: with the open study.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._shown_at = time.monotonic()
        self.keep_time = False

    def requests(self) -> tuple[Request, ...]:
        """Return the newest round's requests, by rank."""
        current = self._session.current()
        return () if current is None else current.requests

    def counter(self) -> Counter:
        """Count the round's and the study's annotated slices."""
        asked, budget = self.requests(), self._session.budget()
        return Counter(sum(item.status == "done" for item in asked), len(asked), budget["used"], budget["total"])

    def next_open(self, rank: int) -> int | None:
        """Return the rank of the next open request after a rank, from the top again at the end; None without one."""
        ranks = [item.rank for item in self.requests() if item.status == "open"]
        return next((each for each in ranks if each > rank), next(iter(ranks), None))

    def shown(self) -> None:
        """Start the clock: a slice has come up."""
        self._shown_at = time.monotonic()

    def done(self, request: Request, labelmap: Volume) -> None:
        """Take the slice as it is painted in the annotation; when this returns, it is on the disk.

        Args:
            request: the slice.
            labelmap: the case's annotation, from :meth:`VQBEGALPanel.scene.Scene.labelmap`.

        Raises:
            VQBEGALError: the study cannot be written; the painting stays in the scene.
        """
        study, scene, current = self._session.study, self._session.scene, self._session.current()
        frame = SliceFrame.of(labelmap)
        study.put_labels(
            request.case,
            labelmap,
            [request.slice],
            round=current.index,
            roles={request.slice: request.role},
            axis=frame.axis,
        )
        try:
            study.set_status(current.index, [(request.case, request.slice)], "done")
            scene.has_seen_labels(request.case)
            study.log(self._event(request, current.index, frame.planes(labelmap.voxels)[request.slice]))
        finally:
            self._session.refresh()

    def _event(self, request: Request, index: int, answer: np.ndarray) -> dict[str, object]:
        """Return what the study's log keeps of an answer."""
        event = {"event": "annotated", "round": index, "case": request.case, "slice": request.slice}
        proposal = self._proposal(request)
        if proposal is not None:
            event["proposal_dice"] = round(_agreement(proposal, answer), 4)
        if self.keep_time:
            event["seconds"] = round(time.monotonic() - self._shown_at, 1)
        return event

    def is_empty(self, request: Request, labelmap: Volume) -> bool:
        """Tell whether nothing is painted on the slice."""
        return not self._plane(request, labelmap.voxels).any()

    def set_status(self, request: Request, status: Status) -> None:
        """Skip a request or put it aside.

        Raises:
            VQBEGALError: the study cannot be written.
        """
        study, current = self._session.study, self._session.current()
        if request.status == "done":
            study.remove_labels(request.case, [request.slice])
        study.set_status(current.index, [(request.case, request.slice)], status)
        self._session.refresh()

    def reason_against_proposal(self, request: Request | None) -> str:
        """Return why a slice cannot start from the model's prediction, empty where it can."""
        if reason := self._session.reasons.annotating():
            return reason
        if request is None:
            return _("Select a slice first.")
        if request.status == "done":
            return _("This slice is finished; it is not overwritten.")
        if request.case not in self._session.study.predictions():
            return _("There is no prediction of this case yet; the first network comes with the first training.")
        return ""

    def propose(self, request: Request) -> None:
        """Copy the prediction into the slice of the annotation; all other slices stay.

        The caller saves the editor's state for undo first.
        """
        self._session.scene.put_slice(request.case, request.slice, self._proposal(request))

    def _plane(self, request: Request, voxels: np.ndarray) -> np.ndarray:
        return SliceFrame.of(self._session.study.grid(request.case)).planes(voxels)[request.slice]

    def _proposal(self, request: Request) -> np.ndarray | None:
        """Return the newest prediction of the slice, None without one."""
        predicted = self._session.scene.predicted(request.case)
        return None if predicted is None else self._plane(request, predicted)

    def remaining_text(self) -> str:
        """Return what training now would mean for the requests that are not done, empty where all are."""
        counts = {status: sum(item.status == status for item in self.requests()) for status in ("open", "review")}
        left = sum(counts.values())
        if not left:
            return ""
        return _(
            "{left} of the round's {asked} slices are not done. Training now leaves them out; they may be chosen "
            "again, and do not count."
        ).format(left=left, asked=len(self.requests()))

    def curve(self) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
        """Return (annotated slices, Dice) points: on validation, and of proposals against corrections by round."""
        rounds = self._session.rounds()
        labelled = {item.index: float(item.figures.get("labelled", 0)) for item in rounds if item.trained}
        validation = [
            (labelled[item.index], float(item.metrics["validation"]["summary"]["dice"]["mean"]))
            for item in rounds
            if item.trained and (item.metrics or {}).get("validation")
        ]
        found: dict[int, dict[tuple[str, int], float]] = {}
        for event in self._session.study.events("annotated"):
            if "proposal_dice" in event:  # of a slice that was done twice, the last one counts
                found.setdefault(event["round"], {})[event["case"], event["slice"]] = float(event["proposal_dice"])
        proposals = [
            (labelled[index - 1], float(np.mean([*values.values()])))
            for index, values in sorted(found.items())
            if index - 1 in labelled
        ]
        return validation, proposals

    def by_organ(self) -> dict[str, float]:
        """Return the newest Dice on validation by organ; empty for a single organ, and before the first training."""
        measured = [
            item.metrics["validation"] for item in self._session.rounds() if (item.metrics or {}).get("validation")
        ]
        organs = measured[-1]["summary"].get("organs", {}) if measured else {}
        return {
            name: float(values["dice"]["mean"]) for name, values in organs.items() if values["dice"]["mean"] is not None
        }


def _agreement(proposal: np.ndarray, answer: np.ndarray) -> float:
    """Return the Dice of two planes, the mean over the organs that one of them has; 1 where both are empty."""
    from VQBEGALLib.metrics import dice  # loads scipy, which the panel does without until then

    values = [value for value in np.union1d(proposal, answer) if value]
    return float(np.mean([dice(proposal == value, answer == value) for value in values])) if values else 1.0
