"""Where the two modalities lie in feature space: t-SNE of z_c and z_m (paper, fig. 3), and how well they mix."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from scipy.spatial.distance import cdist
from torch import Tensor

from VQBEGALLib.evidence.numerals import percent
from VQBEGALLib.evidence.plotting import MODALITY_COLOURS, Picture, drawing, finished, need, new_figure, panels_of
from VQBEGALLib.evidence.snapshot import Floats, Snapshot, spread, with_partner
from VQBEGALLib.network import VQBEGAL

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NEIGHBOURS = 10
"""Nearest slices that are asked for their modality."""
PERPLEXITY = 30.0
"""Of t-SNE; smaller where there are fewer than 91 slices."""
COLUMNS = 4
MARKERS = {"primary": "o", "auxiliary": "^"}


@dataclass(frozen=True, eq=False)
class Embedding:
    """The slices of a pool as points.

    Args:
        title: what was embedded.
        auxiliary: whether a point is an auxiliary slice, (N,).
        points: t-SNE of the vectors, (N, 2).
        perplexity: t-SNE's.
        mixed: share of each slice's nearest neighbours, in the original space, that are of the other modality.
        chance: the same, were neighbours drawn at random; so ``mixed / chance`` is 0 for modalities apart, 1 for
            modalities that cannot be told apart.
    """

    title: str
    auxiliary: npt.NDArray[np.bool_]
    points: Floats
    perplexity: float
    mixed: float
    chance: float


def slice_vectors(
    snapshot: Snapshot,
) -> tuple[Floats, npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
    """Return z averaged over each slice's positions, for an even sample of the training pairs, each slice once.

    Returns:
        Vectors (N, d), whether each is of an auxiliary slice (N,), and the number of its volume (N,).
    """
    pairs = spread(with_partner(snapshot.material.pairs("train")))
    found: dict[tuple[bool, str, int], Floats] = {}
    for pair, both in zip(pairs, snapshot.look(pairs, _pooled), strict=True):
        found[False, pair.case, pair.slice] = both[0]
        found[True, pair.partner or "", pair.partner_slice or 0] = both[1]
    numbers: dict[tuple[bool, str], int] = {}
    volumes = [numbers.setdefault((key[0], key[1]), len(numbers)) for key in found]
    vectors = np.stack(list(found.values())) if found else np.empty((0, 1))
    return vectors, np.array([key[0] for key in found], np.bool_), np.array(volumes, np.int64)


def _pooled(model: VQBEGAL, x_c: Tensor, x_m: Tensor) -> Tensor:
    encoding = model.encode_pairs(x_c, x_m)
    return torch.stack([encoding.z_c.mean(dim=(2, 3)), encoding.z_m.mean(dim=(2, 3))], dim=1)  # (B, 2, d)


def mixing(
    vectors: Floats,
    auxiliary: npt.NDArray[np.bool_],
    volumes: npt.NDArray[np.int64],
    *,
    generator: np.random.Generator,
    neighbours: int = NEIGHBOURS,
) -> tuple[float, float]:
    """Return the share of nearest neighbours that are of the other modality, and the share by chance.

    A slice's own volume is left out: its next slices look alike in any network. Equal distances are taken in a
    random order. Both are NaN where there is no neighbour.

    Args:
        vectors: (N, d).
        auxiliary: modality of each, (N,).
        volumes: volume of each, (N,).
        generator: source of the order of equal distances.
        neighbours: how many are asked.
    """
    distance = cdist(vectors, vectors)
    distance[volumes[:, None] == volumes] = np.inf
    order = np.lexsort((generator.random(distance.shape), distance), axis=1)[:, :neighbours]
    near = np.isfinite(np.take_along_axis(distance, order, axis=1))
    if not near.any():
        return math.nan, math.nan
    other = auxiliary[:, None] != auxiliary
    candidates = np.isfinite(distance)
    some = candidates.any(axis=1)
    by_chance = (other & candidates).sum(axis=1)[some] / candidates.sum(axis=1)[some]
    return float(np.take_along_axis(other, order, axis=1)[near].mean()), float(by_chance.mean())


def tsne(vectors: Floats, *, seed: int) -> tuple[Floats, float]:
    """Return t-SNE of vectors (van der Maaten and Hinton 2008), (N, 2), and the perplexity used.

    It starts from the first two principal components; from a random start where all vectors are the same.

    Raises:
        MissingDependencyError: scikit-learn is not there.
    """
    try:
        from sklearn.manifold import TSNE
    except ImportError as error:
        raise need("scikit-learn") from error
    perplexity = min(PERPLEXITY, (len(vectors) - 1) / 3)
    start = "pca" if np.ptp(vectors, axis=0).max() > 1e-9 else "random"
    points = TSNE(perplexity=perplexity, init=start, random_state=seed).fit_transform(vectors.astype(np.float32))
    return np.asarray(points, np.float64), perplexity


def embed(snapshot: Snapshot, title: str) -> Embedding | None:
    """Return a round's slices as points; None where fewer than eight slices have been seen in pairs."""
    vectors, auxiliary, volumes = slice_vectors(snapshot)
    if len(vectors) < 8:
        return None
    seed = snapshot.study.config.seed
    points, perplexity = tsne(vectors, seed=seed)
    mixed, chance = mixing(vectors, auxiliary, volumes, generator=np.random.default_rng(seed))
    return Embedding(title, auxiliary, points, perplexity, mixed, chance)


def picture(embeddings: Sequence[Embedding], modalities: dict[str, str], *, name: str = "tsne") -> Picture:
    """Draw embeddings side by side, each with its share of neighbours of the other modality."""
    with drawing():
        columns = min(COLUMNS, len(embeddings))
        rows = math.ceil(len(embeddings) / columns)
        figure = new_figure(max(440, 245 * columns), 290 * rows + 40)
        panels = panels_of(figure, len(embeddings), columns)
        for axes, item in zip(panels, embeddings, strict=True):
            _panel(axes, item, modalities)
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=2, markerscale=1.6)
        return finished(
            figure, name, "Scatter plots of slices of both modalities, by t-SNE of their quantised maps.", vector=True
        )


def _panel(axes: Axes, item: Embedding, modalities: dict[str, str]) -> None:
    for which, rows in (("primary", ~item.auxiliary), ("auxiliary", item.auxiliary)):
        axes.plot(
            *item.points[rows].T,
            MARKERS[which],
            color=MODALITY_COLOURS[which],
            markersize=3.6,
            markeredgewidth=0,
            alpha=0.65,
            label=f"{modalities[which]} slice",
        )
    axes.set_title(item.title, fontsize=10.5)
    mixed = "no neighbours" if math.isnan(item.mixed) else f"{percent(item.mixed, 1)} other modality"
    axes.set_xlabel(f"{mixed}\n(chance {percent(item.chance, 1)})" if item.chance >= 0 else mixed, fontsize=9.5)
    axes.grid(visible=False)
    axes.set(xticks=[], yticks=[])
    for side in ("top", "right"):
        axes.spines[side].set_visible(True)
