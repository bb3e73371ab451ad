"""A study whose encoders begin with weights from a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from VQBEGALLib.cli import main
from VQBEGALLib.config import Config, preset
from VQBEGALLib.errors import InputError, StudyError
from VQBEGALLib.events import Reporter
from VQBEGALLib.network import build_network
from VQBEGALLib.network.storage import save_model
from VQBEGALLib.rounds import load_round
from VQBEGALLib.rounds.starting import initial_network
from VQBEGALLib.study import Study
from VQBEGALLib.study.encoderstore import weights
from VQBEGALLib.study.studyfile import write_state

CPU = ["--device", "cpu"]


def listening() -> tuple[Reporter, list[str]]:
    """A reporter, and what a person is told by it."""
    told: list[str] = []
    return Reporter(lambda event: told.append(event.get("text", ""))), told


@pytest.fixture
def config(study_settings: dict[str, object]) -> Config:
    """Settings of CMC with frozen encoders."""
    return preset("small", {**study_settings, "method": "cmc", "freeze_encoders": True, "steps": 2})


@pytest.fixture
def file(tmp_path: Path, config: Config) -> Path:
    """Weights of another network of the same sizes."""
    path = tmp_path / "other" / "model.safetensors"
    path.parent.mkdir()
    save_model(path, build_network(config, seed=9), config)
    return path


def create(folder: Path, cohort: Path, settings: dict[str, object], *options: str) -> int:
    words = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    volumes = ["--primary", str(cohort / "ct"), "--auxiliary", str(cohort / "mr")]
    volumes += ["--primary-labels", str(cohort / "ct_liver"), "--split", str(cohort / "split.json")]
    return main(["study", "create", str(folder), *volumes, *words, *options])


def test_every_round_begins_with_the_file(
    tmp_path: Path, cohort: Path, study_settings: dict[str, object], file: Path, config: Config
) -> None:
    folder = tmp_path / "study"
    settings = {**study_settings, "steps": 2, "freeze_encoders": "true", "method": "cmc"}
    assert create(folder, cohort, settings, "--encoder-weights", str(file)) == 0
    file.unlink()
    assert main(["run", str(folder), "--rounds", "2", "--strategy", "random", *CPU]) == 0
    source = build_network(config, seed=9).state_dict()
    for index in range(2):
        found = load_round(Study.open(folder), index)[0].state_dict()
        frozen = [name for name in found if name.startswith("encoder_") and "adapters" not in name]
        assert frozen
        assert all(torch.equal(found[name], source[name]) for name in frozen)
        assert not torch.equal(found["decoder.head.weight"], source["decoder.head.weight"])
    assert main(["check", str(folder)]) == 0


def test_the_copy_is_known_by_its_digest(tmp_path: Path, config: Config, file: Path) -> None:
    study = Study.create(tmp_path / "study", config, [], encoder_weights=file)
    record = json.loads((study.folder / "encoder" / "weights.json").read_text(encoding="utf-8"))
    assert record["path"] == "encoder/weights.safetensors"
    assert record["name"] == "model.safetensors"
    assert str(tmp_path) not in json.dumps(record)
    path = weights(study.folder)
    assert path is not None
    assert path.read_bytes() == file.read_bytes()
    assert study.check() == []
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(StudyError, match=r"weights\.safetensors has changed"):
        weights(study.folder)
    assert [finding.level for finding in study.check()] == ["error"]
    path.unlink()
    assert [finding.level for finding in study.check()] == ["error"]


def test_a_file_that_does_not_fit_makes_no_study(
    tmp_path: Path, cohort: Path, study_settings: dict[str, object], file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wide = {**study_settings, "base_channels": 8, "method": "cmc"}
    assert create(tmp_path / "study", cohort, wide, "--encoder-weights", str(file)) == InputError.exit_code
    assert "in the file of encoder weights and" in capsys.readouterr().err
    assert not (tmp_path / "study").exists()
    pickled = ["--encoder-weights", str(tmp_path / "sam.pth")]
    assert create(tmp_path / "study", cohort, study_settings, *pickled) == InputError.exit_code
    assert "is a pickle" in capsys.readouterr().err
    assert not (tmp_path / "study").exists()


def test_frozen_random_encoders_are_told(tmp_path: Path, config: Config) -> None:
    reporter, told = listening()
    assert initial_network(Study.create(tmp_path / "study", config, []), config, reporter) is None
    assert "they stay random" in told[0]


def test_a_round_of_another_method_leaves_the_weights_out(tmp_path: Path, config: Config, file: Path) -> None:
    study = Study.create(tmp_path / "study", config, [], encoder_weights=file)
    reporter, told = listening()
    assert initial_network(study, config.replace({"architecture": "cmems"}), reporter) is None
    assert "left to the rounds of its own method" in told[0]
    assert initial_network(study, config, reporter) is not None
    assert "tensors taken as they are" in told[1]


def test_settings_changed_since_are_told(tmp_path: Path, config: Config, file: Path) -> None:
    study = Study.create(tmp_path / "study", config, [], encoder_weights=file)
    wide = config.replace({"base_channels": 8})
    write_state(study.folder, wide, {})
    with pytest.raises(InputError, match="in the file of encoder weights and"):
        initial_network(Study.open(study.folder), wide, Reporter())
