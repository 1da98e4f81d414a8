import ast
import importlib.util
import subprocess
import sys
from importlib import metadata

import pytest

from tasks.inference.runtime import REQUIREMENTS, START, closure, requirements, write_runtime

STANDARD = sys.stdlib_module_names | {"tasks", "model_registry"}


@pytest.fixture(scope="module")
def modules():
    return closure(START)


def _imports(source):
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]
        elif isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)


def test_every_package_the_copied_code_imports_is_pinned(modules):
    imported = {name for source in modules.values() for name in _imports(source)} - STANDARD
    distributions = metadata.packages_distributions()
    assert imported <= set(distributions)
    named = {name.lower() for package in imported for name in distributions[package]}
    assert named <= set(REQUIREMENTS)


def test_pins_are_exact_and_of_this_environment():
    assert [pin.partition("==")[0] for pin in requirements()] == list(REQUIREMENTS)
    assert all(metadata.version(pin.partition("==")[0]) in pin for pin in requirements())


def test_no_import_form_is_used_that_cannot_be_moved(modules):
    for source in modules.values():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Import):
                assert not {alias.name.partition(".")[0] for alias in node.names} & {
                    "tasks",
                    "model_registry",
                }


def test_neither_readers_nor_stages_come_along(modules):
    assert not any(name.startswith(("tasks.datasets.files", "infra")) for name in modules)
    assert "tasks.datasets" not in modules
    assert "tasks.register" not in modules


def test_equal_code_has_an_equal_name(tmp_path):
    assert write_runtime(tmp_path / "a").name == write_runtime(tmp_path / "b").name


def test_the_copied_code_stands_alone(tmp_path):
    package = write_runtime(tmp_path)
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        f"import {package.name}.tasks.inference.raw\n"
        "print(sorted({'tasks', 'model_registry', 'keras', 'mlflow'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], check=False, capture_output=True, text=True
    )
    assert done.stdout == "[]\n", done.stderr


def test_the_packages_start_where_the_closure_starts():
    assert importlib.util.find_spec(START) is not None
