"""The options of the commands that create a study and change its cases and settings."""

from __future__ import annotations

import argparse
from pathlib import Path

from VQBEGALLib.cli.exchange_parser import Add, Commands
from VQBEGALLib.cli.option_types import SEED, values
from VQBEGALLib.config import METHODS, PRESETS
from VQBEGALLib.study.records import SPLITS

STUDY = "A study is a folder with copies of your volumes, your annotations and every round's network."


def add_commands(commands: Commands[argparse.ArgumentParser], add: Add) -> None:
    """Add the actions of ``vqbegal study``."""
    group = commands.add_parser("study", help="Create a study, or change its cases and settings.", description=STUDY)
    parts = group.add_subparsers(metavar="ACTION", required=True, title="actions")
    create = add(
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
    more = add(parts, "add", "study_add", "Add cases to a study; those that it has stay as they are.")
    more.add_argument("study", type=Path, metavar="STUDY")
    _cohort(more, required=True)
    remove = add(
        parts, "remove", "study_remove", "Take cases out of a study and delete its copies; only such as no round uses."
    )
    remove.add_argument("study", type=Path, metavar="STUDY")
    remove.add_argument("cases", nargs="+", metavar="CASE", help="names, as `next` prints them")
    split = add(
        parts,
        "split",
        "study_split",
        "Let a case serve training, validation or testing, with all volumes of its patient, while no round uses it.",
    )
    split.add_argument("study", type=Path, metavar="STUDY")
    split.add_argument("case", metavar="CASE", help="its name")
    split.add_argument("split", choices=SPLITS, help="what it serves from now on")
    change = add(parts, "set", "study_set", "Change settings of a study, for example to raise total_budget.")
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
