"""The commands that exchange images and results with files and PACS."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from VQBEGALLib import delivery
from VQBEGALLib.cli.credentials import Told, password, server_named, server_of, told
from VQBEGALLib.cli.terminal import Result
from VQBEGALLib.delivery import Check, Choice, Item, Sent
from VQBEGALLib.delivery.results import METHOD, What, organ_segments
from VQBEGALLib.errors import InputError, ServerError
from VQBEGALLib.events import Reporter
from VQBEGALLib.export.segmentation import Code, Segment
from VQBEGALLib.pacs import profiles, secrets
from VQBEGALLib.pacs.connection import Connection, FoundStudy, connect
from VQBEGALLib.pacs.server import Server
from VQBEGALLib.study import Study
from VQBEGALLib.study.records import Which
from VQBEGALLib.volumes import read_labelmap

_OF_A_CASE = ("format", "what", "labelmap", "segments", "code", "creator", "source")
"""Options that say what of a case is exported."""

_MARKS = {"ok": "✓", "warning": "!", "error": "✗"}


def export(options: argparse.Namespace, reporter: Reporter) -> Result:
    """Write a case's result to a file, or say what stands in the way."""
    study, given = Study.open(options.study), told(options)
    choice = _choice(options, study, given)
    asked = bool(options.server or given.server)
    if options.check:
        return _checklist(delivery.preflight(study, choice, server=server_named(options, given) if asked else None))
    if options.output is None:
        raise InputError("No file is named.", "Name it with --output.")
    if not asked:
        done = delivery.export(study, choice, options.output, reporter=reporter)
    else:
        with connect(*server_of(options, given), reporter) as connection:
            done = delivery.export(study, choice, options.output, reporter=reporter, server=connection)
    return Result(
        {
            "path": str(options.output),
            "format": choice.format,
            "segments": done.segments,
            "slices": done.slices,
            "bytes": done.size,
        },
        f"{options.output}: {done.slices} slices of {choice.case} hold a segment.",
    )


def push(options: argparse.Namespace, reporter: Reporter) -> Result:
    """Send a case's result to a PACS, or what waits."""
    study, given = Study.open(options.study), told(options)
    if options.case is None and (named := [f"--{name}" for name in _OF_A_CASE if getattr(options, name)]):
        raise InputError(f"{named[0]} is for a case, and none is named.", "Name the case, or leave the option out.")
    server, secret = server_of(options, given)
    with study.writing("send"):
        if options.case is None:
            found = delivery.resend(study, server, secret, reporter=reporter)
        else:
            found = delivery.push(study, _choice(options, study, given), server, secret, reporter=reporter)
    return _sent(found, server)


def queue(options: argparse.Namespace, reporter: Reporter) -> Result:
    """Show what waits to be sent, or give it up."""
    study = Study.open(options.study)
    if options.remove:
        with study.writing("remove from the queue"):
            delivery.remove(study.folder, options.remove)
            study.log({"event": "given up", "item": options.remove})
    if options.redirect:
        with study.writing("redirect"):
            delivery.redirect(study, options.redirect, server_named(options, Told({})))
    items = delivery.waiting(study.folder)
    lines = [_line(item) for item in items] or ["Nothing waits."]
    return Result({"items": [_plain(item) for item in items]}, "\n".join(lines))


def query(options: argparse.Namespace, reporter: Reporter) -> Result:
    """List a patient's studies and series on a PACS."""
    given = told(options)
    with connect(*server_of(options, given), reporter) as connection:
        found = _studies(connection, options, given)
    return Result({"studies": [_of_study(each) for each in found]}, _studies_text(found))


def _studies(connection: Connection, options: argparse.Namespace, given: Told) -> list[FoundStudy]:
    return connection.query(
        patient=given.text("patient", options.patient), study_uid=given.text("study_uid", options.study_uid)
    )


def pull(options: argparse.Namespace, reporter: Reporter) -> Result:
    """Fetch a CT/MR pair from a PACS and add it as a case."""
    from VQBEGALLib.cli import tables

    study, given = Study.open(options.study), told(options)
    named: dict[Which, str] = {"primary": options.primary_series, "auxiliary": options.auxiliary_series}
    if options.case in study.subjects:
        raise InputError(f"The study has a case {options.case!r} already.", "Choose another name.")
    server, secret = server_of(options, given)
    with study.writing("pull"), connect(server, secret, reporter) as connection:
        found = _studies(connection, options, given)
        series = delivery.chosen(study, found, named)
        delivery.pull(
            study, options.case, series, connection, split=options.split, keep=not options.discard, reporter=reporter
        )
    return tables.status(study)


def server_add(options: argparse.Namespace, reporter: Reporter) -> Result:
    """Remember a server."""
    names = [field.name for field in dataclasses.fields(Server)]
    fields = {name: value for name, value in vars(options).items() if name in names}
    fields["auth"] = options.auth or ("basic" if options.user else "none")
    for name in ("ca_file", "cert_file", "key_file"):
        fields[name] = _existing(fields[name])
    server = Server.from_json(fields)
    if options.password_stdin and not options.remember_password:
        raise InputError("Nothing is done with the password.", "Add --remember-password, or leave it out.")
    profiles.save_server(server)
    if options.remember_password:
        secret = password(options, server)
        if secret is None:
            raise InputError("The server asks for no password.", "Name a user, or choose --auth bearer.")
        secrets.remember(server, secret)
    return Result({"server": server.to_json()}, f"{server.name} is remembered.")


def server_list(options: argparse.Namespace, reporter: Reporter) -> Result:
    """List the remembered servers."""
    servers = profiles.load_servers()
    lines = [f"{server.name}  {server.url}" for server in servers] or ["No server is remembered."]
    return Result({"servers": [server.to_json() for server in servers]}, "\n".join(lines))


def server_remove(options: argparse.Namespace, reporter: Reporter) -> Result:
    """Forget a server and its password."""
    secrets.forget(profiles.find_server(options.name))
    profiles.remove_server(options.name)
    return Result({"removed": options.name}, f"{options.name} is forgotten.")


def server_test(options: argparse.Namespace, reporter: Reporter) -> Result:
    """See whether a server answers."""
    with connect(*server_of(options, told(options)), reporter) as connection:
        text = connection.test()
    return Result({"text": text}, text)


def _existing(name: str) -> str:
    """Return a file's name that holds wherever a command is called; an InputError where there is no such file."""
    if name and not Path(name).is_file():
        raise InputError(f"{name} does not exist.", "Check the path.")
    return str(Path(name).resolve()) if name else ""


def _choice(options: argparse.Namespace, study: Study, given: Told) -> Choice:
    labelmap, what = None, cast(What, options.what or "prediction")
    segments: Sequence[Segment] = _segments(options)
    if options.labelmap is not None:
        labelmap = read_labelmap(options.labelmap, grid=study.grid(options.case))
        segments = segments or organ_segments(study.config.organs, "MANUAL")
    if options.code:
        if segments:
            raise InputError("--code is for the study's organ alone.", "Write the codes into the file of --segments.")
        segments = organ_segments(study.config.organs, METHOD[what])
        if len(segments) > 1:
            raise InputError("--code is for a study of one organ.", "Write the codes into the file of --segments.")
        segments = (dataclasses.replace(segments[0], type=_code(options.code)),)
    return Choice(
        case=options.case,
        format=options.format or "seg",
        what=what,
        labelmap=labelmap,
        segments=segments,
        creator=given.text("creator", options.creator),
        sources=options.source,
    )


def _segments(options: argparse.Namespace) -> list[Segment]:
    if options.segments is None:
        return []
    try:
        items = json.loads(options.segments.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{options.segments} cannot be read as JSON.", "Write it as the help shows.") from error
    if not isinstance(items, list) or not items:
        raise InputError(f"{options.segments} holds no list of segments.", "Write it as the help shows.")
    return [Segment.from_json(item) for item in items]


def _code(text: str) -> Code:
    scheme, _, rest = text.partition(":")
    value, _, meaning = rest.partition(":")
    return Code.from_json({"value": value, "scheme": scheme, "meaning": meaning})


def _checklist(checks: list[Check]) -> Result:
    lines = [f"{_MARKS[check.level]} {check.name}: {check.text} {check.remedy}".rstrip() for check in checks]
    data = [dataclasses.asdict(check) for check in checks]
    ready = delivery.ready(checks)
    return Result({"checks": data, "ready": ready}, "\n".join(lines), code=0 if ready else InputError.exit_code)


def _sent(found: Sent, server: Server) -> Result:
    problems = [{"instance": f"…{uid[-12:]}", "reason": reason} for uid, reason in found.problems.items()]
    data = {
        "sent": found.sent,
        "already": found.already,
        "waiting": found.waiting,
        "problems": problems,
        "server": server.name,
    }
    parts = [f"{found.sent} sent to {server.name}"] if found.sent or problems else []
    parts += [f"{found.already} were there already"] if found.already else []
    parts += [f"{len(problems)} refused"] if problems else []
    parts += [f"{found.waiting} wait"] if found.waiting else []
    lines = [
        ", ".join(parts or [f"Nothing waits for {server.name}"]) + ".",
        *(f"{item['instance']}: {item['reason']}" for item in problems),
    ]
    return Result(data, "\n".join(lines), code=ServerError.exit_code if problems else 0)


def _plain(item: Item) -> dict[str, Any]:
    return {
        "id": item.id,
        "case": item.about.get("case"),
        "format": item.about.get("format"),
        "server": item.server,
        "created": item.created,
        "instances": len(item.instances),
        "left": len(item.left),
        "last_problem": item.last_problem,
    }


def _line(item: Item) -> str:
    about = f"{item.about.get('case')} ({item.about.get('format')})"
    problem = f": {item.last_problem}" if item.last_problem else ""
    return f"{item.id}  {about} for {item.server}, {len(item.left)} of {len(item.instances)} wait{problem}"


def _of_study(study: FoundStudy) -> dict[str, Any]:
    return {**vars(study), "modalities": list(study.modalities), "series": [dict(vars(item)) for item in study.series]}


def _studies_text(found: Sequence[FoundStudy]) -> str:
    lines = []
    for study in found:
        lines.append(f"{study.date}  {study.description}  {study.study_uid}")
        lines += [
            f"  {item.modality}  {item.images} images  {item.description}  {item.series_uid}" for item in study.series
        ]
    return "\n".join(lines) or "The PACS has nothing there."
