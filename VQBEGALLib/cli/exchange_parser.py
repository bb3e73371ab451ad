"""The options of the commands that exchange images and results with files and PACS."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from VQBEGALLib.delivery import DICOM, FORMATS, WHATS
from VQBEGALLib.study.records import SPLITS

Add = Callable[..., argparse.ArgumentParser]
Commands = argparse._SubParsersAction

SERVER = (
    "name of a server from `vqbegal server add`, or its address: https://host/dicom-web (DICOMweb) or "
    "dicoms://AET@host:port (C-STORE)"
)


def add_commands(commands: Commands[argparse.ArgumentParser], add: Add) -> None:
    """Add the commands ``export``, ``push``, ``queue``, ``pull``, ``query`` and ``server``."""
    _export(commands, add)
    _push(commands, add)
    _pull(commands, add)
    _server(commands, add)


def _export(commands: Commands[argparse.ArgumentParser], add: Add) -> None:
    export = add(
        commands,
        "export",
        "export",
        "Write a case's result to a file: NIfTI, NRRD (.seg.nrrd with names, colours and codes), MetaImage, DICOM SEG, "
        "RTSTRUCT, or a folder of secondary captures with the outline burned in.",
        module="exchange",
    )
    export.add_argument("study", type=Path, metavar="STUDY")
    export.add_argument("case", metavar="CASE", help="its name")
    export.add_argument("--format", choices=FORMATS, required=True, help="of the file; sc makes a folder of files")
    export.add_argument("-o", "--output", type=Path, metavar="PATH", help="file to write; for sc a new folder")
    _choice(export)
    export.add_argument(
        "--check", action="store_true", help="write nothing; list what stands in the way, and what to do about it"
    )
    _connection(export, required=False)


def _choice(parser: argparse.ArgumentParser) -> None:
    what = parser.add_argument_group("what")
    what.add_argument(
        "--what",
        choices=WHATS,
        help="the newest prediction (default), the annotated slices alone, or the prediction corrected by them",
    )
    what.add_argument(
        "--labelmap", type=Path, metavar="FILE", help="instead: a labelmap on the grid of the case's primary volume"
    )
    what.add_argument(
        "--segments",
        type=Path,
        metavar="JSON",
        help='what its values mean: [{"value": 1, "name": "Liver", "color": [221, 130, 101], "type": {"value": '
        '"10200004", "scheme": "SCT", "meaning": "Liver"}, "method": "MANUAL"}]; category and type are optional',
    )
    what.add_argument(
        "--code", metavar="SCHEME:VALUE:MEANING", help="of the study's only organ, where it is no common one"
    )
    what.add_argument("--creator", default="", metavar="NAME", help="who answers for it, Family^Given; default nobody")
    what.add_argument(
        "--source",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="folder with the case's DICOM images, or a .txt file that lists them, where they were moved; repeatable",
    )


def _connection(parser: argparse.ArgumentParser, *, required: bool) -> None:
    server = parser.add_argument_group("server")
    server.add_argument("--server", required=required, metavar="NAME|URL", help=SERVER)
    _input(server)


def _input(group: argparse._ArgumentGroup) -> None:
    given = group.add_mutually_exclusive_group()
    given.add_argument(
        "--password-stdin",
        action="store_true",
        help="read the password or token from the first line of standard input; else it comes from the system's "
        "keyring, or is asked for",
    )
    given.add_argument(
        "--stdin",
        action="store_true",
        help='read one JSON object from standard input: {"server": {"name", "url", "secret", …}, "patient", '
        '"study_uid", "creator"}; what it names replaces the options',
    )


def _push(commands: Commands[argparse.ArgumentParser], add: Add) -> None:
    push = add(
        commands,
        "push",
        "push",
        "Send a case's result to a PACS. What cannot be sent waits in the study; without CASE what waits is sent.",
        module="exchange",
    )
    push.add_argument("study", type=Path, metavar="STUDY")
    push.add_argument("case", nargs="?", metavar="CASE", help="its name")
    push.add_argument("--format", choices=DICOM, help="default seg")
    _choice(push)
    _connection(push, required=False)

    queue = add(commands, "queue", "queue", "Show what waits to be sent, or give it up.", module="exchange")
    queue.add_argument("study", type=Path, metavar="STUDY")
    queue.add_argument("--remove", metavar="ID", help="take it out of the queue; it will not be sent")
    queue.add_argument("--redirect", metavar="ID", help="let it wait for the server of --server instead")
    queue.add_argument("--server", metavar="NAME|URL", help=SERVER)


def _pull(commands: Commands[argparse.ArgumentParser], add: Add) -> None:
    query = add(commands, "query", "query", "List a patient's studies and series on a PACS.", module="exchange")
    query.add_argument("--patient", default="", metavar="ID", help="patient ID; see --stdin to keep it to yourself")
    query.add_argument("--study-uid", default="", metavar="UID", help="or one study")
    _connection(query, required=False)

    pull = add(commands, "pull", "pull", "Fetch a CT/MR pair from a PACS and add it as a case.", module="exchange")
    pull.add_argument("study", type=Path, metavar="STUDY")
    pull.add_argument("case", metavar="CASE", help="name for it, not the patient's")
    pull.add_argument("--patient", default="", metavar="ID", help="patient ID")
    pull.add_argument("--study-uid", default="", metavar="UID", help="or the study that holds the series")
    pull.add_argument(
        "--primary-series", default="", metavar="UID", help="series; default the only one of the primary modality"
    )
    pull.add_argument(
        "--auxiliary-series", default="", metavar="UID|none", help="the same for the auxiliary; none fetches none"
    )
    pull.add_argument("--split", choices=SPLITS, default="train", help="what the case serves; default train")
    pull.add_argument(
        "--discard",
        action="store_true",
        help="do not keep the DICOM files beside the study; a later export then asks the PACS for their headers",
    )
    _connection(pull, required=False)


def _server(commands: Commands[argparse.ArgumentParser], add: Add) -> None:
    text = "Remember servers by name, without passwords, or test one."
    parts = commands.add_parser("server", help=text, description=text).add_subparsers(
        metavar="ACTION", required=True, title="actions"
    )
    new = add(parts, "add", "server_add", "Remember a server, or change a remembered one.", module="exchange")
    new.add_argument("name", metavar="NAME", help="what you call it")
    new.add_argument("url", metavar="URL", help="https://host/dicom-web, or dicoms://AET@host:port")
    new.add_argument("--user", default="", help="for Basic authentication")
    new.add_argument("--auth", choices=("none", "basic", "bearer"), help="default basic with --user, else none")
    new.add_argument("--ca-file", default="", metavar="PEM", help="authorities to trust, in place of the system's")
    new.add_argument("--cert-file", default="", metavar="PEM", help="this computer's certificate, if it is asked for")
    new.add_argument("--key-file", default="", metavar="PEM", help="its key")
    new.add_argument("--calling-aet", default="VQBEGAL", metavar="AET", help="this computer's name in C-STORE")
    new.add_argument("--plain", action="store_true", help="allow an address without encryption")
    new.add_argument("--proxies", action="store_true", help="use the system's proxies")
    new.add_argument("--remember-password", action="store_true", help="keep the password in the system's keyring")
    new.add_argument("--password-stdin", action="store_true", help="read it from standard input; else it is asked for")
    add(parts, "list", "server_list", "List the remembered servers.", module="exchange")
    gone = add(parts, "remove", "server_remove", "Forget a server and its password.", module="exchange")
    gone.add_argument("name", metavar="NAME", help="as `server list` prints it")
    test = add(parts, "test", "server_test", "See whether a server answers.", module="exchange")
    test.add_argument("server", nargs="?", metavar="NAME|URL", help=SERVER)
    _input(test.add_argument_group("server"))
