"""`supply_chain.smoke`: every module imports here, and one that does not is told."""

import subprocess
import sys
from pathlib import Path

from supply_chain import smoke

ROOT = Path(__file__).parents[2]
PROJECT = '[tool.setuptools]\npackages = ["house", "house.attic"]\n'


def smoked(*arguments, cwd=ROOT):
    command = [sys.executable, "-m", "supply_chain.smoke", *arguments]
    environment = {"PATH": "/usr/bin", "PYTHONPATH": f"{cwd}:{ROOT}"}
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


def test_every_module_imports_beside_every_other():
    done = smoked("--only-imports")
    assert "\n0 broke\n" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0


def test_a_module_that_a_release_broke_is_told_and_the_others_are_still_tried(tmp_path):
    attic = tmp_path / "house" / "attic"
    attic.mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    (tmp_path / "constraints.txt").write_text("pytest==1.0\nnumpy-of-another-world==3.1\n")
    for empty in (tmp_path / "house" / "__init__.py", attic / "__init__.py"):
        empty.write_text("")
    (attic / "box.py").write_text("from json import gone_since_today\n")
    (attic / "chair.py").write_text("import json\n")
    done = smoked("--only-imports", "--root", str(tmp_path), cwd=tmp_path)
    assert done.returncode == 1
    assert "3 of 4 modules import" in done.stdout
    assert "| house.attic.box | ImportError: cannot import name 'gone_since_today'" in done.stdout
    assert "| pytest | 1.0 |" in done.stdout
    assert "another-world" not in done.stdout


def test_a_command_that_fails_is_told_with_its_last_words(tmp_path, monkeypatch):
    monkeypatch.setattr(smoke, "COMMANDS", ((("--help",), (0,)), (("--no-such-option",), (0,))))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    ((what, why),) = smoke.ran(ROOT)
    assert what == "nocturne --no-such-option"
    assert why.startswith("exit code 2")
    assert "No such option" in why
