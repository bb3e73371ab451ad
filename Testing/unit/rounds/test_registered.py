"""Which cases' slices are taken to show the same anatomy, and that it is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from VQBEGALLib.config import preset
from VQBEGALLib.events import Event, Reporter
from VQBEGALLib.rounds import Material
from VQBEGALLib.study import Study
from VQBEGALLib.study.membership import NewSubject
from VQBEGALLib.volumes import Volume, write_volume

SHAPE = (4, 32, 32)
SCAN = np.array([[1.5, 0, 0, -20], [0, 1.5, 0, -30], [0, 0, 4, 100], [0, 0, 0, 1]], dtype=np.float64)
TURNED = np.diag((-1.0, -1.0, 1.0, 1.0))
Make = Callable[..., Study]


@pytest.fixture
def make_study(tmp_path: Path, study_settings: dict[str, object]) -> Make:
    """Makes studies of a training case for each pair of affine matrices, the primary's and the auxiliary's."""

    def create(*grids: tuple[np.ndarray, np.ndarray], **changes: object) -> Study:
        generator = np.random.default_rng(0)
        members = []
        for number, affines in enumerate(grids):
            files = [tmp_path / f"{kind}{number}.nii.gz" for kind in ("ct", "mr")]
            for path, affine in zip(files, affines, strict=True):
                write_volume(path, Volume(generator.normal(size=SHAPE).astype(np.float32), affine))
            members.append(NewSubject(f"s{number}", f"s{number}", "train", *files))
        return Study.create(tmp_path / "study", preset("small", {**study_settings, **changes}), members)

    return create


def told(study: Study) -> tuple[Material, list[str]]:
    events: list[Event] = []
    return Material(study, Reporter(events.append)), [
        event["text"] for event in events if "on one grid" in event.get("text", "")
    ]


@pytest.mark.parametrize("grid", [np.eye(4), TURNED], ids=["identity", "turned"])
def test_the_grid_of_a_file_without_header_says_nothing(make_study: Make, grid: np.ndarray) -> None:
    study = make_study((SCAN, SCAN), (grid, grid), (SCAN, grid))
    material, messages = told(study)
    assert {pair.case for pair in material.pairs("train") if pair.aligned} == {"s0"}
    assert len(messages) == 1
    assert messages[0].startswith("Cases with both volumes on one grid: 1 of 3.")
    assert told(study)[1] == []  # once, when slices are prepared


def test_registered_no_means_never(make_study: Make) -> None:
    study = make_study((SCAN, SCAN), registered="no")
    material, messages = told(study)
    pairs = material.pairs("train")
    assert all(pair.partner == "s0" and not pair.aligned for pair in pairs)
    assert messages == []
    study.configure({"registered": "auto"})
    again, _ = told(study)
    assert all(pair.aligned for pair in again.pairs("train"))
    assert again.reader.read(pairs).primary.shape == (4, 32, 32)


def test_a_spacing_of_1_mm_alone_is_a_grid_like_others(make_study: Make) -> None:
    moved = np.eye(4)
    moved[2, 3] = -75
    material, _ = told(make_study((moved, moved)))
    assert all(pair.aligned for pair in material.pairs("train"))
