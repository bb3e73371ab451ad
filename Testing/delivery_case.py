"""A study with one case that came from DICOM and has a prediction, for tests of export and sending."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from Testing.dicom_series import PhantomSeries, phantom_series
from VQBEGALLib.config import preset
from VQBEGALLib.delivery import remember_sources
from VQBEGALLib.study import Study
from VQBEGALLib.study.membership import NewSubject
from VQBEGALLib.volumes import Volume, on_grid


@dataclass(frozen=True)
class DeliveryCase:
    """A study, its only case ``P1``, and what its prediction must be.

    Args:
        study: open for reading.
        truth: uint8 0/1 on the grid of the case's CT.
        series: the DICOM files.
    """

    study: Study
    truth: Volume
    series: PhantomSeries

    @property
    def folder(self) -> Path:
        """Of the study."""
        return self.study.folder


def make_case(folder: Path, **options: object) -> DeliveryCase:
    """Write a CT/MR pair and a study of it below a folder; options are those of :func:`phantom_series`."""
    series = phantom_series(folder / "dicom", **{"size": 40, "slices": 12, "shuffled": True, **options})
    member = NewSubject("P1", "P1", "train", series.ct[0].parent, series.mr[0].parent)
    study = Study.create(folder / "study", preset("tiny"), [member])
    remember_sources(study, [member])
    truth = on_grid(series.ct_labels, study.grid("P1"))
    truth = truth.with_voxels((truth.voxels == 1).astype(np.uint8))
    study.put_prediction(0, "P1", truth, [0.1] * truth.shape[0])
    return DeliveryCase(study, truth, series)
