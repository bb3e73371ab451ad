"""The numbers beside the diagnostic pictures, on made-up data and on one network."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from VQBEGALLib.config import NetworkSettings
from VQBEGALLib.errors import InputError
from VQBEGALLib.events import Reporter
from VQBEGALLib.evidence import correlates, discriminated, embedding, entropies, picked
from VQBEGALLib.evidence.codebooks import CodeUse
from VQBEGALLib.evidence.discriminated import Judgement
from VQBEGALLib.evidence.entropies import CLEAN, FEATURES, IMAGES, NoiseTest
from VQBEGALLib.evidence.noise import noisy_features, noisy_images
from VQBEGALLib.evidence.snapshot import Snapshot, snapshot, spread, with_partner
from VQBEGALLib.slices import SliceFrame, SlicePair, prepare_masks
from VQBEGALLib.study import Study

CPU = torch.device("cpu")
QUIET = Reporter()


def tensors(of: Snapshot, pairs: list[SlicePair]) -> list[torch.Tensor]:
    found = of.material.reader.read(pairs)
    return [torch.from_numpy(each[:, None]) for each in (found.primary, found.auxiliary)]


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
    radii = [np.linalg.norm(points[20 * n : 20 * n + 20] - centre, axis=1).max() for n, centre in enumerate(centres)]
    assert np.linalg.norm(centres[0] - centres[1]) > max(radii)


def test_tsne_of_a_collapsed_codebook_is_finite():
    assert np.isfinite(embedding.tsne(np.ones((12, 5)), seed=0)[0]).all()


def test_vectors_are_the_mean_maps_of_each_slice_once(last):
    vectors, auxiliary, volumes = embedding.slice_vectors(last)
    pairs = last.material.pairs("train")
    partners = {(pair.partner, pair.partner_slice) for pair in pairs}
    assert (~auxiliary).sum() == len(pairs)
    assert auxiliary.sum() == len(partners) < len(pairs)
    assert len(np.unique(volumes)) == 4  # CT and MR of two patients
    with torch.inference_mode():
        encoding = last.model.encode_pairs(*tensors(last, pairs[:1]))
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
    scores = {CLEAN: clean, IMAGES: clean + 50, FEATURES: -clean}
    test = NoiseTest("x", scores, {CLEAN: chosen, IMAGES: chosen, FEATURES: frozenset()})
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


def test_every_strategy_takes_the_extremes_of_its_scores(last):
    assert last.study.config.rounds.coverage > 1
    pairs = last.material.pairs("train")
    found = last.select("vq_begal", pairs, 6)
    order = np.argsort(found.scores)
    assert {pick.pair for pick in found.picks} == {pairs[place] for place in (*order[:3], *order[-3:])}


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
    with torch.inference_mode():
        encoding = last.model.encode_pairs(*tensors(last, pairs))
        p = [last.model.discriminator(z).double().softmax(dim=1)[:, 0].numpy() for z in (encoding.z_c, encoding.z_m)]
    found = discriminated.judge(last)
    assert list(found) == list(discriminated.CONDITIONS)
    assert found["clean"].primary == pytest.approx(p[0], abs=1e-6)
    assert found["clean"].auxiliary == pytest.approx(p[1], abs=1e-6)
    # all blank slices are the same one
    assert np.ptp(found["blank partner"].auxiliary) < 1e-6 < np.ptp(found["clean"].auxiliary)
    assert found["blank partner"].primary == pytest.approx(p[0], abs=1e-6)
    assert not np.allclose(found["noisy images"].primary, p[0], atol=1e-6)


def test_a_discriminator_of_ordered_pairs_is_shown_both_orders(with_network):
    changed = with_network(discriminator_input="ordered_pair")
    pair = changed.material.pairs("train")[:1]
    with torch.inference_mode():
        z = changed.model.encode_pairs(*tensors(changed, pair))
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


def test_the_pool_is_that_of_the_round(benchmark_made):
    study = Study.open(benchmark_made / "runs" / "ct" / "vq_begal" / "seed0")
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


def test_the_organs_extent_is_that_of_the_references(benchmark_made):
    study = Study.open(benchmark_made / "runs" / "ct" / "random" / "seed0")
    extent = picked.organ_extent(study)
    shown = [SliceFrame.of(v).planes(v.voxels).any(axis=(1, 2)) for v in map(study.reference, ("s0", "s1"))]
    assert extent.overall == pytest.approx(np.mean(shown))
    assert np.isnan(extent.share).sum() == picked.BINS - 14  # 14 slices fall into 14 of the 20 heights
    assert np.nanmax(extent.share) == 1


def test_shared_codes_are_a_share_of_all_in_use():
    assert CodeUse(5, primary=6, auxiliary=4, shared=2).common == pytest.approx(2 / 8)
    assert math.isnan(CodeUse(5, 0, 0, 0).common)


def test_a_strategy_that_cannot_use_the_network_says_so(last):
    assert NetworkSettings().dropout == 0
    with pytest.raises(InputError, match="dropout"):
        entropies.under_noise(last, "mc_dropout")
