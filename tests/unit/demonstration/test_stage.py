"""Where the demonstration is played: its database, its folder, its processes."""

import subprocess
import sys
import time
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from flows.demonstration import stage
from flows.demonstration.crowd import tickets
from flows.demonstration.stage import PAGE, Stage, StageBroken, end, fresh
from flows.demonstration.upstream import TicketSystem
from tasks.datasets.sql import read_sql
from tasks.pipeline_file import load_pipeline

ROOT = Path(__file__).parents[3]
SATURDAY, SUNDAY = date(2025, 10, 4), date(2025, 10, 5)


@pytest.fixture
def system(tmp_path):
    return TicketSystem(tmp_path / "tickets.sqlite")


def topics(system, until=SUNDAY):
    """Topics as the demonstration's own query reads them."""
    options = load_pipeline(ROOT / "conf" / "demonstration.yaml").source.reader.options
    instant = datetime.combine(until, datetime.max.time(), UTC)
    table = read_sql(instant, url=system.url, query=options["query"])
    ids = table.column("ticket_id").to_pylist()
    return dict(zip(ids, table.column("topic").to_pylist(), strict=True))


def test_the_query_sees_ten_days_until_the_night(system):
    system.receive(date(2025, 9, 20), SUNDAY)
    days = {name[1:9] for name in topics(system, SATURDAY)}
    assert (min(days), max(days), len(days)) == ("20250925", "20251004", 10)


def test_a_renamed_topic_hits_its_day_only_and_is_mended(system):
    system.receive(SATURDAY, SUNDAY)
    before = topics(system)
    hit = system.rename_topic("billing", "payments", SUNDAY)
    changed = {name for name, topic in topics(system).items() if topic != before[name]}
    assert len(changed) == hit > 20
    assert {name[1:9] for name in changed} == {"20251005"}
    system.repair()
    assert topics(system) == before


def test_shuffled_topics_keep_their_counts_and_mean_nothing(system):
    system.receive(SATURDAY, SUNDAY)
    before = topics(system)
    system.shuffle_topics()
    after = topics(system)
    told = [sorted(map(str, each.values())) for each in (before, after)]
    assert told[0] == told[1]
    same = sum(before[name] == after[name] for name in before) / len(before)
    assert same < 0.6


def test_clients_send_tickets_that_the_nights_never_read(system):
    system.receive(SUNDAY, SUNDAY)
    stream = tickets(SUNDAY)
    sent = [next(stream) for _ in range(300)]
    assert {one.created_at.date() for one in sent} == {SUNDAY}
    assert all(one.text for one in sent)
    assert len({one.text for one in sent}) > 280


def test_a_demonstration_begins_afresh_and_touches_nothing_else(tmp_path):
    (tmp_path / "store").mkdir()
    with fresh(tmp_path) as folder:
        (folder / "left").write_text("by the last one")
    with fresh(tmp_path) as folder:
        assert [path.name for path in folder.iterdir()] == [PAGE]
    assert (tmp_path / "store").is_dir()


def test_what_no_demonstration_left_is_not_deleted(tmp_path):
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "thesis.txt").write_text("the only copy")
    with pytest.raises(StageBroken, match=r"demonstration\.html is missing"), fresh(tmp_path):
        pass
    assert (tmp_path / "demo" / "thesis.txt").exists()


def test_two_demonstrations_do_not_share_a_folder(tmp_path):
    taken = pytest.raises(StageBroken, match="another demonstration runs there")
    with fresh(tmp_path), taken, fresh(tmp_path):
        pass
    with fresh(tmp_path):
        pass


def test_commands_see_the_stage_and_nothing_of_the_user_s_places(tmp_path, monkeypatch):
    monkeypatch.setenv("NOCTURNE_STORE", "s3://the-users/own")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://the-users.example")
    seen = []
    own = Stage(tmp_path, {"NOCTURNE_HOME": str(tmp_path)}, seen.append)
    code, said = own.nocturne("history", "conf/support_tickets.yaml", "--json")
    assert (code, said.strip()) == (0, "[]")


def test_a_process_that_does_not_listen_to_reason_is_killed(monkeypatch):
    monkeypatch.setattr(stage, "PATIENCE_SECONDS", 0.5)
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    deaf += "; print(1, flush=True); time.sleep(99)"
    process = subprocess.Popen(
        [sys.executable, "-c", deaf], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    with process.stdout:
        process.stdout.readline()
        began = time.monotonic()
        assert end(process) == -9
        assert time.monotonic() - began < 20
