"""Sections on what the networks do: mixing of the modalities, the discriminator, noise, and what the entropy picks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from VQBEGALLib.errors import InputError, StudyError
from VQBEGALLib.evidence import correlates, discriminated, embedding, entropies
from VQBEGALLib.evidence.discriminated import Judgement
from VQBEGALLib.evidence.entropies import CLEAN, CONDITIONS, NoiseTest
from VQBEGALLib.evidence.noise import FEATURE_SIGMA, IMAGE_SIGMA
from VQBEGALLib.evidence.numerals import number
from VQBEGALLib.evidence.runs import RunStudy
from VQBEGALLib.evidence.section import Section
from VQBEGALLib.evidence.snapshot import SAMPLE, Snapshot, spread
from VQBEGALLib.evidence.tables import Table
from VQBEGALLib.evidence.view import OURS, View, labelled, mean_sd
from VQBEGALLib.study.records import Round

Networks = Sequence[tuple[RunStudy, Round]]
CONTRASTED = (OURS, "max_entropy")
"""Strategies whose scores are held against what the slices show."""
POOL = 512
"""Slices of the pool that the scores are held against, evenly spread."""


def _loaded(view: View, section: Section, title: str, networks: Networks) -> Iterator[Snapshot]:
    """Yield networks one after the other; the section says which cannot be loaded."""
    for run, round_ in networks:
        try:
            loaded = view.load(run, round_)
        except StudyError as error:
            section.notes.append(f"{title}, seed {run.seed}: {error}")
            continue
        yield loaded


def modalities(view: View) -> Section:
    """Return how the modalities mix in feature space, before and after, and for the arms of the paper's figure 3."""
    section = view.section("Do the modalities share features?")
    networks = view.compared()
    if before := view.first(OURS):
        networks = {"VQ-BEGAL, first round": before, **networks}
    drawn, rows = [], []
    for title, items in networks.items():
        share = labelled(*items[0])
        caption = f"{title}\n{share} labelled"
        found = [embedding.embed(each, caption) for each in _loaded(view, section, title, items)]
        if known := [each for each in found if each is not None]:
            drawn.append(known[0])
            mixed = mean_sd([100 * each.mixed for each in known], 1)
            rows.append([title, share, number(len(known)), mixed, mean_sd([100 * known[0].chance], 1)])
    if not drawn:
        section.notes.append("There is no network that has seen slices of both modalities.")
        return section
    section.text.append(
        f"Each point is a slice: z_c or z_m averaged over its positions, for up to {SAMPLE} pairs evenly spread over "
        f"the training pool, by t-SNE (perplexity {number(drawn[0].perplexity)}, started from the first two principal "
        "components). Distances between groups in such a picture mean nothing; the number does: the share of each "
        "slice's ten nearest neighbours, among the vectors themselves and outside its own volume, that are of the "
        "other modality. 0 is apart, chance is mixed."
    )
    section.picture = embedding.picture(drawn, view.modalities, name=view.named("tsne"))
    heads = ["network", "labelled", "seeds", "neighbours of the other modality, %", "by chance, %"]
    section.tables.append(("", Table(heads, rows)))
    return section


def discriminator(view: View) -> Section:
    """Return the distribution of the discriminator's output by what is done to the slices."""
    section = view.section("What the discriminator sees")
    shown: dict[str, dict[str, Judgement]] = {}
    rows = []
    for title, items in view.compared().items():
        judged = [discriminated.judge(each) for each in _loaded(view, section, title, items)]
        if known := [each for each in judged if each]:
            shown[title] = known[0]
            for condition in discriminated.CONDITIONS:
                right = mean_sd([100 * each[condition].right for each in known], 1)
                doubtful = mean_sd([100 * each[condition].doubtful for each in known], 1)
                rows.append([title, condition, labelled(*items[0]), number(len(known)), right, doubtful])
    if not shown:
        section.notes.append("There is no discriminator that has seen slices of both modalities.")
        return section
    section.text.append(
        f"Probability of {view.modalities['primary']} that the discriminator gives to slices of the training pool: as "
        f"they are, with Gaussian noise (σ = {IMAGE_SIGMA} of the range of values), and with a blank slice in the "
        "partner's place. Doubtful: neither modality gets more than 90 %."
    )
    section.picture = discriminated.picture(shown, view.modalities, name=view.named("discriminator"))
    heads = ["network", "slices", "labelled", "seeds", "right, %", "doubtful, %"]
    section.tables.append(("", Table(heads, rows, words=frozenset({0, 1}))))
    return section


def noise(view: View) -> Section:
    """Return what noise does to the values of the strategies that choose by an uncertainty."""
    section = view.section("Uncertainty under noise")
    shown, rows = [], []
    for strategy in entropies.SCORING:
        arm, tests = _tests(view, strategy, section)
        if not tests:
            continue
        shown.append(tests[0])
        rows += [_noise_row(strategy, arm, condition, tests) for condition in CONDITIONS if condition != CLEAN]
    if not shown:
        section.notes.append("There is no network whose slices can be scored.")
        return section
    section.text.append(
        "The same slices of the unlabelled pool scored three times: clean, with Gaussian noise on both images "
        f"(σ = {IMAGE_SIGMA} of the range of values), and with Gaussian noise on what the encoders give to "
        f"codebook and skip connections (σ = {FEATURE_SIGMA} of each map's own). ρ: Spearman's rank "
        "correlation with the clean values. Same picks: Jaccard index of the tenth of the slices that are chosen, here "
        f"the extremes of the values for every strategy ({OURS} with coverage 1: not spread over the pool). "
        "Shift: largest distance of the two distribution functions, 0 to 1."
    )
    section.picture = entropies.picture(shown, name=view.named("entropies"))
    heads = ["strategy", "network", "noise", "seeds", "ρ", "same picks", "by chance", "shift"]
    section.tables.append(("", Table(heads, rows, words=frozenset({0, 1, 2}))))
    return section


def _tests(view: View, strategy: str, section: Section) -> tuple[str, list[NoiseTest]]:
    """Return the arm whose networks the strategy works with, the method's own first, and a test of each seed."""
    reason = ""
    for arm in dict.fromkeys((OURS, strategy)):
        found = []
        for run, round_ in view.newest(arm):
            try:
                found.append(entropies.under_noise(view.load(run, round_), strategy))
            except (InputError, StudyError) as error:
                reason = str(error)
        if tests := [test for test in found if test is not None]:
            return arm, tests
    section.notes.append(f"{strategy}: {reason or 'there is no network, or no slice left, to score.'}")
    return "", []


def _noise_row(strategy: str, arm: str, condition: str, tests: Sequence[NoiseTest]) -> list[str]:
    return [
        strategy,
        arm,
        condition,
        number(len(tests)),
        mean_sd([test.rank_correlation(condition) for test in tests]),
        mean_sd([test.overlap(condition) for test in tests]),
        mean_sd([tests[0].chance]),
        mean_sd([test.shift(condition) for test in tests]),
    ]


def meaning(view: View) -> Section:
    """Return what the discriminator's entropy is correlated with, beside the mask's own entropy."""
    section = view.section("What the entropy picks")
    found: dict[str, list[dict[str, float]]] = {}
    for networks in (view.first(OURS), view.newest(OURS)):
        for each in _loaded(view, section, OURS, networks):
            for strategy, values in _correlations(each, section).items():
                found.setdefault(f"{strategy}, {labelled(*networks[0])}", []).append(values)
    if not found:
        section.notes.append(f"There is no network of {OURS} with unlabelled slices left.")
        return section
    section.text.append(
        f"Spearman's rank correlation of the scores with properties of the slices, over up to {POOL} slices that the "
        f"network was not trained on; both scores come from the same networks of {OURS}, after its first and its last "
        "round. Error: of the mask from the primary slice alone, 0 where mask and reference are both empty. Noise: "
        "Immerkær's estimate. D's entropy of the partner alone tells how much of the score comes from a slice that "
        "nobody annotates."
    )
    section.picture = correlates.picture(found, name=view.named("correlates"))
    rows = [
        [name, *(mean_sd([seed.get(name, np.nan) for seed in seeds]) for seeds in found.values())]
        for name in correlates.QUANTITIES
    ]
    caption = f"Mean ± sd over the seeds, {max(map(len, found.values()))} at most"
    section.tables.append((caption, Table(["", *found], rows)))
    return section


def _correlations(snapshot: Snapshot, section: Section) -> dict[str, dict[str, float]]:
    """Return the correlations of each strategy's scores, by strategy; nothing where the pool is empty."""
    pool = spread(snapshot.split_pool()[0], POOL)
    if not pool:
        return {}
    found = {}
    about = correlates.quantities(snapshot, pool)
    for name in CONTRASTED:
        try:
            scores = snapshot.select(name, pool, 2).scores
        except InputError as error:
            section.notes.append(f"{name}: {error}")
            continue
        if scores is not None:
            found[name] = correlates.correlations(scores, about)
    return found
