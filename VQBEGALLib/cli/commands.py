"""The commands: each opens its study, calls the rooms, and says what came of it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from VQBEGALLib.cli import checks, tables
from VQBEGALLib.cli.terminal import Result
from VQBEGALLib.config import parse_assignments, preset, split_organs
from VQBEGALLib.delivery import remember_sources, remove_cases
from VQBEGALLib.errors import InputError, StudyError
from VQBEGALLib.events import Reporter, plural
from VQBEGALLib.slices import SliceFrame
from VQBEGALLib.study import Study
from VQBEGALLib.volumes import Volume, read_volume, write_volume

if TYPE_CHECKING:  # torch is imported only by the commands that need it
    import torch

    from VQBEGALLib.network.device import Compute
    from VQBEGALLib.rounds import Material


def phantom(options: argparse.Namespace, reporter: Reporter) -> Result:
    """Write a cohort of simulated abdomens."""
    from VQBEGALLib.volumes.phantom import write_cohort

    organs = split_organs(options.organs) if options.organs else ()
    write_cohort(options.folder, subjects=options.subjects, seed=options.seed, reporter=reporter, organs=organs)
    return Result(
        {"folder": str(options.folder), "subjects": options.subjects},
        f"{options.subjects} simulated abdomens are in {options.folder}.",
    )


def study_create(options: argparse.Namespace, reporter: Reporter) -> Result:
    """Create a study."""
    changes = {"seed": str(options.seed), **parse_assignments(options.assignments)}
    if options.method is not None and changes.setdefault("method", options.method) != options.method:
        raise InputError("--method and --set name different methods.", "Name it once.")
    subjects, config = checks.subjects(options), preset(options.preset, changes)
    if options.encoder_weights is not None:
        from VQBEGALLib.rounds import with_weights

        with_weights(config, options.encoder_weights, reporter)  # what does not fit is told before anything is copied
    else:
        checks.warn_of_frozen(config, reporter)
    study = Study.create(options.study, config, subjects, reporter=reporter, encoder_weights=options.encoder_weights)
    remember_sources(study, subjects)
    return tables.status(study)


def study_add(options: argparse.Namespace, reporter: Reporter) -> Result:
    """Add cases to a study."""
    study, subjects = Study.open(options.study), checks.subjects(options)
    study.add_subjects(subjects, reporter=reporter)
    remember_sources(study, subjects)
    return tables.status(study)


def study_remove(options: argparse.Namespace, reporter: Reporter) -> Result:
    """Take cases out of a study."""
    study = Study.open(options.study)
    with study.writing("remove cases"):
        remove_cases(study, options.cases)
    return tables.status(study)


def study_split(options: argparse.Namespace, reporter: Reporter) -> Result:
    """Let a case serve training, validation or testing."""
    study = Study.open(options.study)
    study.set_split(options.case, options.split)
    return tables.status(study)


def study_set(options: argparse.Namespace, reporter: Reporter) -> Result:
    """Change settings of a study."""
    study = Study.open(options.study)
    study.configure(parse_assignments(options.assignments))
    return tables.status(study)


def run(options: argparse.Namespace, reporter: Reporter) -> Result:
    """Run rounds with an oracle."""
    from VQBEGALLib.rounds import Oracle
    from VQBEGALLib.rounds import run as run_rounds
    from VQBEGALLib.selection import strategy

    study = Study.open(options.study)
    if study.rounds() and not options.resume:
        raise StudyError(
            f"The study has {len(study.rounds())} rounds already.", "Add --resume to go on, or create another study."
        )
    strategy(options.strategy)
    oracle, device = Oracle(options.boundary_noise), _device(options, reporter)
    oracle.check(study)
    if options.seed is not None and options.seed != study.config.seed:
        study.configure({"seed": options.seed})
    study.log(
        {
            "event": "run",
            "command": f"vqbegal run STUDY --annotator oracle --strategy {options.strategy} --rounds {options.rounds} "
            f"--boundary-noise {options.boundary_noise:g} --seed {study.config.seed}",
        }
    )
    reason = run_rounds(
        study,
        strategy_name=options.strategy,
        rounds=options.rounds,
        oracle=oracle,
        device=device,
        reporter=reporter,
    )
    return tables.rounds(study, reason)


def next_round(options: argparse.Namespace, reporter: Reporter) -> Result:
    """Select the slices of the next round."""
    from VQBEGALLib.rounds import Material, select

    study = Study.open(options.study)
    with study.writing("select the next round"):
        chosen = select(
            Material(study, reporter), options.strategy, device=_device(options, reporter), reporter=reporter
        )
    return tables.requests(study, chosen, as_json=options.json)


def label(options: argparse.Namespace, reporter: Reporter) -> Result:
    """Take annotated slices into the study."""
    study = Study.open(options.study)
    grid = study.grid(options.case, options.which)
    frame = SliceFrame.of(grid)
    slices = None if options.slices is None else tables.slice_numbers(options.slices, frame.count)
    labelmap = checks.organs(options, study, grid)
    if not study.rounds():
        return _begin(study, options, labelmap, slices, reporter)
    if slices is None:
        raise InputError("No slice is named.", "Write for example --slices 12,13,20 or 4-9.")
    with study.writing(f"label {options.case}"):
        current = study.rounds()[-1]
        primary = options.which == "primary"
        asked = {item.slice: item.role for item in current.requests if primary and item.case == options.case}
        study.put_labels(
            options.case, labelmap, slices, round=current.index, roles=asked, axis=frame.axis, which=options.which
        )
        study.set_status(current.index, [(options.case, each) for each in slices if each in asked], "done")
        planes = frame.planes(labelmap.voxels)
        if empty := [each for each in slices if not planes[each].any()]:
            shown = ", ".join(map(str, empty))
            names = " or ".join(study.config.organs)
            reporter.message(f"There is no {names} on slices {shown}; they count as slices without it.")
        checks.warn_of_use(study, options, [each for each in slices if each not in asked], reporter)
    return tables.status(study)


def _begin(
    study: Study, options: argparse.Namespace, labelmap: Volume, slices: list[int] | None, reporter: Reporter
) -> Result:
    """Let a study without rounds begin with annotated slices of a case, or with all of them."""
    from VQBEGALLib.rounds import begin_with

    if options.which != "primary":
        raise StudyError(
            "The study has no round yet, and only labels of a primary volume can begin it.",
            "Give those first (`vqbegal label STUDY CASE FILE`), or select the first slices with `vqbegal next`.",
        )
    taken = begin_with(study, options.case, labelmap, slices)
    reporter.message(f"The study begins with {plural(len(taken), 'slice')} of {options.case} (cold_start=exemplar).")
    checks.warn_of_budget(study, reporter)
    return tables.status(study)


def train(options: argparse.Namespace, reporter: Reporter) -> Result:
    """Train the newest round, then validate."""
    from VQBEGALLib.rounds import Material, train_round, validate

    study, device = Study.open(options.study), _device(options, reporter)
    with study.writing("train"):
        material = Material(study, reporter)
        trained = train_round(material, device=device, reporter=reporter)
        validate(material, trained, device=device, reporter=reporter)
    return tables.rounds(study, f"Round {trained.index} is trained.")


def advance(options: argparse.Namespace, reporter: Reporter) -> Result:
    """Train on what is annotated, select the next round, segment what it asks for."""
    from VQBEGALLib.rounds import advance as advance_study

    study = Study.open(options.study)
    found = advance_study(
        study,
        strategy_name=options.strategy,
        device=_device(options, reporter),
        reporter=reporter,
        select=not options.only_train,
        fallback=options.device == "auto",
    )
    return tables.advance(found)


def estimate(options: argparse.Namespace, reporter: Reporter) -> Result:
    """Say what a round will cost in time and memory."""
    from VQBEGALLib.rounds import estimate as estimate_round

    study, fallback = Study.open(options.study), options.device == "auto"
    found = estimate_round(study, device=_device(options, reporter), reporter=reporter, fallback=fallback)
    return tables.estimate(found)


def predict(options: argparse.Namespace, reporter: Reporter) -> Result:
    """Segment a volume."""
    from VQBEGALLib.inference import predict as predict_volume
    from VQBEGALLib.rounds import load_round, newest_trained

    study = Study.open(options.study)
    checks.check_output(options, study)
    model, _ = load_round(study, newest_trained(study) if options.round is None else options.round)
    primary = read_volume(options.primary)
    auxiliary = None if options.auxiliary is None else read_volume(options.auxiliary)
    labelmap = predict_volume(
        model, study.config, primary, auxiliary, device=_device(options, reporter), reporter=reporter
    )
    write_volume(options.output, labelmap)
    return tables.prediction(labelmap, options.output, study.config.organs)


def segment(options: argparse.Namespace, reporter: Reporter) -> Result:
    """Segment cases of a study with its newest network."""
    from VQBEGALLib.rounds import Material, segment_cases

    study, compute = Study.open(options.study), _compute(options, reporter)
    with study.writing("segment"):
        names = options.cases or [case.name for case in study.cases()]
        splits = {study.subject(name).split for name in names}
        material = Material(study, reporter, splits)
        found = compute.run(lambda device: segment_cases(material, names, device=device, reporter=reporter))
    return tables.predictions(dict(zip(dict.fromkeys(names), found, strict=True)))


def evaluate(options: argparse.Namespace, reporter: Reporter) -> Result:
    """Score the network on a split, without and with the auxiliary, and note it in the round."""
    from VQBEGALLib.rounds import Material, evaluate_round, newest_trained

    study, device = Study.open(options.study), _device(options, reporter)
    with study.writing("evaluate"):
        index = newest_trained(study) if options.round is None else options.round
        material: Material = Material(study, reporter)
        found = evaluate_round(material, index, options.split, device=device, reporter=reporter)
    return tables.evaluation(found, index, options.split, as_json=options.json)


def report(options: argparse.Namespace, reporter: Reporter) -> Result:
    """Write the HTML report."""
    from VQBEGALLib.evidence.report import write_report

    study = Study.open(options.study)
    path = write_report(study, options.output, device=_device(options, reporter), reporter=reporter)
    return Result({"report": str(path)}, f"The report is {path}.")


def status(options: argparse.Namespace, reporter: Reporter) -> Result:
    """Show where a study stands."""
    return tables.status(Study.open(options.study), as_json=options.json)


def check(options: argparse.Namespace, reporter: Reporter) -> Result:
    """Look at every file of a study.

    Raises:
        StudyError: there is damage.
    """
    study = Study.open(options.study)
    found = [*study.check(), *checks.network_findings(study, reporter)]
    errors = [finding.text for finding in found if finding.level == "error"]
    notes = [finding.text for finding in found if finding.level != "error"]
    for text in errors:
        reporter.warn(text)
    for text in notes:
        reporter.message(text)
    if errors:
        more = f" There are {len(errors) - 1} more." if len(errors) > 1 else ""
        raise StudyError(f"The study is damaged. {errors[0]}{more}")
    return Result({"problems": 0, "notes": notes}, "The study is whole.")


def demo(options: argparse.Namespace, reporter: Reporter) -> Result:
    """Run the whole path on simulated abdomens."""
    from VQBEGALLib.evidence.demo import run_demo

    return Result(
        *run_demo(
            options.folder,
            subjects=options.subjects,
            rounds=options.rounds,
            seed=options.seed,
            device=_device(options, reporter),
            reporter=reporter,
        )
    )


def _device(options: argparse.Namespace, reporter: Reporter) -> torch.device:
    from VQBEGALLib.network.device import choose_device

    return choose_device(options.device, threads=options.threads, reporter=reporter)


def _compute(options: argparse.Namespace, reporter: Reporter) -> Compute:
    from VQBEGALLib.network.device import Compute

    return Compute(_device(options, reporter), reporter, fallback=options.device == "auto")
