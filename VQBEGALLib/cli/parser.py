"""The options of every command, written so that ``--help`` can be read like a manual."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from VQBEGALLib import __version__
from VQBEGALLib.cli import exchange_parser
from VQBEGALLib.config import METHODS, PRESETS
from VQBEGALLib.study.cohort import numbers
from VQBEGALLib.study.records import SPLITS

EPILOG = """\
exit codes:
  0 done   1 unexpected error   2 wrong usage   3 unusable input   4 study missing, damaged or not ready
  5 study in use by another process   6 disk full or not writable   7 too little memory
  8 a Python package is missing   9 PACS not reached or refusing   130 cancelled; everything finished is kept

A study is a folder. `next` writes the slices to annotate, `label` takes the answers, `train` learns from them;
`run` does all three with an oracle, for experiments. Every command can be interrupted and repeated.
"""

STUDY = "A study is a folder with copies of your volumes, your annotations and every round's network."


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="vqbegal",
        description="Train a liver segmentation network on your own CT and MR by annotating as few slices as possible.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"vqbegal {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, title="commands")
    _phantom(commands)
    _study(commands)
    _rounds(commands)
    _benchmark(commands)
    _use(commands)
    exchange_parser.add_commands(commands, _add)
    _look(commands)
    return parser


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    command: str,
    text: str,
    *,
    computes: bool = False,
    module: str = "commands",
) -> argparse.ArgumentParser:
    """Add a command with the options that all share."""
    parser = commands.add_parser(
        name, help=text, description=text, formatter_class=argparse.RawDescriptionHelpFormatter, epilog=EPILOG
    )
    parser.set_defaults(command=command, module=module)
    shared = parser.add_argument_group("running")
    shared.add_argument(
        "--events",
        choices=("text", "json"),
        default="text",
        help="text for a person (default), or one JSON object a line: device, stage, progress, message, warning and "
        "round, then result or error",
    )
    shared.add_argument("--cancel-file", type=Path, metavar="FILE", help="stop at the next step once this file exists")
    shared.add_argument(
        "--owner", type=whole(1), metavar="PID", help="stop at the next step once this process has ended"
    )
    shared.add_argument("--debug", action="store_true", help="print the traceback of an error")
    if computes:
        shared.add_argument(
            "--device",
            choices=("auto", "cpu", "cuda", "mps"),
            default="auto",
            help="where to compute; auto takes a GPU where there is one",
        )
        shared.add_argument(
            "--threads", type=whole(0), default=0, metavar="N", help="processor threads; 0 (default) takes one a core"
        )
    return parser


def whole(low: int, high: int = 2**31 - 1) -> Callable[[str], int]:
    """Return the type of an option that is a whole number in a range."""

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {low} to {high}")
        return number

    return read


def values(text: str) -> tuple[int, ...]:
    """Read the values of organs in a labelmap, ``6,2,3``."""
    try:
        found = numbers(text)
    except ValueError:
        found = (-1,)
    if min(found) < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of whole numbers, for example 6,2,3")
    return found


SEED = whole(0, 2**32 - 1)


def _phantom(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(commands, "phantom", "phantom", "Write a cohort of simulated CT/MR abdomens with reference labels.")
    parser.add_argument("folder", type=Path, metavar="DIR", help="written into: ct, mr, ct_liver, mr_liver, split.json")
    parser.add_argument("--subjects", type=whole(1), default=8, metavar="N", help="how many; default 8")
    parser.add_argument(
        "--seed", type=SEED, default=0, metavar="N", help="the same seed gives the same abdomens; default 0"
    )
    parser.add_argument(
        "--organs",
        metavar="NAME,NAME,…",
        help="also write ct_organs and mr_organs, where these have 1, 2, …: liver, spleen, pancreas, right kidney, "
        "left kidney, stomach, gallbladder",
    )

    parser = _add(
        commands,
        "demo",
        "demo",
        "Show the whole path on simulated abdomens: study, rounds with an oracle, prediction, report.",
        computes=True,
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="new folder for cohort, study, prediction and report")
    parser.add_argument(
        "--subjects", type=whole(3), default=8, metavar="N", help="simulated patients, at least 3; default 8"
    )
    parser.add_argument("--rounds", type=whole(1), default=3, metavar="N", help="rounds, the first included; default 3")
    parser.add_argument("--seed", type=SEED, default=0, metavar="N", help="fixes every draw; default 0")


def _study(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    group = commands.add_parser("study", help="Create a study, or change its cases and settings.", description=STUDY)
    parts = group.add_subparsers(metavar="ACTION", required=True, title="actions")
    create = _add(
        parts,
        "create",
        "study_create",
        "Create a study: volumes are checked and copied, the originals stay untouched. Without --primary and "
        "--table it has no cases yet; `study add` adds them.",
    )
    create.add_argument("study", type=Path, metavar="STUDY", help="folder to make; must not exist yet, or be empty")
    _cohort(create, required=False)
    create.add_argument(
        "--preset",
        choices=tuple(PRESETS),
        default="small",
        help="settings for tests (tiny), a laptop (small, default) or a GPU (paper)",
    )
    create.add_argument(
        "--method",
        choices=tuple(METHODS),
        metavar="NAME",
        help="how networks are built and trained: default (VQ-BEGAL), paper-literal (its equations as printed), "
        "primary-only (no auxiliary), plain (no codebook), or one of the related systems cmc, ciml and cmems "
        "(docs/settings.md); the same as --set method=NAME",
    )
    create.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="assignments",
        help=f"change a setting (docs/settings.md), repeatable; method={'|'.join(METHODS)} sets several at once",
    )
    create.add_argument("--seed", type=SEED, default=0, metavar="N", help="fixes every draw of the study; default 0")
    create.add_argument(
        "--encoder-weights",
        type=Path,
        metavar="FILE",
        help="safetensors file that the encoders begin with in each round: model.safetensors of another study's round, "
        "or SAM, SAM-Med2D or SAM-Med3D for --method cmc --set encoder=vit; copied into the study",
    )
    add = _add(parts, "add", "study_add", "Add cases to a study; those that it has stay as they are.")
    add.add_argument("study", type=Path, metavar="STUDY")
    _cohort(add, required=True)
    remove = _add(
        parts, "remove", "study_remove", "Take cases out of a study and delete its copies; only such as no round uses."
    )
    remove.add_argument("study", type=Path, metavar="STUDY")
    remove.add_argument("cases", nargs="+", metavar="CASE", help="names, as `next` prints them")
    split = _add(
        parts,
        "split",
        "study_split",
        "Let a case serve training, validation or testing, with all volumes of its patient, while no round uses it.",
    )
    split.add_argument("study", type=Path, metavar="STUDY")
    split.add_argument("case", metavar="CASE", help="its name")
    split.add_argument("split", choices=SPLITS, help="what it serves from now on")
    change = _add(parts, "set", "study_set", "Change settings of a study, for example to raise total_budget.")
    change.add_argument("study", type=Path, metavar="STUDY")
    change.add_argument("assignments", nargs="+", metavar="KEY=VALUE", help="settings as in docs/settings.md")


def _cohort(parser: argparse.ArgumentParser, *, required: bool) -> None:
    source = parser.add_mutually_exclusive_group(required=required)
    source.add_argument(
        "--primary", type=Path, metavar="DIR", help="volumes to segment: files, or DICOM series folders"
    )
    source.add_argument(
        "--table",
        type=Path,
        metavar="CSV",
        help="instead of folders, one line a case: case, primary, auxiliary, primary_labels, auxiliary_labels, "
        "primary_values, auxiliary_values, patient, split, primary_source, auxiliary_source (DICOM files that the "
        "volume was made of)",
    )
    parser.add_argument(
        "--auxiliary", type=Path, metavar="DIR", help="volumes of the other modality; paired by name where names agree"
    )
    parser.add_argument(
        "--primary-labels",
        type=Path,
        metavar="DIR",
        help="reference labelmaps by the same names, for the oracle and for scores",
    )
    parser.add_argument("--auxiliary-labels", type=Path, metavar="DIR", help="the same for the other modality")
    parser.add_argument(
        "--primary-values",
        type=values,
        metavar="N,N,…",
        help="value of each organ in these labelmaps, in the order of the setting organ, for example 6,2,3; 0 for one "
        "that they do not know; without it one organ may have any value, and several have 1, 2, …",
    )
    parser.add_argument("--auxiliary-values", type=values, metavar="N,N,…", help="the same for the other modality")
    parser.add_argument(
        "--split",
        type=Path,
        metavar="FILE",
        help='JSON: {"train": [names], "validation": [names], "test": [names]}; drawn 60:20:20 by the seed without it',
    )


def _rounds(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    run = _add(commands, "run", "run", "Run rounds with an oracle that answers from reference labels.", computes=True)
    run.add_argument("study", type=Path, metavar="STUDY")
    run.add_argument(
        "--annotator", choices=("oracle",), default="oracle", help="who labels: the oracle, from reference labels"
    )
    run.add_argument(
        "--boundary-noise",
        type=float,
        default=0.0,
        metavar="MM",
        help="move the oracle's contours by about this much, as a hand would; default 0",
    )
    _strategy(run)
    run.add_argument(
        "--rounds",
        type=whole(1),
        default=10,
        metavar="N",
        help="rounds in all, the first and those already done included; default 10",
    )
    run.add_argument("--seed", type=SEED, metavar="N", help="replaces the study's seed; only while it has no round")
    run.add_argument("--resume", action="store_true", help="go on with a study that has rounds, or was interrupted")

    step = _add(commands, "next", "next_round", "Score the pool and write the slices to annotate next.", computes=True)
    step.add_argument("study", type=Path, metavar="STUDY")
    _strategy(step)
    step.add_argument("--json", action="store_true", help="print the requests as JSON")

    label = _add(commands, "label", "label", "Take annotated slices of a case into the study.")
    label.add_argument("study", type=Path, metavar="STUDY")
    label.add_argument("case", metavar="CASE", help="the patient's name, as `next` prints it")
    label.add_argument("file", type=Path, metavar="FILE", help="labelmap on the grid of the case's volume")
    label.add_argument(
        "--slices",
        metavar="N,N,…",
        help="annotated slices, for example 12,13,20 or 4-9; counted from 0, as `next` prints them. A study without "
        "rounds begins with these, or with the whole case where none is named",
    )
    label.add_argument(
        "--value",
        "--values",
        dest="values",
        type=values,
        metavar="N",
        help="the organ's value, where the map holds several; of several organs N,N,…, in the order of the setting "
        "organ",
    )
    label.add_argument(
        "--which",
        choices=("primary", "auxiliary"),
        default="primary",
        help="which of the case's volumes; default primary",
    )

    train = _add(commands, "train", "train", "Train the newest round on all labels, then validate.", computes=True)
    train.add_argument("study", type=Path, metavar="STUDY")

    advance = _add(
        commands,
        "advance",
        "advance",
        "Do all that comes before the next annotation: train on the labels there are, validate, select the next "
        "slices, segment their cases. What is done already is left out, so that it goes on after an interruption.",
        computes=True,
    )
    advance.add_argument("study", type=Path, metavar="STUDY")
    _strategy(advance)
    advance.add_argument(
        "--only-train", action="store_true", help="select nothing; segment all training and validation cases"
    )

    estimate = _add(
        commands,
        "estimate",
        "estimate",
        "Say what a round will cost in time and memory on this computer, from a few measured steps; takes seconds.",
        computes=True,
    )
    estimate.add_argument("study", type=Path, metavar="STUDY")


def _strategy(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--strategy",
        default="vq_begal",
        metavar="NAME",
        help="vq_begal (default), egal, random, random_foreground, max_entropy, mc_dropout, taal, coreset, badge, "
        "mvaal or ct_only (docs/BENCHMARK.md); round 0 is drawn by the setting cold_start",
    )


def _benchmark(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(
        commands,
        "benchmark",
        "benchmark",
        "Compare strategies and settings over cohorts, seeds and budgets as a plan says (docs/BENCHMARK.md). What is "
        "finished stays: the same command goes on after an interruption, or with a plan that has grown.",
        computes=True,
        module="benchmarking",
    )
    parser.add_argument("plan", type=Path, metavar="PLAN.toml", help="cohorts, arms, seeds, budgets, settings")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help="results folder; default the plan's name without .toml"
    )
    parser.add_argument(
        "--workers",
        type=whole(1),
        metavar="N",
        help="processes on this computer; default one a GPU, or one a processor core",
    )
    parser.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="a running Dask scheduler, for example tcp://host:8786, whose workers all see the results folder",
    )
    parser.add_argument("--no-report", action="store_true", help="write tables only")


def _use(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    predict = _add(commands, "predict", "predict", "Segment a volume with a study's network.", computes=True)
    predict.add_argument("study", type=Path, metavar="STUDY")
    predict.add_argument("--primary", type=Path, required=True, metavar="FILE", help="volume, or DICOM series folder")
    predict.add_argument("--auxiliary", type=Path, metavar="FILE", help="the other modality, where there is one")
    predict.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FILE", help="labelmap: .nii.gz, .nrrd or .mha"
    )
    predict.add_argument("--round", type=whole(0), metavar="N", help="network of this round; default the newest")

    segment = _add(
        commands,
        "segment",
        "segment",
        "Segment cases of a study with its newest network; the labelmaps stay in the study.",
        computes=True,
    )
    segment.add_argument("study", type=Path, metavar="STUDY")
    segment.add_argument(
        "cases", nargs="*", metavar="CASE", help="which; default all. Those done before are passed over"
    )

    evaluate = _add(
        commands, "evaluate", "evaluate", "Score a study's network against reference labels.", computes=True
    )
    evaluate.add_argument("study", type=Path, metavar="STUDY")
    evaluate.add_argument("--split", choices=("train", "validation", "test"), default="test", help="default test")
    evaluate.add_argument("--round", type=whole(0), metavar="N", help="network of this round; default the newest")
    evaluate.add_argument("--json", action="store_true", help="print the scores as JSON")


def _look(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    report = _add(commands, "report", "report", "Write an HTML report with curves, slices and tables.", computes=True)
    report.add_argument("study", type=Path, metavar="STUDY")
    report.add_argument("-o", "--output", type=Path, metavar="FILE", help="default STUDY/report.html")

    status = _add(commands, "status", "status", "Show where a study stands: cases, rounds, budget, what comes next.")
    status.add_argument("study", type=Path, metavar="STUDY")
    status.add_argument("--json", action="store_true", help="print as JSON")

    check = _add(commands, "check", "check", "Look at every file of a study for damage.")
    check.add_argument("study", type=Path, metavar="STUDY")
