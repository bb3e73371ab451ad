"""What Slicer's build system would install, and what the Extensions Index asks of an extension's files.

The CMake files are configured for real; macros of the names and arguments of Slicer's (cmake_stub) record what they
are told.
"""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import VQBEGALLib

ROOT = Path(__file__).parents[2]
STUB = Path(__file__).parent / "cmake_stub"
MODULE, LIBRARY = ROOT / "VQBEGAL", ROOT / "VQBEGALLib"

# Top-level modules that Slicer has loaded when it imports its scripted modules; besides the standard library.
LOADED_BY_SLICER = {"slicer", "qt", "ctk", "vtk", "numpy"}
ONLY_IN_JOBS = {"torch", "safetensors", "skimage", "matplotlib", "jinja2"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build folder with what the stub recorded."""
    cmake = shutil.which("cmake", path=str(Path(sys.executable).parent)) or shutil.which("cmake")
    if cmake is None:
        pytest.skip("cmake is not here; `pip install cmake` brings it")
    folder = tmp_path_factory.mktemp("build")
    toolchain = f"-DCMAKE_TOOLCHAIN_FILE={STUB / 'toolchain.cmake'}"
    command = [cmake, "-S", str(ROOT), "-B", str(folder), f"-DSlicer_DIR={STUB}", toolchain]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def installed(built: Path) -> dict[str, Path]:
    """File in the repository by its place below the folder of scripted modules."""
    lines = (built / "installed.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("|") for line in lines]
    assert len({destination for _, destination in pairs}) == len(pairs), "two files would be installed to one place"
    return {destination: Path(source) for source, destination in pairs}


@pytest.fixture(scope="module")
def metadata(built: Path) -> dict[str, str]:
    lines = (built / "metadata.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("|", 1) for line in lines)


@pytest.fixture(scope="module")
def layout(installed: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of scripted modules as it is on a user's computer."""
    folder = tmp_path_factory.mktemp("installed") / "qt-scripted-modules"
    for destination, source in installed.items():
        (folder / destination).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, folder / destination)
    return folder


def tracked(*folders: str) -> set[str]:
    """Files under version control, relative to the repository."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--", *folders]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("this is not a git checkout")
    return {name for name in done.stdout.split("\0") if name}


def test_every_tracked_file_of_module_and_library_is_installed_and_no_other(installed):
    sources = {source.relative_to(ROOT).as_posix() for source in installed.values()}
    expected = {name for name in tracked("VQBEGAL", "VQBEGALLib") if Path(name).name != "CMakeLists.txt"}
    assert sources == expected, "list in CMakeLists.txt what is tracked, and only that"


def test_the_library_is_a_folder_beside_the_module(installed):
    for destination, source in installed.items():
        base = MODULE if source.is_relative_to(MODULE) else ROOT
        assert destination == source.relative_to(base).as_posix()
    assert [name for name in installed if name.endswith(".py") and "/" not in name] == ["VQBEGAL.py"]


def test_the_installed_library_can_be_imported_without_torch(layout):
    code = """
import importlib, pkgutil, sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name in ("torch", "safetensors"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
import VQBEGALLib
failed, loaded = {}, []
for module in pkgutil.walk_packages(VQBEGALLib.__path__, "VQBEGALLib.", onerror=lambda name: None):
    if module.name.endswith("__main__"):
        continue
    try:
        importlib.import_module(module.name)
        loaded.append(module.name)
    except ImportError as error:
        if error.name not in ("torch", "safetensors", "safetensors.torch"):
            failed[module.name] = repr(error)
print(VQBEGALLib.__file__, *loaded, sep="\\n")
sys.exit(repr(failed) if failed else 0)
"""
    environment = {"PYTHONPATH": str(layout), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=layout.parent, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    where, *loaded = done.stdout.splitlines()
    assert Path(where).is_relative_to(layout)
    assert {"VQBEGALLib.config", "VQBEGALLib.study.study", "VQBEGALLib.volumes.phantom"} <= set(loaded)


def test_the_description_names_the_version_and_the_dependencies(metadata):
    assert metadata["NAME"] == "VQBEGAL"
    assert metadata["VERSION"] == VQBEGALLib.__version__
    assert metadata["DEPENDS"].split() == ["PyTorch"]


def test_the_index_entry_agrees_with_the_extension(metadata):
    entry = json.loads((ROOT / "VQBEGAL.json").read_text(encoding="utf-8"))
    assert {"$schema", "category", "scm_url"} <= set(entry)
    assert set(entry) <= {"$schema", "build_dependencies", "build_subdirectory", "category", "enabled"} | {
        "scm_revision",
        "scm_type",
        "scm_url",
        "tier",
    }
    assert re.search(r"/slicer-extension-catalog-entry-schema-v1\.0\.[12]\.json#$", entry["$schema"])
    assert entry["category"] in ("Segmentation", "Active Learning")
    assert entry["scm_url"].removesuffix(".git") == metadata["HOMEPAGE"]
    assert entry["scm_url"].rsplit("/", 1)[1].removesuffix(".git") == "SlicerVQBEGAL"
    assert entry["build_dependencies"] == metadata["DEPENDS"].split()
    assert entry["tier"] in range(1, 6)


@pytest.mark.parametrize("key", ["ICONURL", "SCREENSHOTURLS"])
def test_every_picture_that_the_catalogue_shows_is_in_the_repository(metadata, key):
    home = metadata["HOMEPAGE"].replace("https://github.com/", "https://raw.githubusercontent.com/") + "/main/"
    for address in metadata[key].split():
        assert address.startswith(home)
        assert address.removeprefix(home) in tracked()


@pytest.mark.parametrize("key", ["HOMEPAGE", "CONTRIBUTORS", "DESCRIPTION", "ICONURL", "SCREENSHOTURLS", "DEPENDS"])
def test_the_index_reads_each_field_from_one_line(key):
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    assert len(re.findall(rf'^set\(EXTENSION_{key} "[^"\n]+"\)$', text, flags=re.MULTILINE)) == 1


@pytest.mark.parametrize("path", ["Resources/VQBEGAL.png", "VQBEGAL/Resources/Icons/VQBEGAL.png"])
def test_the_icon_is_a_png_of_128_by_128(path):
    data = (ROOT / path).read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert (int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")) == (128, 128)


@pytest.mark.parametrize(("key", "file"), [("dependencies", "requirements.txt"), ("pacs", "requirements-pacs.txt")])
def test_requirements_are_those_of_the_package_less_what_slicer_and_pytorch_bring(key, file):
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    dependencies = re.search(rf"^{key} = (\[.*?^\])", project, flags=re.MULTILINE | re.DOTALL)
    lines = (MODULE / "Resources" / file).read_text(encoding="utf-8").splitlines()
    wanted = {item for item in ast.literal_eval(dependencies[1]) if not item.startswith(("numpy", "torch"))}
    assert {line for line in lines if line and not line.startswith("#")} == wanted


def test_every_scenario_runs_in_the_application_too(built):
    scenarios = {path.name for path in (ROOT / "Testing" / "panel").glob("scenario_*.py")}
    scripts = (built / "tests.txt").read_text(encoding="utf-8").split("\n")
    assert {Path(script).name for script in scripts if script} == scenarios | {"VQBEGAL.py"}


def imported(path: Path, *, at_file_scope: bool) -> Iterator[str]:
    """Full names of the modules that a file imports; at file scope only, those that its own import loads."""
    nodes: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"), filename=str(path))]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        skipped = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) or (
            isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        )
        if not (at_file_scope and skipped):
            nodes.extend(ast.iter_child_nodes(node))


def loaded_with(path: Path) -> set[str]:
    """Names of all modules that the import of a file loads, through the panel's and the library's own files."""
    found: set[str] = set()
    files = [path]
    while files:
        for name in set(imported(files.pop(), at_file_scope=True)) - found:
            found.add(name)
            for base in (MODULE, ROOT):
                stem = base.joinpath(*name.split("."))
                files.extend(file for file in (stem.with_suffix(".py"), stem / "__init__.py") if file.is_file())
    return found


def test_the_start_of_the_application_loads_nothing_new():
    roots = {name.partition(".")[0] for name in loaded_with(MODULE / "VQBEGAL.py")}
    assert not roots - LOADED_BY_SLICER - set(sys.stdlib_module_names)


@pytest.mark.parametrize("path", sorted(MODULE.rglob("*.py")), ids=lambda path: path.name)
def test_the_panel_loads_no_library_that_only_jobs_need(path):
    own = {name.partition(".")[0] for name in imported(path, at_file_scope=True)}
    assert not own - LOADED_BY_SLICER - set(sys.stdlib_module_names) - {"VQBEGALPanel", "VQBEGALLib"}
    assert not {name.partition(".")[0] for name in loaded_with(path)} & ONLY_IN_JOBS


@pytest.mark.parametrize("folder", ["VQBEGAL", "Testing/panel", "Testing/slicer"])
def test_no_package_named_testing_is_imported_inside_the_application(folder):
    for path in (ROOT / folder).rglob("*.py"):
        roots = {name.partition(".")[0] for name in imported(path, at_file_scope=False)}
        assert "Testing" not in roots, path
