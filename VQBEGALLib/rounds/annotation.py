"""Who answers a round's requests: in the clinic a person, in experiments an oracle that knows the reference."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from VQBEGALLib.config import Config
from VQBEGALLib.errors import InputError
from VQBEGALLib.events import Reporter
from VQBEGALLib.rounds.exemplar import EXEMPLAR
from VQBEGALLib.rounds.material import by_case
from VQBEGALLib.slices import SliceFrame
from VQBEGALLib.study import Study
from VQBEGALLib.study.records import Request, Round, Subject, Which
from VQBEGALLib.volumes import Volume

SMOOTHNESS = 4.0
"""Width of the boundary noise along the contour, pixels: hands err over stretches, not pixel by pixel."""

_NO_REFERENCE = "Give reference labels when the study is created, or annotate by hand."


@dataclass(frozen=True)
class Oracle:
    """Answers from reference labels, with boundary noise if wanted.

    Args:
        boundary_noise: standard deviation of the contour's displacement, mm; 0 copies the reference.
    """

    boundary_noise: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.boundary_noise <= 50:
            raise InputError(f"The boundary noise is {self.boundary_noise} mm.", "Choose a value from 0 to 50.")

    def check(self, study: Study) -> None:
        """Make sure that every case a round may ask for has reference labels of the organs that they teach.

        Raises:
            InputError: one has none, or they do not know such an organ, which would be trained as background.
        """
        if lost := [case.name for case in study.cases("train") if case.primary_reference is None]:
            shown = ", ".join(lost[:8]) + (f" and {len(lost) - 8} more" if len(lost) > 8 else "")
            raise InputError(f"The oracle cannot answer: there are no reference labels of {shown}.", _NO_REFERENCE)
        for case in study.cases("train"):
            if lost := sorted(_wanted(study, case) - set(study.reference_organs(case.name))):
                raise InputError(
                    f"The oracle cannot answer: the reference labels of {case.name} do not know {', '.join(lost)}.",
                    "Give labels of all organs, or a study of fewer organs.",
                )

    def answer(self, study: Study, round_: Round, reporter: Reporter) -> None:
        """Label every open request of a round in the study and mark it done.

        Raises:
            InputError: a case has no reference.
            CancelledError: a person asked to stop; the labels given so far stay.
        """
        requests = {(item.case, item.slice): item for item in round_.requests if item.status == "open"}
        groups = by_case(requests)
        with reporter.stage("annotate", len(requests), unit="slice") as stage:
            for case, slices in groups.items():
                roles = {index: requests[case, index].role for index in slices}
                self._label(study, case, slices, round_.index, roles, "primary")
                if study.config.training.supervise == "both":
                    self._label_partners(study, [requests[case, index] for index in slices], round_.index)
                study.set_status(round_.index, [(case, index) for index in slices], "done")
                stage.advance(len(slices))

    def _label_partners(self, study: Study, requests: list[Request], index: int) -> None:
        partners = {(item.partner, item.partner_slice): item.role for item in requests if item.partner is not None}
        places = [(name, place) for name, place in partners if name is not None and place is not None]
        wanted = taught(study.config, "auxiliary")
        for name, slices in by_case(places).items():
            if wanted <= set(study.reference_organs(name, "auxiliary")):  # else a slice would be half labelled
                self._label(study, name, slices, index, {place: partners[name, place] for place in slices}, "auxiliary")

    def _label(
        self, study: Study, case: str, slices: list[int], index: int, roles: Mapping[int, str], which: Which
    ) -> None:
        reference = study.reference(case, which)
        if reference is None:
            raise InputError(
                f"The oracle cannot answer for {case!r}: the study has no reference labels of it.",
                _NO_REFERENCE,
            )
        frame = SliceFrame.of(reference)
        draws = (study.config.seed, index, zlib.crc32(f"{which}/{case}".encode()))
        noisy = self._disturb(reference, frame, slices, draws)
        study.put_labels(case, noisy, slices, round=index, roles=roles, axis=frame.axis, which=which)

    def _disturb(self, reference: Volume, frame: SliceFrame, slices: list[int], seed: tuple[int, ...]) -> Volume:
        if self.boundary_noise == 0:
            return reference
        voxels = reference.voxels.copy()
        planes = frame.planes(voxels)
        for index in slices:
            planes[index] = displaced(planes[index], frame.pixel, self.boundary_noise, (*seed, index))
        return reference.with_voxels(voxels)


def taught(config: Config, which: Which) -> set[str]:
    """Return the organs that labels of a modality's slices teach: all, but for CIML with a task map.

    Where CIML has no labels of auxiliary slices, the primary's teach both segmentors on aligned pairs. Round 0 from an
    exemplar is trained by CMEMS, which knows no tasks.
    """
    alone = which == "primary" and config.training.supervise == "primary"
    if config.network.architecture != "ciml" or alone or config.rounds.cold_start == EXEMPLAR:
        return set(config.organs)
    tasks = config.ciml.task_map(config.organs)[0 if which == "primary" else 1]
    return {organ for organ, own in zip(config.organs, tasks, strict=True) if own}


def _wanted(study: Study, case: Subject) -> set[str]:
    """Return the organs that the labels of a case's primary slices teach, once its auxiliary is labelled too."""
    partners = taught(study.config, "auxiliary") <= set(study.reference_organs(case.name, "auxiliary"))
    if case.auxiliary is None or partners:
        return taught(study.config, "primary")
    return set(study.config.organs)  # the auxiliary's slices stay unlabelled, and the primary's stand in for them


def displaced(
    labels: npt.NDArray[np.uint8], pixel: tuple[float, float], deviation: float, seed: tuple[int, ...]
) -> npt.NDArray[np.uint8]:
    """Return a slice (R, C) of a labelmap whose contours are moved, each organ's by a smooth random field of its own.

    Where organs come to lie over each other, a pixel stays with the one whose contour it is deepest in.

    Args:
        labels: one slice; what is empty or fills it stays as it is.
        pixel: row and column spacing, mm.
        deviation: standard deviation of the displacement, mm.
        seed: of the fields; an organ's does not depend on which others are there.
    """
    moved, deepest = np.zeros_like(labels), np.zeros(labels.shape)
    for value in np.unique(labels[labels > 0]).tolist():
        generator = np.random.default_rng(seed if value == 1 else (*seed, value))
        depth = _displaced_depth(labels == value, pixel, deviation, generator)
        moved[depth > deepest] = value
        np.maximum(deepest, depth, out=deepest)
    return moved


def _displaced_depth(
    mask: npt.NDArray[np.bool_], pixel: tuple[float, float], deviation: float, generator: np.random.Generator
) -> npt.NDArray[np.float64]:
    """Return how deep each pixel lies inside the moved contour of a mask that is not empty, mm."""
    if mask.all():
        return np.full(mask.shape, np.inf)
    inside, outside = (ndimage.distance_transform_edt(part, pixel) for part in (mask, ~mask))
    half = min(pixel) / 2  # the contour runs between two pixels, whose centres the transforms measure to
    depth = np.where(mask, inside - half, half - outside)
    noise = ndimage.gaussian_filter(generator.standard_normal(mask.shape), SMOOTHNESS)
    displacement: npt.NDArray[np.float64] = noise * (deviation / noise.std())
    return depth + displacement
