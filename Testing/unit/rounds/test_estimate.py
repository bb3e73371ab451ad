"""The cost of a round: positive, in proportion to the work, and measured where the round will run."""

from __future__ import annotations

from dataclasses import astuple

import pytest
import torch

from VQBEGALLib.errors import CancelledError, StudyError
from VQBEGALLib.events import Reporter
from VQBEGALLib.rounds import Oracle, estimate, estimating, run
from VQBEGALLib.study import Study

CPU = torch.device("cpu")
QUIET = Reporter()


@pytest.fixture(autouse=True)
def hurry(monkeypatch) -> None:
    """A third of a second is enough to see that the figures make sense."""
    monkeypatch.setattr(estimating, "PATIENCE", 0.3)


def test_a_study_that_is_new_is_measured_on_synthetic_slices(make):
    study = make()
    found = estimate(study, device=CPU, reporter=QUIET)
    assert found.train_seconds >= 0 and found.seconds == pytest.approx(sum(astuple(found)[1:4]), abs=0.2)
    assert 50 < found.memory_mb < 100_000 and (found.available_mb is None or found.available_mb > 0)
    assert found.device.startswith("processor") and "synthetic slices" in found.basis
    assert not list((study.folder).glob("cache/*")) and not study.rounds() and study.check() == []


def test_labelled_slices_are_measured_where_there_are_some(make):
    study = make()
    run(study, strategy_name="random", rounds=1, oracle=Oracle(), device=CPU, reporter=QUIET)
    before = (study.folder / "rounds" / "000" / "round.json").read_bytes()
    assert "slices of this study" in estimate(study, device=CPU, reporter=QUIET).basis
    assert (study.folder / "rounds" / "000" / "round.json").read_bytes() == before


def test_time_grows_with_the_steps(make):
    few, many = (estimate(make(str(steps), steps=steps), device=CPU, reporter=QUIET) for steps in (1000, 100_000))
    assert 10 < many.train_seconds / few.train_seconds < 1000
    assert many.score_seconds < many.train_seconds / 100


def test_a_modality_and_a_pixel_size_of_ones_own_are_measured_too(make):
    study = make(primary_modality="MR", auxiliary_modality="CT", pixel_spacing=20, supervise="both")
    assert estimate(study, device=CPU, reporter=QUIET).seconds >= 0


def test_it_can_be_cancelled_and_needs_a_case(make, tmp_path):
    study = make()
    (tmp_path / "stop").touch()
    with pytest.raises(CancelledError):
        estimate(study, device=CPU, reporter=Reporter(cancel_file=tmp_path / "stop"))
    with pytest.raises(StudyError, match="no training case"):
        estimate(Study.create(tmp_path / "empty", study.config, []), device=CPU, reporter=QUIET)


def test_a_gpu_that_is_too_small_is_left_for_the_processor(make, monkeypatch):
    told, real = [], estimating._measured

    def measured(*words, device: torch.device, **more):
        if device.type != "cpu":
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        return real(*words, device=device, **more)

    monkeypatch.setattr(estimating, "_measured", measured)
    gpu = {"device": torch.device("cuda"), "reporter": Reporter(told.append)}
    with pytest.raises(torch.cuda.OutOfMemoryError):
        estimate(make(), **gpu)
    assert estimate(make("second"), **gpu, fallback=True).device.startswith("processor")
    assert [event["event"] for event in told if event["event"] == "warning"] == ["warning"]
