"""A benchmark's report: one HTML file that needs nothing else, figures and tables as files, and tables as Markdown."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from VQBEGALLib import __version__
from VQBEGALLib.errors import StudyError
from VQBEGALLib.events import Reporter
from VQBEGALLib.evidence.plotting import Picture, need
from VQBEGALLib.evidence.report import FIGURES, load_template
from VQBEGALLib.evidence.section import Section
from VQBEGALLib.storage import make_folder, read_json, write_bytes

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from VQBEGALLib.evidence.benchmark_data import Benchmark
    from VQBEGALLib.evidence.benchmark_findings import Findings

PAGE = "benchmark.html.j2"
REPORT = "report.html"
TABLES = "tables"


def write_benchmark_report(results: Path, *, reporter: Reporter, device: torch.device | None = None) -> Path:
    """Write the report of a results folder, whole or as far as its runs have come.

    Args:
        results: what ``vqbegal benchmark`` writes; gets ``report.html``, ``figures`` (PNG, SVG) and ``tables`` (CSV).
        reporter: receives progress.
        device: where networks compute for the diagnostics; the processor by default.

    Returns:
        The HTML file.

    Raises:
        MissingDependencyError: pandas, matplotlib or Jinja2 is not installed.
        InputError: a table is missing or damaged, or no round is evaluated yet.
        StorageError: a file cannot be written.
        CancelledError: a person asked to stop.
    """
    template = load_template(PAGE)
    found, others = _findings(results)
    frames = _frames([found, *others])
    sections = _sections(found, others, frames)
    sections[-1:-1] = _diagnostics(results, device, reporter)
    text = template.render(**_front(results, found), sections=sections)
    _write_tables(results / TABLES, frames)
    _write_figures(results / FIGURES, [picture for section in sections for picture in section.pictures()])
    write_bytes(results / REPORT, text.encode())
    return results / REPORT


def markdown_tables(results: Path) -> str:
    """Return the report's tables of numbers in GitHub's Markdown, without figures and diagnostics.

    Raises:
        MissingDependencyError: pandas or matplotlib is not installed.
        InputError: a table is missing or damaged, or no round is evaluated yet.
    """
    found, others = _findings(results)
    from VQBEGALLib.evidence.benchmark_tables import markdown

    parts = []
    for section in _sections(found, others, _frames([found, *others])):
        shown = [*section.tables, *section.folded]
        if shown or section.notes:
            parts.append(f"## {section.title}")
            parts += section.text
            parts += [f"**{caption}**\n\n{markdown(table)}" for caption, table in shown]
            parts += section.notes
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _findings(results: Path) -> tuple[Findings, list[Findings]]:
    """Return the statistics of the main input at evaluation, and those of the others."""
    try:
        import pandas as pd  # noqa: F401
    except ImportError as error:
        raise need("pandas", "benchmark") from error
    from VQBEGALLib.evidence.benchmark_data import Benchmark
    from VQBEGALLib.evidence.benchmark_findings import Findings

    benchmark = Benchmark.read(results)
    first, *others = [Findings(benchmark, auxiliary) for auxiliary in benchmark.auxiliaries]
    return first, others


def _sections(found: Findings, others: list[Findings], frames: dict[str, pd.DataFrame]) -> list[Section]:
    from VQBEGALLib.benchmark.conditions import CONDITIONS
    from VQBEGALLib.evidence import benchmark_sections as parts
    from VQBEGALLib.evidence.benchmark_costs import spending
    from VQBEGALLib.evidence.benchmark_organs import organs

    benchmark = found.benchmark
    reaching = benchmark.ceiling in benchmark.strategies or not benchmark.by_settings
    words = {name: condition.description for name, condition in CONDITIONS.items()}
    return [
        parts.learning(found, others),
        parts.against_reference(found),
        *organs(found),
        *([parts.reaching(found)] if reaching else []),
        parts.by_patient(found),
        parts.ablations(found),
        parts.robustness(found, frames["robustness"], words),
        spending(found, frames["costs"]),
        parts.finished(found),
    ]


def _diagnostics(results: Path, device: torch.device | None, reporter: Reporter) -> list[Section]:
    """Return what the trained networks themselves show."""
    import torch

    from VQBEGALLib.evidence.diagnostics import diagnostics

    return diagnostics(results, device=device or torch.device("cpu"), reporter=reporter)


def _frames(every: list[Findings]) -> dict[str, pd.DataFrame]:
    """Return the tables that are written as CSV, by name."""
    import pandas as pd

    from VQBEGALLib.benchmark.statistics import costs
    from VQBEGALLib.evidence.benchmark_findings import worse_inputs

    frames = {
        name: pd.concat([getattr(found, attribute).assign(auxiliary=found.auxiliary) for found in every])
        for name, attribute in (
            ("curves", "points"),
            ("areas", "areas"),
            ("tests_over_seeds", "tests"),
            ("tests_over_patients", "patient_tests"),
            ("slices_to_reach", "reach"),
        )
    }
    benchmark = every[0].benchmark
    return frames | {"robustness": worse_inputs(benchmark), "costs": costs(benchmark.rounds)}


def _front(results: Path, found: Findings) -> dict[str, Any]:
    """Return what the top of the report says."""
    from VQBEGALLib.benchmark.environment import without_places
    from VQBEGALLib.evidence import benchmark_headlines as headlines
    from VQBEGALLib.evidence.benchmark_tables import listing

    benchmark = found.benchmark
    plan, machine = results / "plan.toml", results / "environment.json"
    return {
        "name": results.resolve().name,
        "compared": "methods compared" if benchmark.by_settings else "strategies compared",
        "design": headlines.design(benchmark),
        "tiles": headlines.tiles(found),
        "headlines": [sentence for cohort in benchmark.cohorts for sentence in headlines.headline(found, cohort)],
        "facts": _facts(benchmark),
        "plan": without_places(plan.read_text("utf-8", errors="replace")) if plan.is_file() else "",
        "machines": [listing(entries) for entries in _entries(machine)] if machine.is_file() else [],
    }


def _entries(path: Path) -> list[dict[str, Any]]:
    """Return what a JSON file says of each machine; what is wrong with it where it cannot be read."""
    try:
        data = read_json(path)
    except StudyError as error:
        return [{"problem": error.problem}]
    return [each for each in (data if isinstance(data, list) else [data]) if isinstance(each, dict)]


def _facts(benchmark: Benchmark) -> list[tuple[str, str]]:
    rounds = benchmark.rounds
    runs = rounds[["cohort", "arm", "seed"]].drop_duplicates()
    return [
        ("Written", datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")),
        ("Program", f"VQBEGALLib {__version__}"),
        ("Cohorts", ", ".join(benchmark.cohorts)),
        ("Arms", ", ".join(sorted(rounds["arm"].unique()))),
        ("Runs", f"{len(runs)} begun, {len(rounds)} rounds evaluated"),
    ]


def _write_tables(folder: Path, frames: dict[str, pd.DataFrame]) -> None:
    make_folder(folder)
    for name, frame in frames.items():
        write_bytes(folder / f"{name}.csv", frame.to_csv(index=False).encode())


def _write_figures(folder: Path, pictures: list[Picture]) -> None:
    make_folder(folder)
    for picture in pictures:
        write_bytes(folder / f"{picture.name}.png", picture.png)
        if picture.svg:
            write_bytes(folder / f"{picture.name}.svg", picture.svg)
