"""The doctor finds what is broken, and names what mends it."""

import ast
import inspect
import json
import threading
import time
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from flows import doctor
from infra.local import LocalStorage
from infra.settings import Settings
from tasks import lease, nights
from tasks.config import Pipeline
from tasks.references import Night
from tests.servers import free_port

TOY = Pipeline.model_validate(
    {
        "name": "toy",
        "source": {"reader": "synthetic"},
        "columns": {"label": "topic", "text": "text"},
        "candidates": [{"name": "floor", "architecture": "averaged_embeddings"}],
        "schedule": {"max_champion_age_days": 30},
    }
)


def by_name(findings):
    return {finding.about: finding for finding in findings}


def test_this_environment_has_no_pair_that_is_known_to_fail():
    found = by_name(doctor._versions())
    assert found.keys().isdisjoint(doctor.KNOWN_BAD)


def test_a_version_that_breaks_prefect_is_flagged_with_the_command(monkeypatch):
    monkeypatch.setattr(doctor, "KNOWN_BAD", {"sqlalchemy": (1, 0)})
    found = by_name(doctor._versions())["sqlalchemy"]
    assert found.state == "broken"
    assert "before 1.0" in found.said
    assert found.mend.endswith("--require-hashes --requirement supply_chain/install.lock")


def test_a_disk_that_is_nearly_full_is_told_in_gigabytes(tmp_path, monkeypatch):
    settings = Settings(home=tmp_path / "not" / "yet")
    assert next(doctor._disk(settings)).state == "fine"
    monkeypatch.setattr(doctor, "LEAST_FREE_BYTES", 1 << 60)
    found = next(doctor._disk(settings))
    assert found.state == "broken"
    assert "GB free at" in found.said


def test_a_cluster_is_asked_only_where_one_is_set_and_one_that_is_away_is_broken(monkeypatch):
    assert list(doctor._ray(Settings())) == []
    monkeypatch.setenv("NOCTURNE_RAY", f"127.0.0.1:{free_port()}")
    (found,) = doctor._ray(Settings())
    assert found.state == "broken"
    assert found.said.startswith("NOCTURNE_RAY: ")
    assert "unset it" in found.said


class Forgetful(LocalStorage):
    """A store that takes every condition for met."""

    def honours_conditional_writes(self):
        return False


def test_a_store_that_lets_two_writers_win_is_broken(tmp_path):
    assert next(doctor._store(LocalStorage(tmp_path))).state == "fine"
    found = next(doctor._store(Forgetful(tmp_path)))
    assert found.state == "broken"
    assert "two nights may run at once" in found.said


def test_a_ledger_that_was_edited_is_broken(tmp_path):
    settings = Settings(home=tmp_path)
    ledger = tmp_path / "store" / "ledger" / "toy"
    ledger.mkdir(parents=True)
    (ledger / "00000001.json").write_text("{}")
    found = doctor._decisions(TOY, settings)
    assert (found.about, found.state) == ("ledger", "broken")
    assert "entry 1 is no ledger entry" in found.said
    assert "nocturne verify CONF" in found.mend


def test_a_failed_night_and_an_old_champion_are_found(tmp_path):
    storage, settings = LocalStorage(tmp_path / "store"), Settings(home=tmp_path)
    assert [f.said for f in doctor._nights(TOY, settings, storage)] == ["none yet"]
    old = (datetime.now(UTC) - timedelta(days=50)).isoformat()
    made = {"version": "1", "champion_after": "1", "finished_at": old, "reason": "better"}
    for day, facts in {
        "2026-03-01": {"outcome": "promoted", **made},
        "2026-03-02": {"outcome": "failed", "reason": "disk full"},
    }.items():
        nights.save(Night(pipeline="toy", logical_date=day, **facts), storage, lease=1)
    found = by_name(doctor._nights(TOY, settings, storage))
    assert found["nights"].state == "broken"
    assert found["nights"].mend == "nocturne retrain CONF --date 2026-03-02"
    assert "trained 50 days ago" in found["champion"].said
    assert found["champion"].mend.startswith("nocturne history CONF")


def test_a_night_that_died_is_found_with_the_command_that_goes_on(tmp_path):
    storage, settings = LocalStorage(tmp_path / "store"), Settings(home=tmp_path)
    with lease.holding("toy", date(2026, 3, 1), storage) as mine:
        silent = mine.held.model_copy(update={"beat": time.time() - 151})
        storage.put("leases/toy/00000001.json", silent.model_dump_json().encode())
        (found, *_) = doctor._nights(TOY, settings, storage)
    assert (found.about, found.state) == ("lease", "broken")
    assert found.said.startswith("night 2026-03-01 died (pid ")
    assert found.mend == "nocturne retrain CONF --date 2026-03-01"


def test_whatever_is_not_fine_is_told_with_what_mends_it():
    """Read from the source: not all of it breaks on demand."""
    calls = (node for node in ast.walk(ast.parse(inspect.getsource(doctor))))
    made = [
        node
        for node in calls
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Finding"
    ]
    without = [node for node in made if len(node.args) < 4]
    assert len(made) > 20
    assert {ast.unparse(node.args[1]) for node in without} == {"'fine'"}


@contextmanager
def prefect(runs):
    """A server that answers every question with these runs."""

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(runs).encode())

        def log_message(self, *arguments):
            pass

    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield Settings(prefect_url=f"http://127.0.0.1:{server.server_port}/api")
        server.shutdown()
        thread.join()


def run_due(hours, name="Scheduled"):
    due = datetime.now(UTC) + timedelta(hours=hours)
    return {"expected_start_time": due.isoformat(), "state_name": name}


@pytest.mark.parametrize(
    ("runs", "state", "said"),
    [
        ([], "broken", "no night is due: the deployment is not served"),
        ([run_due(3), run_due(27)], "fine", "next night due"),
        ([run_due(-30, "Late"), run_due(3)], "broken", "no process serves or works"),
        ([run_due(-1, "AwaitingConcurrencySlot")], "broken", "has no slot free"),
    ],
)
def test_a_schedule_that_nobody_serves_is_told_apart_from_one_that_waits(runs, state, said):
    with prefect(runs) as settings:
        found = by_name(doctor._prefect(TOY, settings))["schedule"]
    assert found.state == state
    assert said in found.said
    assert bool(found.mend) is (state == "broken")


def test_a_prefect_that_is_away_is_broken_and_an_embedded_one_is_not():
    away = Settings(prefect_url=f"http://127.0.0.1:{free_port()}/api")
    found = list(doctor._prefect(TOY, away))
    assert doctor.broken(found)
    embedded = list(doctor._prefect(TOY, Settings(prefect_url="")))
    assert not doctor.broken(embedded)
    assert embedded[0].mend == "nocturne schedule CONF"


def test_an_mlflow_that_is_away_is_told_with_what_to_do():
    found = doctor._mlflow(Settings(mlflow_url=f"http://127.0.0.1:{free_port()}"))
    assert found.state == "broken"
    assert "NOCTURNE_MLFLOW_URL" in found.mend
