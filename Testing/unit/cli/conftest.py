"""A small cohort, studies made of it, and the command line as a function."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from VQBEGALLib.cli import main
from VQBEGALLib.study import Study

if TYPE_CHECKING:
    from Testing.conftest import Call


@pytest.fixture(scope="session")
def create(study_settings: dict[str, object]) -> Callable[..., list[str]]:
    """The options of ``study create`` for the whole cohort with settings that train in a second.

    ``create(cohort, steps=5)`` changes a setting.
    """

    def arguments(cohort: Path, **changes: object) -> list[str]:
        settings = {**study_settings, "steps": 12, **changes}
        return [
            *("--primary", str(cohort / "ct"), "--auxiliary", str(cohort / "mr")),
            *("--primary-labels", str(cohort / "ct_liver"), "--auxiliary-labels", str(cohort / "mr_liver")),
            *("--split", str(cohort / "split.json")),
            *(word for name, value in settings.items() for word in ("--set", f"{name}={value}")),
        ]

    return arguments


@pytest.fixture(scope="session")
def ready(tmp_path_factory: pytest.TempPathFactory, cohort: Path, create: Callable[..., list[str]]) -> dict[str, Path]:
    """Two studies to copy: ``new`` without a round, ``trained`` with round 0 finished."""
    folder = tmp_path_factory.mktemp("studies")
    new, trained = folder / "new", folder / "trained"
    assert main(["study", "create", str(new), *create(cohort)]) == 0
    shutil.copytree(new, trained)
    assert main(["run", str(trained), "--rounds", "1", "--device", "cpu"]) == 0
    return {"new": new, "trained": trained}


@pytest.fixture
def new(tmp_path: Path, ready: dict[str, Path]) -> Path:
    """A study without a round."""
    return Path(shutil.copytree(ready["new"], tmp_path / "new"))


@pytest.fixture
def trained(tmp_path: Path, ready: dict[str, Path]) -> Path:
    """A study whose round 0 is trained and validated."""
    return Path(shutil.copytree(ready["trained"], tmp_path / "trained"))


@pytest.fixture
def digest() -> Callable[[Path], dict[str, str]]:
    """What a study holds, file by file; the lock, which is not content, and the cache, which may go, aside."""

    def of(study: Path) -> dict[str, str]:
        files = [path for path in sorted(study.rglob("*")) if path.is_file()]
        return {
            name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in files
            if (name := path.relative_to(study).as_posix()) != "lock" and not name.startswith("cache/")
        }

    return of


@pytest.fixture
def label(call: Call, cohort: Path) -> Callable[[Path], None]:
    """Answers all open requests of a study by hand, case by case."""

    def answer(study: Path) -> None:
        requests = Study.open(study).rounds()[-1].requests
        for case in sorted({item.case for item in requests}):
            slices = ",".join(str(item.slice) for item in requests if item.case == case)
            told = call("label", study, case, cohort / "ct_liver" / f"{case}.nii.gz", "--slices", slices)
            assert told.code == 0, told.err

    return answer
