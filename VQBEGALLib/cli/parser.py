"""The options of every command, written so that ``--help`` can be read like a manual."""

from __future__ import annotations

import argparse
from pathlib import Path

from VQBEGALLib import __version__
from VQBEGALLib.cli import exchange_parser, study_parser
from VQBEGALLib.cli.option_types import SEED, values, whole

EPILOG = """\
exit codes:
  0 done   1 unexpected error   2 wrong usage   3 unusable input   4 study missing, damaged or not ready
  5 study in use by another process   6 disk full or not writable   7 too little memory
  8 a Python package is missing   9 PACS not reached or refusing   130 cancelled; everything finished is kept

A study is a folder. `next` writes the slices to annotate, `label` takes the answers, `train` learns from them;
`run` does all three with an oracle, for experiments. Every command can be interrupted and repeated.
"""


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
    study_parser.add_commands(commands, _add)
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
