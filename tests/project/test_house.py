"""The house of ARCHITECTURE.md: which rooms there are, how big, and what may not stand in them."""

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMED_FOLDERS = ("flows", "tasks", "model_registry", "expectations", "tests", "infra")
OUR_FOLDERS = ("serving", "conf", "benchmarks", "supply_chain")
PACKAGES = ("expectations", "flows", "infra", "model_registry", "serving", "supply_chain", "tasks")
SOURCES = [path for name in PACKAGES for path in sorted((ROOT / name).rglob("*.py"))]
UNPICKLERS = r"\b(pickle|cloudpickle|joblib|dill)\.loads?\b|yaml\.load\(|allow_pickle=True"
LOADERS = r"mlflow\.(pyfunc|keras|tensorflow)\.load_model\("


@pytest.mark.parametrize("folder", NAMED_FOLDERS + OUR_FOLDERS)
def test_every_named_folder_is_there(folder):
    assert (ROOT / folder).is_dir()


def test_every_package_is_listed_for_installation():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    listed = set(project["tool"]["setuptools"]["packages"])
    found = {
        str(path.parent.relative_to(ROOT)).replace("/", ".")
        for path in SOURCES
        if path.name == "__init__.py"
    }
    assert listed == found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_source_file_outgrows_its_room(path):
    assert len(path.read_text().splitlines()) <= 350


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_function_body_is_over_forty_lines(path):
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    long = {
        node.name: _body_lines(node)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, functions) and _body_lines(node) > 40
    }
    assert long == {}


def _body_lines(function):
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_unpickles_or_loads_a_model_with_its_code(path):
    text = path.read_text()
    assert not re.search(UNPICKLERS, text)
    assert not re.search(LOADERS, text)


def test_no_tracked_file_is_a_dataset_or_names_this_machine():
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    paths = [ROOT / name for name in tracked if name and (ROOT / name).is_file()]
    assert [path for path in paths if path.stat().st_size > 1_000_000] == []
    here = str(ROOT.parent) + "/"
    if len(ROOT.parent.parts) > 2:  # `/tmp` is no machine in particular
        texts = {path: path.read_bytes() for path in paths}
        assert [path for path, text in texts.items() if here.encode() in text] == []


def test_the_pins_name_no_host():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[^/\s]+", line) for line in lines)
