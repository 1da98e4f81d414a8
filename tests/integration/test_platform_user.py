"""`nocturne up` by a user who is not root, on a machine where root has run it before."""

import os
import pwd
import shutil
import signal
import subprocess
import sys

import psutil
import pytest

from infra.platform import processes
from tests.command_line import SMALL_PIPELINE
from tests.platforms import home_for_all, up

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user"),
]


def as_user(name):
    """Words before a command: it reads what root reads, the interpreter too, and writes its own."""
    reads = "dac_read_search"
    ids = pwd.getpwnam(name)
    return [
        *("setpriv", f"--reuid={ids.pw_uid}", f"--regid={ids.pw_gid}", "--clear-groups"),
        *(f"--inh-caps=-all,+{reads}", f"--ambient-caps=+{reads}", f"--bounding-set=-all,+{reads}"),
    ]


def test_it_comes_up_is_killed_comes_up_again_and_ends(tmp_path):
    before = as_user("nobody")
    if subprocess.run([*before, "true"], check=False).returncode:
        pytest.skip("setpriv gives no capability here")
    temporary = tmp_path / "tmp"
    (temporary / "runner_storage").mkdir(parents=True)  # root's: Prefect would begin there
    temporary.chmod(0o1777)
    with home_for_all(TMPDIR=str(temporary), HOME=str(temporary)) as home:
        conf = home.write(SMALL_PIPELINE)
        for path in [home.path, *home.path.rglob("*")]:
            shutil.chown(path, "nobody")
        with up(home, conf, before=before) as running:
            assert "schedules" in {part["name"] for part in running.facts["parts"]}
            left = running.marked()
            running.end(signal.SIGKILL)
        with up(home, conf, before=before) as running:
            assert not [process for process in left if processes.runs(process)]
            everything = running.marked()
            assert {process.username() for process in everything} == {"nobody"}
            command = [*before, sys.executable, "-m", "flows.cli", "down", "--json"]
            subprocess.run(command, cwd=home.path, env=home.environment, check=True)
            assert running.process.wait(10) == 0, running.log.read_text()[-3000:]
        assert not any(map(psutil.Process.is_running, everything))
