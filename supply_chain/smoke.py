"""Does the project still import and run with the packages that are installed here?

    python -m supply_chain.smoke [--only-imports] [--root FOLDER]

Imports every module in one process, and asks the command line for a night; then tells which
packages differ from the pins and what broke. Exit code 1: something broke.
"""

from __future__ import annotations

import argparse
import importlib
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).parents[1]
PATIENCE_SECONDS = 900
NIGHT = "conf/support_tickets.yaml"
# What is run, and the exit codes that are well: a night that keeps its champion ends with 3.
COMMANDS = (
    (("--help",), (0,)),
    (("validate", NIGHT), (0,)),
    (("retrain", NIGHT, "--candidates", "floor"), (0, 3)),
)


def main(arguments: list[str]) -> int:
    """Import, run, tell."""
    parser = argparse.ArgumentParser(prog="python -m supply_chain.smoke")
    parser.add_argument("--root", type=Path, default=ROOT, help="folder of pyproject.toml")
    parser.add_argument("--only-imports", action="store_true", help="run no command")
    asked = parser.parse_args(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # it talks while it loads
    differ = differences(asked.root / "constraints.txt")
    _tell("differ from their pins", ("package", "pinned", "installed"), differ)
    names = modules(asked.root)
    broken = imported(names)
    print(f"{len(names) - len(broken)} of {len(names)} modules import", flush=True)
    if not asked.only_imports:
        broken += ran(asked.root)
    _tell("broke", ("what", "why"), broken)
    return 1 if broken else 0


def differences(pins: Path) -> list[tuple[str, str, str]]:
    """Installed packages whose version is not the pinned one: name, pin, installed."""
    rows = (line.split("==") for line in pins.read_text("utf-8").split())
    found = ((name, pin, installed(name)) for name, pin in rows)
    return [(name, pin, got) for name, pin, got in found if got and got != pin]


def installed(name: str) -> str:
    """The version of a package; empty where it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def modules(root: Path) -> list[str]:
    """Every module of the packages that `pyproject.toml` lists, by its dotted name."""
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    named = project["tool"]["setuptools"]["packages"]
    folders = (root.joinpath(*name.split(".")) for name in named)
    files = (file for folder in folders for file in sorted(folder.glob("*.py")))
    dotted = (".".join(file.relative_to(root).with_suffix("").parts) for file in files)
    return [name.removesuffix(".__init__") for name in dotted]


def imported(names: list[str]) -> list[tuple[str, str]]:
    """Import them all here; returns those that fail, each with its reason."""
    failed = []
    for name in names:
        try:
            importlib.import_module(name)
        except Exception as error:  # whatever a release of somebody else's throws
            failed.append((name, f"{type(error).__name__}: {error}"))
    return failed


def ran(root: Path) -> list[tuple[str, str]]:
    """Run the commands in a home of their own; returns those that fail, with their last words."""
    failed = []
    with tempfile.TemporaryDirectory(prefix="nocturne-smoke-") as home:
        environment = os.environ | {"NOCTURNE_HOME": home}
        for words, well in COMMANDS:
            said = f"nocturne {' '.join(words)}"
            print(said, flush=True)
            why = _failure([sys.executable, "-m", "flows.cli", *words], root, environment, well)
            failed += [(said, why)] if why else []
    return failed


def _failure(
    command: list[str], root: Path, environment: dict[str, str], well: tuple[int, ...]
) -> str:
    """Why a command failed; empty where it did not."""
    try:
        done = subprocess.run(  # noqa: S603 - the commands above, in this interpreter
            command, cwd=root, env=environment, capture_output=True, text=True, check=False,
            stdin=subprocess.DEVNULL, timeout=PATIENCE_SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"not done after {PATIENCE_SECONDS} s"
    if done.returncode in well:
        return ""
    last = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()][-5:]
    return " / ".join([f"exit code {done.returncode}", *last])


def _tell(what: str, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """How many there are, and a Markdown table of them."""
    print(f"{len(rows)} {what}", flush=True)
    cells = [tuple(cell.replace("\n", " ").replace("|", "\\|") for cell in row) for row in rows]
    for row in (columns, tuple("---" for _ in columns), *cells) if rows else ():
        print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
