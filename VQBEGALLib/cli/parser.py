"""The options of every command, written so that ``--help`` can be read like a manual."""

from __future__ import annotations

import argparse
from pathlib import Path

from VQBEGALLib import __version__
from VQBEGALLib.config import METHODS, PRESETS

EPILOG = """\
exit codes:
  0 done   1 unexpected error   2 wrong usage   3 unusable input   4 study missing, damaged or not ready
  5 study in use by another process   6 disk full or not writable   7 too little memory
  8 a Python package is missing   130 cancelled; everything finished is kept

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
    _study(commands)
    _rounds(commands)
    _use(commands)
    _look(commands)
    return parser


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    command: str,
    text: str,
    *,
    computes: bool = False,
) -> argparse.ArgumentParser:
    """Add a command with the options that all share."""
    parser = commands.add_parser(
        name, help=text, description=text, formatter_class=argparse.RawDescriptionHelpFormatter, epilog=EPILOG
    )
    parser.set_defaults(command=command)
    shared = parser.add_argument_group("running")
    shared.add_argument(
        "--events",
        choices=("text", "json"),
        default="text",
        help="text for a person (default), or one JSON object a line: stage, progress, message, warning, round, "
        "then result or error",
    )
    shared.add_argument("--cancel-file", type=Path, metavar="FILE", help="stop at the next step once this file exists")
    shared.add_argument("--debug", action="store_true", help="print the traceback of an error")
    if computes:
        shared.add_argument(
            "--device",
            choices=("auto", "cpu", "cuda", "mps"),
            default="auto",
            help="where to compute; auto takes a GPU where there is one",
        )
        shared.add_argument(
            "--threads", type=int, default=0, metavar="N", help="processor threads; 0 (default) takes one a core"
        )
    return parser


def _phantom(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(commands, "phantom", "phantom", "Write a cohort of simulated CT/MR abdomens with reference labels.")
    parser.add_argument("folder", type=Path, metavar="DIR", help="written into: ct, mr, ct_liver, mr_liver, split.json")
    parser.add_argument("--subjects", type=int, default=8, metavar="N", help="default 8")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="default 0")

    parser = _add(
        commands,
        "demo",
        "demo",
        "Show the whole path on simulated abdomens: study, rounds with an oracle, prediction, report.",
        computes=True,
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="new folder for cohort, study, prediction and report")
    parser.add_argument("--subjects", type=int, default=8, metavar="N", help="default 8")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="rounds, the seed round included; default 3")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="default 0")


def _study(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    group = commands.add_parser("study", help="Create a study or add cases to one.", description="Studies.")
    parts = group.add_subparsers(metavar="ACTION", required=True, title="actions")
    create = _add(
        parts, "create", "study_create", "Create a study: volumes are checked and copied, the originals stay untouched."
    )
    create.add_argument("study", type=Path, metavar="STUDY", help="new folder")
    _cohort(create)
    create.add_argument("--preset", choices=tuple(PRESETS), default="small", help="default small, for a laptop's CPU")
    create.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="assignments",
        help=f"change a setting (docs/settings.md), repeatable; method={'|'.join(METHODS)} sets several at once",
    )
    create.add_argument("--seed", type=int, default=0, metavar="N", help="fixes every draw of the study; default 0")
    add = _add(parts, "add", "study_add", "Add cases to a study.")
    add.add_argument("study", type=Path, metavar="STUDY")
    _cohort(add)


def _cohort(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--primary", type=Path, metavar="DIR", help="volumes to segment: files, or DICOM series folders"
    )
    parser.add_argument(
        "--auxiliary", type=Path, metavar="DIR", help="volumes of the other modality; paired by name where names agree"
    )
    parser.add_argument("--primary-labels", type=Path, metavar="DIR", help="reference labelmaps by the same names")
    parser.add_argument("--auxiliary-labels", type=Path, metavar="DIR", help="the same for the other modality")
    parser.add_argument("--split", type=Path, metavar="FILE", help="JSON: train, validation and test names")
    parser.add_argument(
        "--table",
        type=Path,
        metavar="CSV",
        help="instead of folders: case, primary, auxiliary, primary_labels, auxiliary_labels, patient, split",
    )


def _rounds(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    run = _add(commands, "run", "run", "Run rounds with an oracle that answers from reference labels.", computes=True)
    run.add_argument("study", type=Path, metavar="STUDY")
    run.add_argument("--annotator", choices=("oracle",), default="oracle")
    run.add_argument("--boundary-noise", type=float, default=0.0, metavar="MM", help="disturb the oracle's contours")
    _strategy(run)
    run.add_argument(
        "--rounds", type=int, default=10, metavar="N", help="rounds in all, the seed round included; default 10"
    )
    run.add_argument("--seed", type=int, metavar="N", help="fixes every draw; only before round 0")
    run.add_argument("--resume", action="store_true", help="go on with a study that has rounds")

    step = _add(commands, "next", "next_round", "Score the pool and write the slices to annotate next.", computes=True)
    step.add_argument("study", type=Path, metavar="STUDY")
    _strategy(step)
    step.add_argument("--json", action="store_true", help="print the requests as JSON")

    label = _add(commands, "label", "label", "Take annotated slices of a case into the study.")
    label.add_argument("study", type=Path, metavar="STUDY")
    label.add_argument("case", metavar="CASE")
    label.add_argument("file", type=Path, metavar="FILE", help="labelmap on the grid of the case's volume")
    label.add_argument(
        "--slices", required=True, metavar="N,N,…", help="annotated slices, as `next` counts them; 4-9 is a range"
    )
    label.add_argument("--value", type=int, metavar="N", help="label value of the organ, where the map holds several")
    label.add_argument(
        "--which",
        choices=("primary", "auxiliary"),
        default="primary",
        help="which of the case's volumes; default primary",
    )

    train = _add(commands, "train", "train", "Train the newest round on all labels, then validate.", computes=True)
    train.add_argument("study", type=Path, metavar="STUDY")


def _strategy(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--strategy",
        default="vq_begal",
        metavar="NAME",
        help="vq_begal (default), egal, random or random_foreground; round 0 is drawn by the setting cold_start",
    )


def _use(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    predict = _add(commands, "predict", "predict", "Segment a volume with a study's network.", computes=True)
    predict.add_argument("study", type=Path, metavar="STUDY")
    predict.add_argument("--primary", type=Path, required=True, metavar="FILE", help="volume, or DICOM series folder")
    predict.add_argument("--auxiliary", type=Path, metavar="FILE", help="the other modality, where there is one")
    predict.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FILE", help="labelmap: .nii.gz, .nrrd or .mha"
    )
    predict.add_argument("--round", type=int, metavar="N", help="network of this round; default the newest")

    evaluate = _add(
        commands, "evaluate", "evaluate", "Score a study's network against reference labels.", computes=True
    )
    evaluate.add_argument("study", type=Path, metavar="STUDY")
    evaluate.add_argument("--split", choices=("train", "validation", "test"), default="test", help="default test")
    evaluate.add_argument("--round", type=int, metavar="N", help="network of this round; default the newest")
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
