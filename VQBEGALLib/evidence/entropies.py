"""What noise does to the values that strategies choose by: distributions, ranks and chosen slices (paper, fig. 1B)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from VQBEGALLib.evidence.noise import FEATURE_SIGMA, IMAGE_SIGMA, noisy_features, noisy_images
from VQBEGALLib.evidence.numerals import number
from VQBEGALLib.evidence.plotting import BLUE, LIGHT, VERMILION, Picture, drawing, finished, new_figure, panels_of
from VQBEGALLib.evidence.snapshot import Floats, Snapshot, spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SCORING = ("vq_begal", "max_entropy", "mc_dropout", "taal")
"""Strategies that choose by an uncertainty."""
CLEAN, IMAGES, FEATURES = "clean", "noisy images", "noisy features"
CONDITIONS = (CLEAN, IMAGES, FEATURES)
PICKED = 0.1
"""Share of the slices that a strategy chooses here."""
COLUMNS = 4

Slice = tuple[str, int]


@dataclass(frozen=True, eq=False)
class NoiseTest:
    """A strategy's values on the same slices, clean and noisy.

    Args:
        strategy: its name.
        scores: value of each slice by condition, (N,).
        picked: slices chosen by condition, as case and number.
    """

    strategy: str
    scores: Mapping[str, Floats]
    picked: Mapping[str, frozenset[Slice]]

    def rank_correlation(self, condition: str) -> float:
        """Return Spearman's ρ of the values under a condition with the clean ones; NaN where one of them is flat."""
        return spearman(self.scores[CLEAN], self.scores[condition])

    def shift(self, condition: str) -> float:
        """Return the largest distance of the two distribution functions (Kolmogorov-Smirnov), 0 to 1."""
        return float(stats.ks_2samp(self.scores[CLEAN], self.scores[condition], method="asymp").statistic)

    def overlap(self, condition: str) -> float:
        """Return the Jaccard index of the slices chosen under a condition and clean: 1 for the same ones."""
        return jaccard(self.picked[CLEAN], self.picked[condition])

    @property
    def chance(self) -> float:
        """The Jaccard index that two random choices of as many slices have: of the expected intersection B² / N."""
        count, chosen = len(self.scores[CLEAN]), len(self.picked[CLEAN])
        return chosen / (2 * count - chosen) if count else math.nan


def spearman(a: Floats, b: Floats) -> float:
    """Return Spearman's ρ over the places where both are numbers; NaN for fewer than three, or where one is flat."""
    known = np.isfinite(a) & np.isfinite(b)
    a, b = a[known], b[known]
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return math.nan
    return float(stats.spearmanr(a, b).statistic)


def jaccard(a: frozenset[Slice], b: frozenset[Slice]) -> float:
    """Return what two sets share of all that is in either; 1 for two empty sets."""
    return len(a & b) / len(a | b) if a | b else 1.0


def under_noise(
    snapshot: Snapshot,
    strategy: str,
    *,
    image_sigma: float = IMAGE_SIGMA,
    feature_sigma: float = FEATURE_SIGMA,
) -> NoiseTest | None:
    """Let a strategy score and choose on clean slices, noisy slices, and with noisy features.

    The pool is an even sample of what was not labelled when the round was trained; a tenth of it is chosen. The
    strategy's own draws are the same under all three conditions.

    Returns:
        None where the pool is empty or the strategy gives no scores.

    Raises:
        InputError: there is no such strategy, or it cannot work with this network.
    """
    pool = spread(snapshot.split_pool()[0])
    if not pool:
        return None
    seed = snapshot.study.config.seed
    budget = max(2, round(PICKED * len(pool)))
    noisy = noisy_images(snapshot.material.reader, image_sigma)
    scores: dict[str, Floats] = {}
    picked: dict[str, frozenset[Slice]] = {}
    for condition in CONDITIONS:
        disturbed = noisy_features(snapshot.model, feature_sigma, seed=seed) if condition == FEATURES else nullcontext()
        with disturbed:
            reader = noisy if condition == IMAGES else None
            selection = snapshot.select(strategy, pool, budget, seed=seed, reader=reader)
        if selection.scores is None:
            return None
        scores[condition] = selection.scores
        picked[condition] = frozenset((pick.pair.case, pick.pair.slice) for pick in selection.picks)
    return NoiseTest(strategy, scores, picked)


def picture(tests: Sequence[NoiseTest], *, name: str = "entropies") -> Picture:
    """Draw the distribution of each strategy's values, clean and noisy, a panel a strategy."""
    with drawing():
        columns = min(COLUMNS, len(tests))
        rows = math.ceil(len(tests) / columns)
        figure = new_figure(max(480, 265 * columns), 265 * rows + 60)
        panels = panels_of(figure, len(tests), columns)
        for axes, test in zip(panels, tests, strict=True):
            _panel(axes, test)
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=3)
        figure.supxlabel("value that the strategy chooses by", fontsize=10)
        figure.supylabel("share of slices, %", fontsize=10)
        return finished(figure, name, "Histograms of each strategy's values on clean and noisy slices.", vector=True)


def _panel(axes: Axes, test: NoiseTest) -> None:
    values = np.concatenate(list(test.scores.values()))
    edges = np.linspace(values.min(), values.max() if np.ptp(values) else values.min() + 1e-6, 25)
    for condition, found in test.scores.items():
        shares = 100 * np.histogram(found, edges)[0] / len(found)
        if condition == CLEAN:
            axes.stairs(shares, edges, fill=True, color=LIGHT, label=condition)
        else:
            first = condition == IMAGES
            colour, line = (BLUE, "-") if first else (VERMILION, (0, (3, 1.2)))
            axes.stairs(shares, edges, color=colour, linewidth=1.8, linestyle=line, label=condition)
    lines = [
        f"{condition.removeprefix('noisy ')}: ρ {_figure(test.rank_correlation(condition))}, "
        f"same picks {_figure(test.overlap(condition))}"
        for condition in (IMAGES, FEATURES)
    ]
    axes.set_title(test.strategy, fontsize=10.5)
    axes.text(0.5, 0.985, "\n".join(lines), transform=axes.transAxes, ha="center", va="top", fontsize=8.3)
    axes.set_ylim(top=1.35 * axes.get_ylim()[1])
    axes.locator_params(axis="x", nbins=5)


def _figure(value: float) -> str:
    return number(value if math.isfinite(value) else None, 2)
