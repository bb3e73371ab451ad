"""What a CIML network takes from the other modality, as a file beside the prediction and in the report."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from VQBEGALLib.events import Reporter
from VQBEGALLib.evidence.attended import attended
from VQBEGALLib.evidence.section import Source
from VQBEGALLib.network import build_network
from VQBEGALLib.rounds import Material, Oracle, run, segment_cases
from VQBEGALLib.rounds.attention import attention_volume
from VQBEGALLib.rounds.steps import load_round
from VQBEGALLib.slices import PlaneGrid, SliceFrame
from VQBEGALLib.study import Study
from VQBEGALLib.volumes import read_volume

CPU = torch.device("cpu")
QUIET = Reporter()


@pytest.fixture
def trained(make):
    """Makes studies with a trained round."""

    def create(**changes: object) -> Study:
        study = make(**changes)
        run(study, strategy_name="random", rounds=1, oracle=Oracle(), device=CPU, reporter=QUIET)
        return study

    return create


def segment(study: Study, *cases: str) -> None:
    with study.writing("segment"):
        segment_cases(Material(study, QUIET), cases, device=CPU, reporter=QUIET)


def test_a_prediction_comes_with_what_was_taken_on_its_own_grid(trained):
    study = trained(method="ciml", beta=0.0)
    segment(study, "s2")
    made = study.predictions()["s2"]
    assert made.attention == made.path.parent / "attention" / "s2.nii.gz"
    volume = read_volume(made.attention)
    assert volume.same_grid(study.grid("s2"))
    assert volume.voxels.dtype == np.uint8
    assert 0 < volume.voxels.max() <= 100
    material, (model, _) = Material(study, QUIET), load_round(study, 0)
    frame = SliceFrame.of(study.grid("s2"))
    pair = [pair for pair in material.pairs("validation") if pair.case == "s2"][9]
    images = material.reader.read([pair])
    with torch.no_grad():
        taken = model.attention(torch.from_numpy(images.primary[None]), torch.from_numpy(images.auxiliary[None])).taken
    expected = 100 * PlaneGrid.of(frame, study.config.slices).to_plane(taken[0].numpy())[0]
    np.testing.assert_allclose(frame.planes(volume.voxels)[pair.slice], expected, atol=0.501)
    assert study.check() == []


def test_it_goes_with_its_prediction(trained):
    study = trained(method="ciml")
    segment(study, "s0", "s2")
    paths = {name: made.attention for name, made in study.predictions().items()}
    study.remove_subjects(["s2"])
    assert paths["s0"].is_file() and not paths["s2"].exists()
    study.drop_predictions(0)
    assert not paths["s0"].exists()


@pytest.mark.parametrize("changes", [{"method": "plain"}, {"method": "ciml", "pairing": "none"}])
def test_where_nothing_can_be_taken_there_is_no_file(trained, changes):
    study = trained(**changes)
    segment(study, "s2")
    assert study.predictions()["s2"].attention is None


def test_organs_are_not_read_off_a_partner_of_another_grid(make):
    study = make(method="ciml")
    material, model = Material(study, QUIET), build_network(study.config, seed=0)
    assert attention_volume(material, model, "s2", device=CPU, reporter=QUIET) is not None
    model.needs_registered = True
    assert attention_volume(material, model, "s2", device=CPU, reporter=QUIET) is None


def test_the_report_shows_it(trained):
    study = trained(method="ciml", beta=0.0)
    (section,) = attended(Source(study, CPU, QUIET))
    assert section.title == "What CIML reads from the other modality"
    (card,) = section.cards
    assert card.title == "s3"
    assert card.picture.png.startswith(b"\x89PNG")
    assert card.lines[-1].startswith("Taken on these slices, on average: ")
    assert not section.notes


def test_the_report_says_why_it_cannot_be_shown(make, trained):
    (section,) = attended(Source(make("new", method="ciml"), CPU, QUIET))
    assert section.notes == ["No round is trained yet, or there is no patient to show it on."]
    (section,) = attended(Source(trained(method="ciml", pairing="none"), CPU, QUIET))
    assert section.notes == ["No test patient has a partner (MR) that the network may use."]
    assert attended(Source(make("other"), CPU, QUIET)) == []
