"""Studies of the cohort, and answers to what they ask for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from VQBEGALLib.config import preset
from VQBEGALLib.study import Study
from VQBEGALLib.study.cohort import gather

Make = Callable[..., Study]


@pytest.fixture
def make(tmp_path: Path, cohort: Path, study_settings: dict[str, object]) -> Make:
    """Makes studies: ``make("name", steps=5)``."""

    def create(name: str = "study", *, split: Path | None = None, references: bool = True, **changes: object) -> Study:
        labels = {"primary_labels": cohort / "ct_liver", "auxiliary_labels": cohort / "mr_liver"}
        members = gather(
            cohort / "ct", cohort / "mr", split=split or cohort / "split.json", **(labels if references else {})
        )
        return Study.create(tmp_path / name, preset("small", {**study_settings, **changes}), members)

    return create


@pytest.fixture
def by_hand(cohort: Path) -> Callable[..., None]:
    """Labels slices of a case from its reference, as a person would."""

    def put(study: Study, case: str, slices: list[int], status: str = "done") -> None:
        current = study.rounds()[-1]
        asked = {item.slice: item.role for item in current.requests if item.case == case}
        reference = study.reference(case)
        assert reference is not None
        study.put_labels(case, reference, slices, round=current.index, roles=asked)
        study.set_status(current.index, [(case, each) for each in slices if each in asked], status)

    return put
