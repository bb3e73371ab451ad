"""Who may import whom, read from the imports themselves; a new module at the top has to be given a room here."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "VQBEGALLib"

# Top-level modules and packages of the library, each with its room.
ROOM_OF = {
    "errors": "errors",
    "processes": "processes",
    "settings": "settings",
    "config": "config",
    "methods": "methods",
    "events": "events",
    "storage": "storage",
    "volumes": "volumes",
    "metrics": "metrics",
    "export": "export",
    "pacs": "pacs",
    "delivery": "delivery",
    "slices": "slices",
    "network": "network",
    "training": "training",
    "selection": "selection",
    "inference": "inference",
    "study": "study",
    "rounds": "rounds",
    "related": "related",
    "benchmark": "benchmark",
    "evidence": "evidence",
    "cli": "cli",
    "__main__": "cli",
}

SETTINGS = {"errors", "processes", "settings", "methods", "config", "events"}
IMAGES = SETTINGS | {"storage", "volumes"}
SLICES = IMAGES | {"slices"}
NETWORK = SLICES | {"network"}

# A room may import from these and from itself.
MAY_IMPORT = {
    "errors": set(),
    "processes": set(),
    "settings": {"errors"},
    "methods": {"errors", "settings"},
    "config": {"errors", "settings", "methods"},
    "events": {"errors", "processes", "settings", "methods", "config"},
    "storage": SETTINGS,
    "volumes": SETTINGS | {"storage"},
    "metrics": {"errors", "volumes"},
    "export": IMAGES,
    "pacs": IMAGES,
    "slices": IMAGES,
    "network": SLICES,
    "training": NETWORK,
    "selection": NETWORK | {"training"},
    "inference": NETWORK,
    "study": SLICES,
    "delivery": SLICES | {"export", "pacs", "study"},
    "rounds": NETWORK | {"training", "selection", "inference", "metrics", "study", "related"},
    "related": NETWORK | {"training"},
    "benchmark": NETWORK | {"training", "selection", "inference", "metrics", "study", "rounds", "related"},
    "evidence": NETWORK | {"training", "selection", "inference", "metrics", "study", "rounds", "related", "benchmark"},
    "cli": set(ROOM_OF.values()),
}

APPLICATION = {"slicer", "qt", "ctk", "vtk", "vtkmodules", "PythonQt", "PySide6", "VQBEGAL", "VQBEGALPanel", "Testing"}
TORCH_ROOMS = {"network", "training", "selection", "inference", "related", "rounds", "benchmark", "evidence"}
REPORT_ONLY = {"matplotlib", "jinja2"}
BENCHMARK_ONLY = {"distributed", "dask", "pandas", "pyarrow", "sklearn"}
LIGHT_MODULES = ["", ".config", ".volumes", ".slices", ".study", ".metrics", ".cli"]

ON_REQUEST = {"SimpleITK", "nibabel", "pydicom", "scipy", "filelock", "safetensors", "tqdm", "torch", "matplotlib"}
ON_REQUEST |= BENCHMARK_ONLY
ON_REQUEST |= {"highdicom", "requests", "pynetdicom", "keyring", "platformdirs", "contourpy", "PIL"}
OPENED_IN_THE_APPLICATION = ["config", "errors", "events", "slices", "storage", "study", "study.cohort", "volumes"]
OPENED_IN_THE_APPLICATION += ["export", "pacs", "delivery"]

FILES = sorted(LIBRARY.rglob("*.py"))


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


every_file = pytest.mark.parametrize("path", FILES, ids=named)


def top_module(path: Path) -> str:
    """The library's top-level module or package that a file belongs to."""
    return path.relative_to(LIBRARY).parts[0].removesuffix(".py")


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imported(node: ast.AST, path: Path) -> Iterator[str]:
    """Full names that an import statement may bind: ``from a import b`` counts as a.b."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        package = path.relative_to(ROOT).parent.parts
        base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
        source = ".".join(part for part in (base, node.module) if part)
        yield from (f"{source}.{alias.name}" for alias in node.names)


def imports(path: Path) -> set[str]:
    """All imports of a file, also those inside functions."""
    return {name for node in ast.walk(tree(path)) for name in imported(node, path)}


def imports_when_loaded(path: Path) -> set[str]:
    """The imports that run when the file is imported: not those in functions or for type checkers only."""

    def running(nodes: list[ast.stmt]) -> Iterator[ast.stmt]:
        for node in nodes:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                continue
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                yield from running(node.orelse)
                continue
            yield node
            for child in ast.iter_child_nodes(node):
                yield from running([child] if isinstance(child, ast.stmt) else getattr(child, "body", []))

    return {name for node in running(tree(path).body) for name in imported(node, path)}


def first(name: str) -> str:
    return name.partition(".")[0]


def test_every_top_level_module_has_a_room():
    unknown = {top_module(path) for path in FILES} - set(ROOM_OF) - {"__init__"}
    assert not unknown, f"give {sorted(unknown)} a room in ROOM_OF, after reading who may import whom"


def test_every_room_says_what_it_may_import():
    assert set(MAY_IMPORT) == set(ROOM_OF.values())


def test_no_two_rooms_may_import_each_other():
    pairs = {(room, other) for room, others in MAY_IMPORT.items() for other in others - {room}}
    assert not {(a, b) for a, b in pairs if (b, a) in pairs}


@every_file
def test_rooms_import_only_from_rooms_before_them(path):
    room = ROOM_OF.get(top_module(path))
    allowed = MAY_IMPORT.get(room, set()) | {room}
    for name in imports(path):
        package, _, rest = name.partition(".")
        if package == LIBRARY.name and first(rest) in ROOM_OF:
            assert ROOM_OF[first(rest)] in allowed, f"{named(path)} imports {name}"


@every_file
def test_the_library_knows_nothing_of_the_application(path):
    assert not {name for name in imports(path) if first(name) in APPLICATION}


@every_file
def test_torch_is_loaded_only_by_rooms_that_compute_with_it(path):
    if ROOM_OF.get(top_module(path)) not in TORCH_ROOMS:
        assert not {name for name in imports_when_loaded(path) if first(name) in ("torch", "safetensors")}


@every_file
def test_only_the_evidence_needs_the_report_extra(path):
    if ROOM_OF.get(top_module(path)) != "evidence":
        assert not {name for name in imports(path) if first(name) in REPORT_ONLY}


@every_file
def test_only_benchmark_and_evidence_need_the_benchmark_extra(path):
    if ROOM_OF.get(top_module(path)) not in ("benchmark", "evidence"):
        assert not {name for name in imports(path) if first(name) in BENCHMARK_ONLY}


@every_file
def test_only_the_command_line_prints(path):
    if ROOM_OF.get(top_module(path)) == "cli":
        return
    calls = [node for node in ast.walk(tree(path)) if isinstance(node, ast.Call)]
    assert not [node.lineno for node in calls if isinstance(node.func, ast.Name) and node.func.id == "print"]


@pytest.mark.parametrize("module", LIGHT_MODULES, ids=lambda module: LIBRARY.name + module)
def test_torch_stays_unloaded_until_it_is_needed(module):
    stem = LIBRARY.joinpath(*module.split("."))
    if not (stem.is_dir() or stem.with_suffix(".py").exists()):
        pytest.skip(f"{LIBRARY.name}{module} does not exist")
    code = f"import sys, {LIBRARY.name}{module}; sys.exit(sorted({{'torch', 'matplotlib'}} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_a_study_opens_where_only_numpy_is_installed():
    modules = ", ".join(f"{LIBRARY.name}.{name}" for name in OPENED_IN_THE_APPLICATION)
    code = f"import sys, {modules}; sys.exit(sorted({ON_REQUEST!r} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("source", "loaded"),
    [
        ("import torch.nn as nn", {"torch.nn"}),
        ("from torch import nn", {"torch.nn"}),
        ("try:\n    import torch\nexcept ImportError:\n    import json", {"torch", "json"}),
        ("class A:\n    import torch", {"torch"}),
        ("def f():\n    import torch", set()),
        ("class A:\n    def f(self):\n        import torch", set()),
        ("if TYPE_CHECKING:\n    import torch\nelse:\n    import json", {"json"}),
        ("from ..volumes import itk", {"VQBEGALLib.volumes.itk"}),
        ("from . import cache", {"VQBEGALLib.slices.cache"}),
    ],
)
def test_the_reader_of_imports_sees_what_runs(monkeypatch, source, loaded):
    monkeypatch.setitem(globals(), "tree", lambda path: ast.parse(source))
    assert imports_when_loaded(LIBRARY / "slices" / "example.py") == loaded
