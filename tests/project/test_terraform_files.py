"""`infra/terraform`: its form, who may do what, and that the prefixes are those of the code."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "infra" / "terraform"
PACKAGES = ("flows", "infra", "model_registry", "serving", "tasks")


def terraform(folder, *words):
    if shutil.which("terraform") is None:
        pytest.skip("terraform is not installed")
    environment = {key: value for key, value in os.environ.items() if key != "TF_CLI_CONFIG_FILE"}
    return subprocess.run(
        ["terraform", *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_file_is_formatted():
    ran = terraform(FOLDER, "fmt", "-check", "-recursive")
    assert (ran.returncode, ran.stdout) == (0, "")


def test_the_roles_may_do_what_they_must_and_no_more(tmp_path):
    """In a copy, so that nothing is left in the working tree."""
    folder = shutil.copytree(
        FOLDER / "policies", tmp_path / "policies", ignore=shutil.ignore_patterns(".terraform*")
    )
    assert terraform(folder, "init", "-input=false", "-no-color").returncode == 0
    ran = terraform(folder, "test", "-no-color")
    assert ran.returncode == 0, ran.stdout
    assert re.search(r"[1-9]\d* passed, 0 failed", ran.stdout)


def test_every_prefix_that_the_code_writes_is_known_to_the_roles():
    text = (FOLDER / "policies" / "main.tf").read_text()
    known = set(re.findall(r'"([a-z]+)"', re.search(r"all = \[(.*?)\]", text, re.DOTALL)[1]))
    sources = [path.read_text() for name in PACKAGES for path in (ROOT / name).rglob("*.py")]
    written = {
        found
        for source in sources
        for found in re.findall(r'f"([a-z]+)/\{[\w.]*(?:pipeline|name)[\w.]*\}', source)
    }
    assert {"snapshots", "ledger", "requests", "serving"} <= written
    assert written <= known
    assert known - written <= {"probe"}


def test_the_bucket_and_the_database_are_closed():
    text = (FOLDER / "main.tf").read_text()
    for closed in ("block_public_acls", "block_public_policy", "ignore_public_acls"):
        assert re.search(rf"{closed}\s+= true", text)
    assert re.search(r'status\s+= "Enabled"', text)
    assert "server_side_encryption" in text
    assert re.search(r"publicly_accessible\s+= false", text)
    assert re.search(r"storage_encrypted\s+= true", text)
    assert not re.search(r"\bpassword\s+=", text)
