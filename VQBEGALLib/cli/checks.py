"""What commands make of their options before they act, and what they warn of."""

from __future__ import annotations

import argparse

from VQBEGALLib.config import Config
from VQBEGALLib.errors import InputError, StorageError
from VQBEGALLib.events import Reporter, plural
from VQBEGALLib.study import Study
from VQBEGALLib.study.checking import Finding
from VQBEGALLib.study.cohort import NewSubject, from_table, gather
from VQBEGALLib.volumes import Volume, organ_labelmap, read_labelmap
from VQBEGALLib.volumes.writing import WRITABLE


def subjects(options: argparse.Namespace) -> list[NewSubject]:
    """Return the subjects that folders or a table name; none where neither is given."""
    seed = getattr(options, "seed", 0)
    folders = {name: getattr(options, name) for name in ("auxiliary", "primary_labels", "auxiliary_labels", "split")}
    values = {name: getattr(options, name) for name in ("primary_values", "auxiliary_values")}
    if options.primary is not None:
        for which in ("primary", "auxiliary"):
            if values[f"{which}_values"] and not folders[f"{which}_labels"]:
                raise InputError(f"--{which}-labels is missing.", f"Give the labels that --{which}-values is about.")
        return gather(options.primary, **folders, **values, seed=seed)
    if options.table is None:
        if any(folders.values()) or any(values.values()):
            raise InputError("--primary is missing.", "Give the volumes to segment too, or leave out all files.")
        return []
    if any(folders.values()) or any(values.values()):
        raise InputError(
            "--table names all files itself, and what is in them.",
            "Leave out --auxiliary, --primary-labels, --auxiliary-labels, --split and the values.",
        )
    return from_table(options.table, seed=seed)


def organs(options: argparse.Namespace, study: Study, grid: Volume) -> Volume:
    """Read a labelmap and return the study's organs by their numbers, from 1 on."""
    labelmap, names = read_labelmap(options.file, grid=grid), study.config.organs
    remedy = "Name the organ's value with --value N, or export the organ alone."
    if len(names) > 1:
        remedy = f"Name with --values the value of each organ, in this order: {', '.join(names)}."
    if 0 in (options.values or ()):
        raise InputError("An annotated slice speaks of every organ, and one has the value 0.", remedy)
    try:
        return organ_labelmap(labelmap, len(names), values=options.values)
    except InputError as error:
        raise InputError(f"{options.file}: {error.problem}", remedy) from error


def warn_of_use(study: Study, options: argparse.Namespace, extra: list[int], reporter: Reporter) -> None:
    """Warn where labels serve for something else than a person may expect."""
    split = study.subjects[options.case].split
    if split != "train":
        reporter.warn(f"{options.case} is in the {split} split: its labels are kept, but nothing is trained on them.")
    elif options.which == "auxiliary":
        if study.config.training.supervise == "primary":
            reporter.warn("Labels of auxiliary volumes are kept, but train only with the setting supervise=both.")
    elif extra:
        shown = ", ".join(map(str, extra))
        reporter.warn(f"The newest round did not ask for slices {shown}; they train the whole network.")


def warn_of_budget(study: Study, reporter: Reporter) -> None:
    """Warn where what a study begins with leaves nothing to ask for."""
    budget = study.ledger()["budget"]
    if not budget["left"]:
        reporter.warn(
            f"What is annotated uses up the budget of {plural(budget['total'], 'slice')}: no more will be asked for. "
            f"Raise it with `vqbegal study set {study.folder.name} total_budget=N`."
        )


def warn_of_frozen(config: Config, reporter: Reporter) -> None:
    """Warn where a study without encoder weights would keep its encoders as they are drawn."""
    if config.network.architecture == "cmc" and config.cmc.freeze_encoders:
        reporter.warn(
            "freeze_encoders keeps the encoders' weights, and the study has none: they will stay random. Create it "
            "with --encoder-weights FILE, or without freeze_encoders."
        )


def check_output(options: argparse.Namespace, study: Study) -> None:
    """Refuse, before anything is computed, a place where the labelmap cannot or must not go."""
    output = options.output
    if not output.name.lower().endswith(WRITABLE):
        raise InputError(f"{output} has no suffix of a known format.", f"Choose one of {', '.join(WRITABLE)}.")
    if not output.parent.is_dir():
        raise StorageError(f"The folder {output.parent} does not exist.", "Create it first, or choose another.")
    sources = [path for path in (options.primary, options.auxiliary) if path is not None and path.exists()]
    if output.exists() and any(output.samefile(path) for path in sources):
        raise InputError(f"{output} is the volume to segment.", "Choose another name for the labelmap.")
    if output.resolve().is_relative_to(study.folder):
        raise InputError(f"{output} lies inside the study.", "Choose a place outside of it for the labelmap.")


def network_findings(study: Study, reporter: Reporter) -> list[Finding]:
    """Check the networks where torch is there to read them."""
    try:
        from VQBEGALLib.rounds import check_networks
    except ImportError:
        reporter.warn("The rounds' networks were not checked: PyTorch (torch) is not installed.")
        return []
    return check_networks(study)
