"""What a CIML network reads from the other modality, as a section of the report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from VQBEGALLib.errors import InputError, StudyError
from VQBEGALLib.evidence.montage import SHOWN, ends_and_middle, spread
from VQBEGALLib.evidence.plotting import ORANGE, Picture, drawing, finished, new_figure, panels_of
from VQBEGALLib.evidence.section import Card, Section, Source, dice_by_case
from VQBEGALLib.slices.preprocessing import Images
from VQBEGALLib.study.records import Split

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from VQBEGALLib.related.ciml import CIML
    from VQBEGALLib.rounds import Material
    from VQBEGALLib.slices import SlicePair

CASES = 2
"""Cases that are shown."""
WIDTH, ROW = 1000, 235
"""Width of a case's figure and height of each of its rows, CSS pixels."""
COLOURS = "magma"
OPACITY = 0.6
FULL = 0.3
"""Value from which the overlay has its full opacity."""


@dataclass(frozen=True, eq=False)
class Reading:
    """Slices of a case and what their segmentation took from their partners; all images (n, H, W).

    Args:
        pairs: the slices, head first.
        primary, auxiliary: images as the network sees them, 0 to 1.
        organs: segmentation of the primary, (n, C, H, W).
        taken: where on the primary, 0 to 1.
        read: from where on the auxiliary, 0 to 1.
    """

    pairs: list[SlicePair]
    primary: Images
    auxiliary: Images
    organs: npt.NDArray[np.bool_]
    taken: Images
    read: Images


def attended(source: Source) -> list[Section]:
    """Return the section of a study whose network passes messages; none for other networks."""
    if source.study.config.network.architecture != "ciml":
        return []
    section = Section("What CIML reads from the other modality")
    splits: tuple[Split, ...] = ("test", "validation")
    split = next((each for each in splits if source.study.cases(each)), None)
    if source.last is None or split is None:
        section.notes.append("No round is trained yet, or there is no patient to show it on.")
        return [section]
    first, second = source.primary, source.auxiliary
    section.text.append(
        f"Upper row: {first} with the segmentation's outline. Middle row: the {second} partner of each slice, and from "
        f"where on it something was read. Lower row: where on the {first} the network took something from it: the "
        "share that its gate lets through, as far as the message says anything (1 − exp(−information in nats)). High "
        "values say that the network relies on its partner there, not that it is right to."
    )
    section.legend = [(ORANGE, "segmentation")]
    try:
        section.cards = _cards(source, source.last.index, split)
        if not section.cards:
            section.notes.append(f"No {split} patient has a partner ({second}) that the network may use.")
    except (InputError, StudyError) as error:
        source.reporter.warn(str(error))
        section.notes.append(f"What was read cannot be shown. {error}")
    return [section]


def _cards(source: Source, index: int, split: Split) -> list[Card]:
    from VQBEGALLib.related.ciml import CIML
    from VQBEGALLib.rounds import Material, load_round

    model, _ = load_round(source.study, index)
    if not isinstance(model, CIML):
        return []
    material = Material(source.study, source.reporter, (split,))
    usable: dict[str, list[SlicePair]] = {}
    for pair in material.pairs(split):
        if pair.partner is not None and (pair.aligned or not model.needs_registered):
            usable.setdefault(pair.case, []).append(pair)
    cards = []
    for place, name in enumerate(_chosen(source, split, sorted(usable))):
        reading = _read(source, material, model, usable[name])
        alt = f"{name}: slices, their partners, and what was read from them."
        picture = _picture(reading, (source.primary, source.auxiliary), name=f"attention_{place}", alt=alt)
        partner = usable[name][0].partner
        whose = f"With the {source.auxiliary} of {partner}, another patient." if partner != name else ""
        cards.append(Card(picture, name, [line for line in (whose, _told(reading)) if line]))
    return cards


def _chosen(source: Source, split: Split, names: list[str]) -> list[str]:
    """Return the cases of lowest and highest Dice where it is known, else the first by name."""
    if source.last is None:
        return []
    tested = list(source.test(source.last).values())
    found = dice_by_case(tested[-1] if split == "test" and tested else source.validation(source.last))
    values = {name: found[name] for name in names if name in found}
    return ends_and_middle(values, CASES) or names[:CASES]


def _read(source: Source, material: Material, model: CIML, pairs: list[SlicePair]) -> Reading:
    """Return what the network takes from the partners of a case's slices, of those through the organs."""
    import torch

    from VQBEGALLib.inference import segment_slices

    read = material.reader.read
    found = segment_slices(model, pairs, read, device=source.device, reporter=source.reporter.silent())
    threshold = source.study.config.inference.threshold
    organs = np.stack([probabilities >= threshold for probabilities in found])  # (N, C, H, W)
    upward = material.frames["primary"][pairs[0].case].upward
    places = spread(np.asarray(organs.any(axis=1)), upward=upward)
    chosen = [pairs[place] for place in places]
    images = read(chosen)
    with torch.inference_mode():
        x, partner = (torch.from_numpy(each[:, None]).to(source.device) for each in (images.primary, images.auxiliary))
        attention = model.attention(x, partner)
    taken, sources = (each[:, 0].cpu().numpy() for each in (attention.taken, attention.read))
    return Reading(chosen, images.primary, images.auxiliary, organs[places], taken, sources)


def _told(reading: Reading) -> str:
    """Return in a sentence how much was taken inside and outside the segmentation."""
    inside = reading.organs.any(axis=1)
    parts = [("inside the segmentation", inside), ("elsewhere", ~inside)]
    known = [f"{100 * reading.taken[mask].mean():.0f} % {where}" for where, mask in parts if mask.any()]
    return f"Taken on these slices, on average: {', '.join(known)}."


def _picture(reading: Reading, modalities: tuple[str, str], *, name: str, alt: str) -> Picture:
    """Draw a case: a column a slice; its rows are the slice, its partner and what was taken."""
    count = len(reading.pairs)
    titles = (modalities[0], f"{modalities[1]}, read from", f"{modalities[0]}, taken")
    with drawing():
        figure = new_figure(round(WIDTH * (count + 0.4) / (SHOWN + 0.4)), 3 * ROW)
        panels = panels_of(figure, 3 * count, count)
        for column, pair in enumerate(reading.pairs):
            top, middle, low = panels[column::count]
            _grey(top, reading.primary[column])
            _grey(middle, reading.auxiliary[column])
            _grey(low, reading.primary[column])
            for mask in reading.organs[column]:
                if mask.any():
                    top.contour(mask, levels=[0.5], colors=[ORANGE], linewidths=1.0)
            _over(middle, reading.read[column])
            shown = _over(low, reading.taken[column])
            top.set_title(f"slice {pair.slice}")
            middle.set_title(f"slice {pair.partner_slice}")
        for row, title in enumerate(titles):
            panels[row * count].set_ylabel(title)
        bar = figure.colorbar(shown, ax=panels, ticks=[0, 0.5, 1], fraction=0.02, pad=0.01, shrink=0.6)
        bar.ax.set_yticklabels(["0 %", "50 %", "100 %"])
        return finished(figure, name, alt)


def _grey(axes: Axes, image: npt.NDArray[np.float32]) -> None:
    axes.imshow(image, cmap="gray", vmin=0, vmax=1)
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)


def _over(axes: Axes, values: npt.NDArray[np.float32]) -> Any:
    opacity = OPACITY * np.clip(values / FULL, 0, 1)  # the image itself shows where nothing was taken
    return axes.imshow(values, cmap=COLOURS, vmin=0, vmax=1, alpha=opacity)
