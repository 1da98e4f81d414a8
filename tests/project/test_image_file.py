"""`infra/Dockerfile`: whom it runs as, what it is built from, and that not too much is copied."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILE = ROOT / "infra" / "Dockerfile"
INSTRUCTIONS = [
    line.split(maxsplit=1)
    for line in re.sub(
        r"\\\n", " ", re.sub(r"^#.*\n", "", FILE.read_text(), flags=re.M)
    ).splitlines()
    if line.strip()
]
STAGES = [at for at, (word, *_) in enumerate(INSTRUCTIONS) if word == "FROM"]
FINAL = INSTRUCTIONS[STAGES[-1] :]


def said(word, instructions=FINAL):
    return [rest[0] for first, *rest in instructions if first == word]


def test_the_final_stage_runs_as_nobody_in_particular_and_installs_nothing():
    assert said("USER") == ["10001:10001"]
    assert FINAL.index(["USER", "10001:10001"]) < FINAL.index(
        next(each for each in FINAL if each[0] == "CMD")
    )
    assert not any(re.search(r"apt|pip|gcc|curl", line) for line in said("RUN"))
    assert said("HEALTHCHECK")[0].endswith('CMD ["python", "-m", "infra.health"]')
    assert said("VOLUME") == ['["/var/lib/nocturne", "/tmp"]']


def test_the_base_is_named_once_by_a_tag_that_stays_within_one_python():
    (base,) = said("ARG", INSTRUCTIONS)
    assert re.fullmatch(r"PYTHON_IMAGE=python:3\.11-[\w.-]+", base)
    assert {line.split()[0] for line in said("FROM", INSTRUCTIONS)} == {"${PYTHON_IMAGE}"}


def test_what_it_installs_is_locked_by_hash_and_listed_in_it():
    runs = said("RUN", INSTRUCTIONS[STAGES[0] : STAGES[1]])
    installs = [part for run in runs for part in run.split("&&") if "pip install" in part]
    ours = "--no-index --no-deps --no-build-isolation --editable ."
    locks = [re.search(r"--require-hashes --requirement (\S+)", each) for each in installs]
    assert [lock[1] if lock else lock for lock in locks] == [
        "image.lock", None, "supply_chain/audit.lock"
    ]  # fmt: skip
    assert installs[1].strip().endswith(ours)
    assert "cyclonedx-py environment" in runs[-1]
    assert runs[-1].endswith("--output-file sbom.json /opt/nocturne/bin/python")


def test_no_secret_and_no_test_is_in_reach_of_the_build():
    """The list lets nothing in but what it names; then it takes back what must not come."""
    lines = [
        line
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line[:1] not in {"", "#"}
    ]
    assert lines[0] == "*"
    let_in = [line[1:] for line in lines if line.startswith("!")]
    assert all((ROOT / name).exists() for name in let_in)
    assert not {"tests", ".git", "benchmarks", "docs"} & set(let_in)
    taken_back = lines[max(at for at, line in enumerate(lines) if line[0] == "!") + 1 :]
    assert {"infra/secrets", "infra/compose*", "**/*.env", "**/*.key"} <= set(taken_back)
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"][
        "packages"
    ]
    assert {name.partition(".")[0] for name in packages} <= set(let_in)


def test_hadolint_has_nothing_to_say():
    beside = Path(sys.executable).with_name("hadolint")
    found = str(beside) if beside.exists() else shutil.which("hadolint")
    if found is None:
        pytest.skip("hadolint is not installed; it is among the dev dependencies")
    ran = subprocess.run([found, str(FILE)], check=False, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (0, "")
