"""The diagnostic pictures: their numbers on made-up data, and all of them on a benchmark run for a moment."""

from __future__ import annotations

import io
import math
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib import image as images

from VQBEGALLib.config import NetworkSettings, preset
from VQBEGALLib.errors import CancelledError, InputError
from VQBEGALLib.events import Reporter
from VQBEGALLib.evidence import correlates, discriminated, embedding, entropies, picked
from VQBEGALLib.evidence.codebooks import CodeUse
from VQBEGALLib.evidence.diagnostics import diagnostics
from VQBEGALLib.evidence.discriminated import Judgement
from VQBEGALLib.evidence.entropies import CLEAN, FEATURES, IMAGES, NoiseTest
from VQBEGALLib.evidence.noise import noisy_features, noisy_images
from VQBEGALLib.evidence.runs import find_runs
from VQBEGALLib.evidence.snapshot import Snapshot, snapshot, spread, with_partner
from VQBEGALLib.network import build
from VQBEGALLib.rounds import Oracle, run
from VQBEGALLib.slices import SliceFrame, prepare_masks
from VQBEGALLib.study import Study
from VQBEGALLib.study.cohort import gather
from VQBEGALLib.study.membership import NewSubject
from VQBEGALLib.study.roundstore import MODEL

CPU = torch.device("cpu")
QUIET = Reporter()
TITLES = [
    "Do the modalities share features?",
    "What the discriminator sees",
    "Codebook",
    "Uncertainty under noise",
    "What the entropy picks",
    "Where each strategy picks",
]
RUNS: dict[tuple[str, int], dict[str, object]] = {
    ("vq_begal", 0): {},
    ("vq_begal", 1): {},
    ("random", 0): {},
    ("unet_egal", 0): {"quantize": False},
}
Changed = Callable[..., Snapshot]


def members(cohort: Path) -> list[NewSubject]:
    labels = {"primary_labels": cohort / "ct_liver", "auxiliary_labels": cohort / "mr_liver"}
    return gather(cohort / "ct", cohort / "mr", split=cohort / "split.json", **labels)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, cohort: Path, study_settings: dict[str, object]) -> Path:
    """A results folder of four runs of two rounds."""
    results = tmp_path_factory.mktemp("results")
    lines = ["cohort,arm,seed,budget,case,slice,position,score,role,foreground"]
    for (arm, seed), changes in RUNS.items():
        folder = results / "runs" / "ct" / arm / f"seed{seed}"
        study = Study.create(folder, preset("small", {**study_settings, **changes, "seed": seed}), members(cohort))
        strategy = arm.removeprefix("unet_")
        run(study, strategy_name=strategy, rounds=2, oracle=Oracle(), device=CPU, reporter=QUIET)
        for round_ in study.rounds():
            for item in round_.requests:
                frame = SliceFrame.of(study.grid(item.case))
                organ = frame.planes(study.reference(item.case).voxels)[item.slice].any()
                row = [item.case, item.slice, frame.height(item.slice), item.score or "", item.role, organ]
                lines.append(",".join(map(str, ["ct", arm, seed, (20, 35)[round_.index], *row])))
    (results / "picks.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return results


@pytest.fixture
def results(made: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(made, tmp_path / "results"))


@pytest.fixture(scope="module")
def last(made: Path) -> Snapshot:
    """The last network of the method's first run."""
    return snapshot(Study.open(made / "runs" / "ct" / "vq_begal" / "seed0"), 1, device=CPU, reporter=QUIET)


@pytest.fixture
def with_network(last: Snapshot) -> Changed:
    """Makes snapshots of the same study with an untrained network of other settings."""

    def make(**changes: object) -> Snapshot:
        settings = last.study.config.replace(changes).network
        model = build(settings, seed=3).eval()
        return Snapshot(last.study, last.index, model, last.material, CPU, QUIET)

    return make


def brute_mixing(vectors: np.ndarray, auxiliary: np.ndarray, volumes: np.ndarray, neighbours: int) -> float:
    shares = []
    for i, vector in enumerate(vectors):
        others = [j for j in range(len(vectors)) if volumes[j] != volumes[i]]
        near = sorted(others, key=lambda j: float(np.linalg.norm(vectors[j] - vector)))[:neighbours]
        shares += [auxiliary[j] != auxiliary[i] for j in near]
    return float(np.mean(shares))


def test_mixing_equals_a_double_loop():
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(40, 3))
    auxiliary, volumes = np.arange(40) % 3 == 0, np.arange(40) % 7
    mixed, chance = embedding.mixing(vectors, auxiliary, volumes, generator=generator, neighbours=5)
    assert mixed == pytest.approx(brute_mixing(vectors, auxiliary, volumes, 5))
    candidates = [[auxiliary[j] != auxiliary[i] for j in range(40) if j % 7 != i % 7] for i in range(40)]
    assert chance == pytest.approx(np.mean([np.mean(row) for row in candidates]))


def test_modalities_far_apart_do_not_mix_and_equal_ones_mix_by_chance():
    generator = np.random.default_rng(1)
    auxiliary, volumes = np.arange(200) % 2 == 1, np.arange(200)
    apart = auxiliary[:, None] * 100 + generator.normal(size=(200, 4))
    assert embedding.mixing(apart, auxiliary, volumes, generator=generator)[0] == 0
    mixed, chance = embedding.mixing(np.zeros((200, 4)), auxiliary, volumes, generator=generator)
    assert chance == pytest.approx(100 / 199)
    assert mixed == pytest.approx(chance, abs=0.05)  # all equally far: drawn at random, not in the order of the rows


def test_slices_of_one_volume_are_nobodys_neighbours():
    mixed, chance = embedding.mixing(
        np.zeros((6, 2)), np.zeros(6, bool), np.zeros(6, np.int64), generator=np.random.default_rng(0)
    )
    assert math.isnan(mixed) and math.isnan(chance)


def test_tsne_is_the_same_each_time_and_keeps_groups_apart():
    groups = np.repeat([0.0, 50.0], 20)[:, None] + np.random.default_rng(0).normal(size=(40, 5))
    points, perplexity = embedding.tsne(groups, seed=4)
    assert perplexity == 13
    assert np.array_equal(points, embedding.tsne(groups, seed=4)[0])
    centres = points[:20].mean(axis=0), points[20:].mean(axis=0)
    within = max(
        np.linalg.norm(points[:20] - centres[0], axis=1).max(), np.linalg.norm(points[20:] - centres[1], axis=1).max()
    )
    assert np.linalg.norm(centres[0] - centres[1]) > within


def test_tsne_of_a_collapsed_codebook_is_finite():
    assert np.isfinite(embedding.tsne(np.ones((12, 5)), seed=0)[0]).all()


def test_vectors_are_the_mean_maps_of_each_slice_once(last):
    vectors, auxiliary, volumes = embedding.slice_vectors(last)
    pairs = last.material.pairs("train")
    partners = {(pair.partner, pair.partner_slice) for pair in pairs}
    assert (~auxiliary).sum() == len(pairs)
    assert auxiliary.sum() == len(partners) < len(pairs)
    assert len(np.unique(volumes)) == 4  # CT and MR of two patients
    x_c, x_m = (
        torch.from_numpy(each[:, None])
        for each in vars(last.material.reader.read(pairs[:1])).values()
        if each.ndim == 3
    )
    with torch.inference_mode():
        encoding = last.model.encode_pairs(x_c, x_m)
    assert vectors[0] == pytest.approx(encoding.z_c[0].mean(dim=(1, 2)).numpy(), abs=1e-5)
    assert vectors[1] == pytest.approx(encoding.z_m[0].mean(dim=(1, 2)).numpy(), abs=1e-5)


def test_ranks_and_overlaps_by_hand():
    nan = math.nan
    assert entropies.spearman(np.array([1.0, 2, 3, nan]), np.array([10.0, 20, 15, 0])) == pytest.approx(0.5)
    assert math.isnan(entropies.spearman(np.ones(5), np.arange(5.0)))
    assert math.isnan(entropies.spearman(np.array([1.0, 2, nan]), np.array([1.0, nan, 2])))
    a, b = frozenset({("s", 1), ("s", 2), ("t", 1)}), frozenset({("s", 2), ("t", 1), ("t", 2)})
    assert entropies.jaccard(a, b) == 0.5
    assert entropies.jaccard(frozenset(), frozenset()) == 1


def test_a_noise_test_compares_with_the_clean_slices():
    clean = np.arange(100.0)
    chosen = frozenset(("s", n) for n in range(90, 100))
    test = NoiseTest(
        "x",
        {CLEAN: clean, IMAGES: clean + 50, FEATURES: -clean},
        {CLEAN: chosen, IMAGES: chosen, FEATURES: frozenset()},
    )
    assert test.rank_correlation(IMAGES) == pytest.approx(1)
    assert test.rank_correlation(FEATURES) == pytest.approx(-1)
    assert test.shift(IMAGES) == pytest.approx(0.5)
    assert (test.overlap(IMAGES), test.overlap(FEATURES)) == (1, 0)
    assert test.chance == pytest.approx(1 / 19)  # an expected intersection of 1 in a union of 19


def test_chance_is_what_random_choices_overlap():
    generator = np.random.default_rng(0)
    sets = [frozenset(("s", int(n)) for n in generator.permutation(60)[:12]) for _ in range(400)]
    found = np.mean([entropies.jaccard(a, b) for a, b in zip(sets[::2], sets[1::2], strict=True)])
    test = NoiseTest("x", {CLEAN: np.arange(60.0)}, {CLEAN: sets[0]})
    assert test.chance == pytest.approx(found, abs=0.01)


@pytest.mark.parametrize("strategy", ["vq_begal", "max_entropy"])
def test_no_noise_changes_nothing_and_much_noise_a_lot(last, strategy):
    before = {name: value.clone() for name, value in last.model.state_dict().items()}
    same = entropies.under_noise(last, strategy, image_sigma=0, feature_sigma=0)
    noisy = entropies.under_noise(last, strategy, image_sigma=2, feature_sigma=5)
    for condition in (IMAGES, FEATURES):
        assert np.array_equal(same.scores[condition], same.scores[CLEAN])
        assert same.overlap(condition) == 1
        assert noisy.rank_correlation(condition) < 0.9
    assert np.array_equal(noisy.scores[CLEAN], same.scores[CLEAN])
    assert all(torch.equal(before[name], value) for name, value in last.model.state_dict().items())


def test_strategies_without_scores_give_no_noise_test(last):
    assert entropies.under_noise(last, "random") is None


def test_noise_on_images_has_its_size_on_both_slices(last):
    pairs = with_partner(last.material.pairs("train"))
    clean, noisy = (reader.read(pairs) for reader in (last.material.reader, noisy_images(last.material.reader, 0.2)))
    for which in ("primary", "auxiliary"):
        difference = getattr(noisy, which) - getattr(clean, which)
        assert difference.std() == pytest.approx(0.2, rel=0.05)


def test_noise_on_features_has_its_size_repeats_and_ends_with_the_context(last):
    x = torch.rand(4, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        clean = last.model.encoder_c(x)
        found = []
        for _ in range(2):
            with noisy_features(last.model, 0.5, seed=7):
                found.append(last.model.encoder_c(x))
        after = last.model.encoder_c(x)
    for one, two, plain in zip(*((each.features, *each.skips) for each in (*found, clean)), strict=True):
        assert torch.equal(one, two)
        assert float((one - plain).std() / plain.std()) == pytest.approx(0.5, rel=0.1)
    assert torch.equal(after.features, clean.features)


def test_a_judgement_counts_right_and_doubtful():
    found = Judgement(np.array([0.95, 0.6, 0.2, 0.5]), np.array([0.05, 0.3, 0.92, 0.04]))
    assert found.right == pytest.approx((2 + 0.5 + 3) / 8)
    assert found.doubtful == pytest.approx(4 / 8)


def test_the_discriminator_is_shown_clean_noisy_and_blank_slices(last):
    pairs = with_partner(last.material.pairs("train"))
    images_ = last.material.reader.read(pairs)
    with torch.inference_mode():
        encoding = last.model.encode_pairs(
            *(torch.from_numpy(x[:, None]) for x in (images_.primary, images_.auxiliary))
        )
        p = [last.model.discriminator(z).double().softmax(dim=1)[:, 0].numpy() for z in (encoding.z_c, encoding.z_m)]
    found = discriminated.judge(last)
    assert list(found) == list(discriminated.CONDITIONS)
    assert found["clean"].primary == pytest.approx(p[0], abs=1e-6)
    assert found["clean"].auxiliary == pytest.approx(p[1], abs=1e-6)
    assert (
        np.ptp(found["blank partner"].auxiliary) < 1e-6 < np.ptp(found["clean"].auxiliary)
    )  # all blank slices are one
    assert found["blank partner"].primary == pytest.approx(p[0], abs=1e-6)
    assert not np.allclose(found["noisy images"].primary, p[0], atol=1e-6)


def test_a_discriminator_of_ordered_pairs_is_shown_both_orders(with_network):
    changed = with_network(discriminator_input="ordered_pair")
    pair = changed.material.pairs("train")[:1]
    read = changed.material.reader.read(pair)
    with torch.inference_mode():
        z = changed.model.encode_pairs(*(torch.from_numpy(x[:, None]) for x in (read.primary, read.auxiliary)))
        turned = [torch.cat(each, dim=1) for each in ((z.z_c, z.z_m), (z.z_m, z.z_c))]
        expected = [float(changed.model.discriminator(each).double().softmax(dim=1)[0, 0]) for each in turned]
    clean = discriminated.judge(changed)["clean"]
    assert [clean.primary[0], clean.auxiliary[0]] == pytest.approx(expected, abs=1e-6)


def test_slice_errors_by_hand():
    truth, predicted = np.zeros((4, 2, 2), bool), np.zeros((4, 2, 2), bool)
    truth[1] = predicted[1, 0] = True  # 4 against 2: Dice 4 / 6
    truth[2, 0, 0] = True
    predicted[3, 0, 0] = True
    assert correlates.slice_errors(predicted, truth) == pytest.approx([0, 1 / 3, 1, 1])


def test_the_noise_of_an_image_is_found_and_a_slope_is_none():
    generator = np.random.default_rng(0)
    rows, columns = np.mgrid[:128, :128] / 128
    slope = (0.3 * rows + 0.5 * columns).astype(np.float32)
    assert correlates.noise_level(slope) < 1e-6
    noisy = slope + 0.07 * generator.standard_normal(slope.shape).astype(np.float32)
    assert correlates.noise_level(noisy) == pytest.approx(0.07, rel=0.05)


def test_quantities_are_those_of_each_pair(last):
    pairs = last.material.pairs("train")
    found = correlates.quantities(last, pairs)
    assert list(found) == list(correlates.QUANTITIES)
    for case in ("s0", "s1"):
        rows = [row for row, pair in enumerate(pairs) if pair.case == case]
        masks = prepare_masks(last.study.reference(case), last.study.config.slices, [pairs[row].slice for row in rows])
        assert found[correlates.AREA][rows] == pytest.approx(masks.mean(axis=(1, 2)))
    nothing = found[correlates.AREA] == 0
    assert nothing.any() and np.array_equal(np.isnan(found[correlates.ORGAN_ERROR]), nothing)
    doubts = found[correlates.OWN_DOUBT], found[correlates.PARTNER_DOUBT]
    scores = last.select("vq_begal", pairs, 2).scores
    assert np.mean(doubts, axis=0) == pytest.approx(scores, abs=1e-6)  # S is the mean of the two


def test_the_pool_is_that_of_the_round(made):
    study = Study.open(made / "runs" / "ct" / "vq_begal" / "seed0")
    rounds = study.rounds()
    asked = [{(item.case, item.slice) for item in each.requests} for each in rounds]
    for index, expected in enumerate((asked[0], asked[0] | asked[1])):
        unlabelled, labelled = snapshot(study, index, device=CPU, reporter=QUIET).split_pool()
        assert {(pair.case, pair.slice) for pair in labelled} == expected
        assert len(unlabelled) + len(labelled) == 28


def test_spread_takes_both_ends(last):
    pairs = last.material.pairs("train")
    assert spread(pairs, 3) == [pairs[0], pairs[13], pairs[-1]]
    assert spread(pairs, 100) == pairs
    assert spread([], 5) == []


def test_the_organs_extent_is_that_of_the_references(made):
    study = Study.open(made / "runs" / "ct" / "random" / "seed0")
    extent = picked.organ_extent(study)
    shown = [SliceFrame.of(v).planes(v.voxels).any(axis=(1, 2)) for v in map(study.reference, ("s0", "s1"))]
    assert extent.overall == pytest.approx(np.mean(shown))
    assert np.isnan(extent.share).sum() == picked.BINS - 14  # 14 slices fall into 14 of the 20 heights
    assert np.nanmax(extent.share) == 1


def test_shared_codes_are_a_share_of_all_in_use():
    assert CodeUse(5, primary=6, auxiliary=4, shared=2).common == pytest.approx(2 / 8)
    assert math.isnan(CodeUse(5, 0, 0, 0).common)


def drawn(section) -> Iterator[np.ndarray]:
    for picture in section.pictures():
        yield images.imread(io.BytesIO(picture.png), format="png")


def test_a_benchmark_gets_six_sections_with_pictures_and_numbers(made):
    sections = diagnostics(made, device=CPU, reporter=QUIET)
    assert [section.title for section in sections] == TITLES
    for section in sections:
        assert section.picture is not None and section.picture.svg.startswith(b"<?xml")
        assert section.tables and all(
            len(row) == len(table.columns) for _, table in section.tables for row in table.rows
        )
        for pixels in drawn(section):
            assert pixels.std() > 0.02
    by_title = {section.title: section for section in sections}
    mixing = by_title[TITLES[0]].tables[0][1].rows
    assert [row[0] for row in mixing] == ["VQ-BEGAL, first round", "VQ + random", "VQ-BEGAL"]
    assert [row[2] for row in mixing] == ["2", "1", "2"]
    assert [row[0] for row in by_title["Codebook"].tables[0][1].rows] == ["vq_begal", "random"]  # a U-Net has none
    assert any("mc_dropout" in note for note in by_title["Uncertainty under noise"].notes)
    picks = by_title[TITLES[5]].tables[0][1].rows
    assert [row[:2] for row in picks] == [["vq_begal", "8"], ["random", "4"], ["unet_egal", "4"], ["whole pool", "–"]]


def test_two_cohorts_are_told_apart(results):
    shutil.copytree(results / "runs" / "ct" / "random", results / "runs" / "mr" / "random")
    sections = diagnostics(results, device=CPU, reporter=QUIET, seeds=1)
    assert [section.title for section in sections] == [f"{title}, {each}" for each in ("ct", "mr") for title in TITLES]
    names = [picture.name for section in sections for picture in section.pictures()]
    assert len(set(names)) == len(names)


def test_missing_networks_tables_and_arms_are_said(results):
    for path in results.glob(f"runs/*/*/*/rounds/*/{MODEL}"):
        path.unlink()
    (results / "picks.csv").unlink()
    (results / "runs" / "ct" / "random" / "seed0" / "study.json").write_text("{", encoding="utf-8")
    notes, *sections = diagnostics(results, device=CPU, reporter=QUIET)
    assert "ct, random, seed 0" in notes.notes[0]
    by_title = {section.title: section for section in sections}
    assert by_title["Codebook"].picture is not None  # what was written down is still there
    for title in set(TITLES) - {"Codebook"}:
        assert by_title[title].picture is None and by_title[title].notes


def test_a_damaged_network_is_passed_over(results):
    (results / "runs" / "ct" / "vq_begal" / "seed0" / "rounds" / "001" / MODEL).write_bytes(b"nothing")
    first = diagnostics(results, device=CPU, reporter=QUIET)[0]
    assert any("seed 0" in note for note in first.notes)
    assert [row[2] for row in first.tables[0][1].rows] == ["2", "1", "1"]


def test_no_run_is_said(tmp_path):
    (section,) = diagnostics(tmp_path, device=CPU, reporter=QUIET)
    assert section.notes == ["There is no run to look into yet."]


def test_a_person_can_stop_it(made, tmp_path):
    asked = tmp_path / "cancel"
    asked.touch()
    with pytest.raises(CancelledError):
        diagnostics(made, device=CPU, reporter=Reporter(cancel_file=asked))


def test_runs_come_by_seed_and_other_folders_are_none(results):
    shutil.copytree(results / "runs" / "ct" / "vq_begal" / "seed1", results / "runs" / "ct" / "vq_begal" / "seed10")
    (results / "runs" / "ct" / "vq_begal" / "seed2.part").mkdir()
    runs, notes = find_runs(results)
    assert [each.seed for each in runs if each.arm == "vq_begal"] == [0, 1, 10]
    assert notes == []
    assert runs[-1].budget(runs[-1].rounds[1]) == pytest.approx(100 * 10 / 28)


def test_a_strategy_that_cannot_use_the_network_says_so(last):
    assert NetworkSettings().dropout == 0
    with pytest.raises(InputError, match="dropout"):
        entropies.under_noise(last, "mc_dropout")
