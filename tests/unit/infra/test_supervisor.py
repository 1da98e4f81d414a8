"""The supervisor over real processes that are small: shells that sleep."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from itertools import pairwise

import psutil
import pytest

from infra.platform import processes, supervisor
from infra.platform.parts import Part, PortTaken, refuse_taken
from infra.platform.processes import Left
from infra.platform.supervisor import AlreadyUp, Lock, Supervisor, clear, holder
from tests.servers import free_port


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    shorter = {"TICK_SECONDS": 0.02, "CHECK_SECONDS": 0.05, "FIRST_PAUSE_SECONDS": 0.1}
    shorter |= {"SILENCE_SECONDS": 0.4, "LONGEST_PAUSE_SECONDS": 0.4}
    for name, seconds in shorter.items():
        monkeypatch.setattr(supervisor, name, seconds)


def shell(name, script="exec sleep 600", **more):
    more.setdefault("healthy", lambda: True)
    return Part(name, ("/bin/sh", "-c", script), patience_seconds=5, **more)


class Running:
    """A supervisor in a thread."""

    def __init__(self, home, *parts):
        self.home, self.folder = home, home / "up"
        self.supervisor = Supervisor(home, self.folder)
        for part in parts:
            self.supervisor.add(part)
        self._thread = threading.Thread(target=self.supervisor.run, args=(lambda: None,))
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.supervisor.ask_to_end()
        self._thread.join(60)
        assert not self._thread.is_alive()
        assert processes.marked(self.home) == []

    def fact(self, name):
        return next(one for one in self.supervisor.facts() if one["name"] == name)

    def until(self, true, patience_seconds=20):
        return until(true, patience_seconds)


def until(true, patience_seconds=20):
    deadline = time.monotonic() + patience_seconds
    while not (found := true()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def lives(pid):
    """Whether a process runs; one that only waits for its parent to bury it does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_part_waits_for_what_it_needs_and_all_end_in_the_reverse_order(tmp_path):
    said = tmp_path / "order"
    script = f"trap 'echo $0 ends >> {said}; exit 0' TERM; echo $0 begins >> {said}; " + (
        "while :; do sleep 0.05; done"
    )
    let = threading.Event()

    def part(name, **more):
        return Part(name, ("/bin/sh", "-c", script, name), patience_seconds=5, **more)

    first = part("database", healthy=let.is_set)
    second = part("server", healthy=lambda: "server" in said.read_text(), needs=("database",))
    with Running(tmp_path, first, second) as running:
        until(said.exists)
        time.sleep(0.2)
        assert said.read_text() == "database begins\n"
        let.set()
        running.until(running.supervisor.are_healthy)
    assert said.read_text().split("\n") == [
        "database begins", "server begins", "server ends", "database ends", ""
    ]  # fmt: skip


def test_a_first_start_waits_for_what_a_part_can_do_without_and_a_later_one_does_not(tmp_path):
    answers = {"server": False}
    server = shell("server", healthy=lambda: answers["server"])
    with Running(tmp_path, server, shell("scoring", after=("server",))) as run:
        assert run.until(lambda: run.fact("server")["state"] == "starts")
        assert run.fact("scoring")["state"] == "waits"
        answers["server"] = True
        assert run.until(lambda: run.fact("scoring")["state"] == "healthy")
        answers["server"] = False
        assert run.until(lambda: run.fact("server")["state"] == "silent")
        os.kill(run.fact("scoring")["pid"], signal.SIGKILL)
        assert run.until(lambda: run.fact("scoring")["restarts"] == 1)


def test_a_first_start_does_not_wait_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr(supervisor, "AFTER_SECONDS", 0.2)
    server = shell("server", healthy=lambda: False)
    with Running(tmp_path, server, shell("scoring", after=("server",))) as run:
        assert run.until(lambda: run.fact("scoring")["state"] == "healthy")


def test_what_is_being_ended_is_said_the_last_one_first(tmp_path, caplog):
    caplog.set_level("INFO", "infra")
    with Running(tmp_path, shell("first"), shell("second")) as run:
        assert run.until(lambda: run.fact("second")["state"] == "healthy")
    assert [said for said in caplog.messages if said.startswith("ending")] == [
        "ending second, in 5 s at most",
        "ending first, in 5 s at most",
    ]


def test_a_part_that_dies_is_started_again_after_longer_and_longer_pauses(tmp_path):
    starts = tmp_path / "starts"
    script = f"date +%s.%N >> {starts}; exit 3"
    with Running(tmp_path, shell("brief", script, healthy=lambda: False)) as running:
        running.until(lambda: starts.exists() and len(starts.read_text().split()) >= 5)
        said = running.until(lambda: running.fact("brief")["said"])
        assert said == "ended with code 3"
    at = [float(line) for line in starts.read_text().split()]
    pauses = [after - before for before, after in pairwise(at)]
    assert pauses[0] < 0.35
    assert min(pauses[2:]) > 0.39


def test_a_part_that_is_killed_comes_back_and_what_it_had_started_does_not_stay(tmp_path):
    child = tmp_path / "child"
    script = f"setsid sleep 600 & echo $! > {child}; exec sleep 600"
    with Running(tmp_path, shell("server", script)) as running:
        pid = running.until(lambda: running.fact("server")["pid"])
        orphan = int(until(lambda: child.exists() and child.read_text().strip()))
        os.kill(pid, signal.SIGKILL)
        until(lambda: not lives(orphan))
        fact = running.until(lambda: (f := running.fact("server"))["restarts"] == 1 and f)
        assert fact["pid"] != pid


def test_a_spared_child_outlives_its_part_but_not_the_platform(tmp_path):
    child = tmp_path / "child"
    script = f"[ -e {child} ] || {{ setsid sleep 600 & echo $! > {child}; }}; exec sleep 600"
    with Running(tmp_path, shell("schedules", script, spares=True)) as running:
        pid = running.until(lambda: running.fact("schedules")["pid"])
        night = int(until(lambda: child.exists() and child.read_text().strip()))
        os.kill(pid, signal.SIGKILL)
        running.until(lambda: running.fact("schedules")["restarts"] == 1)
        assert lives(night)
    assert not lives(night)


def test_a_part_that_falls_silent_is_started_again_unless_what_it_needs_is_away(tmp_path):
    well, base = threading.Event(), threading.Event()
    well.set()
    base.set()
    parts = (
        shell("database", healthy=base.is_set),
        shell("server", healthy=well.is_set, needs=("database",)),
    )
    with Running(tmp_path, *parts) as running:
        running.until(running.supervisor.are_healthy)
        well.clear()
        running.until(lambda: running.fact("server")["state"] == "silent")
        running.until(lambda: running.fact("server")["restarts"] == 1)
        assert running.fact("database")["restarts"] == 0


def test_what_is_done_before_and_when_it_answers_may_fail_and_is_tried_again(tmp_path):
    tried = []

    def once():
        tried.append(len(tried))
        if len(tried) in {1, 3}:
            raise RuntimeError("the disk is full")

    part = shell("database", before=once, ready=once)
    with Running(tmp_path, part) as running:
        running.until(lambda: running.fact("database")["state"] == "healthy")
    assert len(tried) >= 5


DRIVER = """
import sys
from pathlib import Path
from infra.platform.parts import Part
from infra.platform.supervisor import Lock, Supervisor
home = Path(sys.argv[1])
lock = Lock(home / "up")
over = Supervisor(home, home / "up")
script = "trap 'exit 0' TERM; (trap '' TERM; exec setsid sleep 600) & while :; do sleep 0.1; done"
for name in ("database", "server"):
    over.add(Part(name, ("/bin/sh", "-c", script), lambda: True, patience_seconds=2))
print("begun", flush=True)
over.run(lambda: None)
"""


@pytest.fixture
def driven(tmp_path):
    """A supervisor in a process of its own, which may be killed."""
    command = [sys.executable, "-c", DRIVER, str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "begun\n"
        until(lambda: len(processes.recorded(tmp_path / "up" / "parts.json")) == 2)
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        for left in processes.marked(tmp_path):
            left.kill()


def test_after_a_kill_of_the_supervisor_its_parts_run_on_and_the_next_one_clears_them(
    tmp_path, driven
):
    until(lambda: len(processes.marked(tmp_path)) >= 4)
    driven.kill()
    driven.wait()
    living = processes.marked(tmp_path)
    assert len(living) >= 4
    assert holder(tmp_path / "up") is None
    lock = Lock(tmp_path / "up")
    said = clear(tmp_path, tmp_path / "up")
    assert [line.partition(":")[0] for line in said] == ["server", "database"]
    assert not any(lives(process.pid) for process in living)
    assert clear(tmp_path, tmp_path / "up") == []
    lock.release()


def test_one_supervisor_a_home(tmp_path, driven):
    with pytest.raises(AlreadyUp, match=rf"runs there already \(pid {driven.pid}\).*nocturne down"):
        Lock(tmp_path / "up")
    assert holder(tmp_path / "up") == driven.pid


def test_a_process_id_that_was_given_to_somebody_else_is_left_alone(tmp_path):
    other = subprocess.Popen(["/bin/sleep", "600"])
    try:
        made = psutil.Process(other.pid).create_time()
        processes.record(
            tmp_path / "up" / "parts.json", [Left("mlflow", other.pid, made - 60, 15, 1.0)]
        )
        assert clear(tmp_path, tmp_path / "up") == []
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_a_record_that_was_cut_is_no_reason_not_to_begin(tmp_path):
    (tmp_path / "up").mkdir()
    (tmp_path / "up" / "parts.json").write_text('[{"name": "mlf')
    assert clear(tmp_path, tmp_path / "up") == []


def test_a_taken_port_is_told_with_its_setting(tmp_path):
    port = free_port()
    command = [sys.executable, "-c", "import socket, sys; s = socket.create_server(('127.0.0.1', "
               f"{port})); print('on', flush=True); sys.stdin.read()"]  # fmt: skip
    taker = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)
    part = shell("prefect", port=port, setting="NOCTURNE_UP_PREFECT_PORT")
    try:
        assert taker.stdout.readline() == "on\n"
        with pytest.raises(PortTaken, match=rf"port {port} .*prefect.*NOCTURNE_UP_PREFECT_PORT"):
            refuse_taken(part)
    finally:
        taker.communicate()
    refuse_taken(part)


def test_facts_are_plain_values(tmp_path):
    with Running(tmp_path, shell("server")) as running:
        running.until(running.supervisor.are_healthy)
        assert json.loads(json.dumps(running.supervisor.facts()))[0]["state"] == "healthy"
