"""The study report: one HTML file that needs nothing else, and its figures as files beside it."""

from __future__ import annotations

import platform
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from VQBEGALLib import __version__
from VQBEGALLib.events import Reporter
from VQBEGALLib.evidence import attended, gallery, results, tables
from VQBEGALLib.evidence.numerals import listed
from VQBEGALLib.evidence.plotting import Picture, need
from VQBEGALLib.evidence.section import Source
from VQBEGALLib.storage import make_folder, read_lines, storing, write_bytes
from VQBEGALLib.study import Study

if TYPE_CHECKING:
    import torch

TEMPLATE = "report.html.j2"
FIGURES = "figures"
OURS = (
    "learning_curve.png",
    "losses.png",
    "scores.png",
    "codebook.png",
    "segmentation_?.png",
    "attention_?.png",
    "chosen_??.png",
)
"""Names of the figures' files."""


def write_report(study: Study, target: Path | None = None, *, device: torch.device, reporter: Reporter) -> Path:
    """Write a study's report; parts that the study does not have yet are left out with a sentence.

    Args:
        study: an open study; only its cache of prepared slices may change.
        target: the HTML file; ``report.html`` in the study by default. Images go to ``figures`` beside it.
        device: where the network segments the cases that are shown.
        reporter: receives progress.

    Returns:
        The file.

    Raises:
        MissingDependencyError: matplotlib or Jinja2 is not installed.
        StudyError: a round or a list of labels is damaged.
        StorageError: the file cannot be written.
        CancelledError: a person asked to stop.
    """
    template = load_template(TEMPLATE)
    target = study.folder / "report.html" if target is None else Path(target)
    source = Source(study, device, reporter)
    sections = [
        results.learning(source),
        results.patients(source),
        gallery.segmentations(source),
        *attended.attended(source),
        gallery.chosen(source),
        results.codebook(source),
        results.training(source),
        results.annotation(source),
    ]
    text = template.render(**_front(source), sections=sections)
    _write_figures(target.parent / FIGURES, [picture for section in sections for picture in section.pictures()])
    write_bytes(target, text.encode())
    return target


def _write_figures(folder: Path, pictures: list[Picture]) -> None:
    """Write the figures, and remove those of an older report that this one has not."""
    make_folder(folder)
    files = {folder / f"{picture.name}.png": picture.png for picture in pictures}
    for path, png in files.items():
        write_bytes(path, png)
    for old in {path for pattern in OURS for path in folder.glob(pattern)} - set(files):
        with storing(old):
            old.unlink()


def load_template(name: str) -> Any:
    """Return a page's Jinja2 template.

    Raises:
        MissingDependencyError: Jinja2 is not installed.
    """
    try:
        import jinja2
    except ImportError as error:
        raise need("Jinja2") from error
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


def _front(source: Source) -> dict[str, Any]:
    """Return what the top of the report says."""
    study, config = source.study, source.study.config
    return {
        "name": study.folder.name,
        "organ": listed(config.organs),
        "primary": source.primary,
        "auxiliary": source.auxiliary if study.auxiliaries() else "",
        "tiles": results.tiles(source),
        "facts": _facts(source),
        "cohort": tables.cohort(study),
        "settings": tables.settings(config),
    }


def _facts(source: Source) -> list[tuple[str, str]]:
    import torch

    strategies = list(dict.fromkeys(item.strategy for item in source.rounds if item.index))
    events = read_lines(source.study.folder / "log.jsonl")
    commands = [event["command"] for event in events if isinstance(event.get("command"), str)]
    stops = [event["reason"] for event in events if event.get("event") == "stopped" and "reason" in event]
    facts = [
        ("Written", datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")),
        ("Program", f"VQBEGALLib {__version__}"),
        ("PyTorch", f"{torch.__version__} on {source.device.type}, Python {platform.python_version()}"),
        ("Rounds", f"{len(source.trained)} trained of {len(source.rounds)}"),
        ("Strategy", ", ".join(strategies) or "none yet"),
        ("First slices", source.study.config.rounds.cold_start),
        ("Seed", str(source.study.config.seed)),
    ]
    if stops:
        facts.append(("Stopped", str(stops[-1])))
    if commands:
        facts.append(("Command", commands[-1]))
    return facts
