"""Days of live inputs from the log to record, report, MLflow and alarm, without Prefect."""

import json
import shutil
import sqlite3
from datetime import date, timedelta

import pytest

from infra.settings import Settings
from infra.storage import open_storage
from tasks import watched_days
from tasks.reference_rows import NoReference
from tests import live_days
from tests.champions import pipeline_of

FIRST = live_days.DAY
QUICK = {"permutations": 499, "alarm_after": {"k": 2, "of": 3}, "min_rows": 50, "label_days": 0}


def on(number):
    return FIRST + timedelta(days=number)


def pipeline(**monitoring):
    return pipeline_of(monitoring=QUICK | monitoring)


@pytest.fixture
def storage(tmp_path, empty_store, monkeypatch):
    home = tmp_path / ".nocturne"
    home.mkdir()
    shutil.copy(empty_store, home / "mlflow.db")
    monkeypatch.setenv("NOCTURNE_HOME", str(home))
    for name in ("NOCTURNE_PREFECT_URL", "PREFECT_API_URL"):
        monkeypatch.delenv(name, raising=False)
    storage = open_storage(Settings())
    live_days.referenced(storage, "batches", live_days.texts(500, 0))
    return storage


def watched(day, *, force=False, **monitoring):
    from flows.monitoring import monitor_day

    return monitor_day(pipeline(**monitoring), day, force=force)


def test_a_quiet_day_is_recorded_and_told_everywhere(storage, tmp_path):
    live_days.logged(storage, "batches", FIRST, live_days.texts(400, 1))
    found = watched(FIRST)
    assert (found.conspicuous, found.alarm) == (False, False)
    assert found.reason.startswith("quiet: ")
    assert (found.version, found.rows, found.compared, found.reference_rows) == ("1", 400, 400, 500)
    sure = found.estimated_accuracy
    assert sure.low <= found.reference_accuracy + 0.03
    assert watched_days.load(storage, "batches", FIRST) == found
    page = storage.get(found.report).decode()
    assert "Quiet" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    with sqlite3.connect(tmp_path / ".nocturne" / "mlflow.db") as connection:
        metrics = dict(connection.execute("select key, value from latest_metrics").fetchall())
        states = [status for (status,) in connection.execute("select status from runs")]
    assert metrics["rows"] == 400
    assert metrics["chance.confidence"] > 0.01
    assert metrics["estimated_accuracy"] == pytest.approx(sure.value)
    assert states == ["FINISHED"]


def test_an_alarm_waits_for_the_second_night_and_names_what_moved(storage):
    for number in range(3):
        foreign = 0.1 if number else 0.0
        rows = live_days.texts(400, number + 1, foreign=foreign, confidence=3.0 if number else 6.0)
        live_days.logged(storage, "batches", on(number), rows)
    quiet, first, second = (watched(on(number)) for number in range(3))
    assert (quiet.conspicuous, quiet.alarm) == (False, False)
    assert (first.conspicuous, first.alarm) == (True, False)
    assert first.reason.startswith("conspicuous: ")
    assert "1 of the last 3 nights, 2 raise an alarm" in first.reason
    assert (second.conspicuous, second.alarm) == (True, True)
    assert {one.feature for one in second.features if one.among <= second.level} >= {
        "unknown words", "words", "confidence",
    }  # fmt: skip
    assert second.estimated_accuracy.high < second.reference_accuracy
    page = storage.get(second.report).decode()
    assert "Alarm" in page
    assert "&#39;foreign&#39;" in page


def test_a_recorded_day_changes_nothing_and_can_be_looked_at_again(storage):
    live_days.logged(storage, "batches", FIRST, live_days.texts(300, 1))
    first = watched(FIRST)
    live_days.logged(storage, "batches", FIRST, live_days.texts(300, 2, foreign=0.3))
    assert watched(FIRST) == first
    again = watched(FIRST, force=True)
    assert (again.rows, again.conspicuous) == (600, True)


def test_too_few_rows_are_not_judged(storage):
    empty = watched(FIRST)
    assert (empty.rows, empty.alarm) == (0, False)
    assert empty.reason.startswith("not judged: 0 rows logged on 2026-03-10")
    live_days.logged(storage, "batches", on(1), live_days.texts(20, 1))
    assert watched(on(1)).smallest is None
    assert storage.exists(watched(on(1)).report)


def test_a_version_without_reference_rows_says_how_it_gets_some(storage):
    live_days.logged(storage, "batches", FIRST, live_days.texts(300, 1, version="2"))
    with pytest.raises(NoReference, match="v2 of 'batches' has no reference rows"):
        watched(FIRST)


def test_true_accuracy_comes_with_the_labels(storage):
    from tasks.datasets import snapshots

    day = live_days.texts(300, 1)
    live_days.logged(storage, "batches", FIRST, day)
    labelled = day.select(["row_id", "text", "label"]).to_pandas().astype("str")
    labelled["label"] = labelled["label"].where(labelled.index >= 30, "other")  # 10 % were wrong
    digest, _ = snapshots.write(labelled.iloc[:200], "batches", storage)
    later = on(2).isoformat()
    snapshots.note(snapshots.NightRows(later, digest, 200, 200), "batches", storage)
    live_days.logged(storage, "batches", on(1), live_days.texts(300, 5))
    found = watched(on(1), label_days=3)
    assert found.true_accuracy == {"2026-03-10": (pytest.approx(170 / 200), 200)}


def test_the_verb_answers_with_the_record_and_exits_with_3_on_an_alarm(storage, monkeypatch):
    import yaml
    from typer.testing import CliRunner

    from flows.cli import app
    from tests.champions import PIPELINE

    live_days.logged(storage, "batches", FIRST, live_days.texts(300, 1, foreign=0.2))
    conf = Settings().home.parent / "batches.yaml"
    once = QUICK | {"alarm_after": {"k": 1, "of": 1}}
    conf.write_text(yaml.safe_dump({**PIPELINE, "monitoring": once}))
    told = CliRunner().invoke(app, ["monitor", str(conf), "--date", "2026-03-10", "--json"])
    assert told.exit_code == 3, told.output
    assert json.loads(told.stdout)["alarm"]
    assert date.fromisoformat(json.loads(told.stdout)["logical_date"]) == FIRST
