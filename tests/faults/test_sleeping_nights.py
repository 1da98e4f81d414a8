"""Nights that sleep between a last look at their lease and a write, and wake up as zombies."""

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import date
from itertools import count
from pathlib import Path

import pytest

from flows.recording import record
from infra.local import LocalStorage
from tasks import nights
from tasks.lease import LeaseLost, holding
from tasks.references import Night as Record
from tests.command_line import ROOT, night_home_in
from tests.faults.invariants import violations
from tests.faults.nights import TINY, Night, ended, opened, stops
from tests.faults.promoting import Place, Points, asked, quick_disk

DAY = date(2026, 3, 1)
SLEEPER = """
from datetime import date
from flows.recording import record
from infra.settings import Settings
from infra.storage import open_storage
from tasks.lease import holding
from tasks.references import Night
storage, facts = open_storage(Settings()), {"pipeline": "toy", "logical_date": "2026-03-01"}
with holding("toy", date(2026, 3, 1), storage, lasts=1) as lease:
    record(Night(**facts, outcome="failed", reason="of the sleeper"), storage, lease)
"""


@pytest.fixture(params=["folder", "s3"])
def store(request, tmp_path):
    """A store, and how a process is told where it is."""
    if request.param == "folder":
        return LocalStorage(tmp_path / "store"), {"NOCTURNE_STORE": str(tmp_path / "store")}
    server = request.getfixturevalue("s3_server")
    storage, settings = server.storage("night"), server.settings()
    return storage, {
        "NOCTURNE_STORE": storage.uri,
        "NOCTURNE_S3_ENDPOINT": settings.s3_endpoint,
        "NOCTURNE_S3_ACCESS_KEY": settings.s3_access_key.get_secret_value(),
        "NOCTURNE_S3_SECRET_KEY": settings.s3_secret_key.get_secret_value(),
    }


def test_a_record_is_not_overwritten_by_who_slept_between_its_lease_and_its_write(store, tmp_path):
    storage, where = store
    said = tmp_path / "said.txt"
    with said.open("w") as output:
        sleeper = subprocess.Popen(
            [sys.executable, "-c", SLEEPER],
            cwd=ROOT,
            env={**os.environ, **where, "NOCTURNE_FAILPOINT": "before_save:stop"},
            stdout=output,
            stderr=output,
        )
    try:
        stops(sleeper, said)
        time.sleep(1.1)  # its lease is over
        kept = {"pipeline": "toy", "logical_date": DAY.isoformat(), "outcome": "kept"}
        heirs = Record(**kept, reason="of the heir")
        with holding("toy", DAY, storage) as lease:
            assert lease.held.number == 2
            record(heirs, storage, lease)
    finally:
        sleeper.send_signal(signal.SIGCONT)
    woken = ended(sleeper, said)
    assert woken.returncode == 1
    assert "LeaseLost: night 2026-03-01 of 'toy' was given up for dead after 1 s" in woken.stderr
    assert len(list(storage.keys("nights/toy/"))) == 2  # it wrote, beside the record that counts
    assert nights.load("toy", DAY, storage) == heirs
    assert nights.recent("toy", storage) == [heirs]
    assert nights.recorded("toy", storage) == [DAY.isoformat()]


@pytest.mark.parametrize("heir", ["begins", "keeps the champion"])
def test_whenever_a_promotion_falls_asleep_it_adds_nothing_to_what_another_night_began(
    tmp_path, heir
):
    """The other night leaves the champion as it is, so that only the fence is in the way."""
    template = Place(tmp_path / "it").promoted("1", "2")
    template.mirror.register("7")
    decided = 0
    for at in count(1):
        place = Place(Path(shutil.copytree(template.home, tmp_path / str(at))))
        taken_over = []

        def takes_over(_name, place=place, taken_over=taken_over):
            taken_over.append(True)
            other = place.promotions()
            other.reconcile(asked("another night begins"))
            other.fence(asked("lease 1"))
            taken_over.append(other.state().champion)
            if heir != "begins":
                other.keep(place.judged("9"), asked("another night"))

        def still_ours(taken_over=taken_over):
            if taken_over:
                raise LeaseLost("it is another's")

        points = Points(at, takes_over)
        judged = place.judged("7", place.mirror.digest("7"))
        sleeper = replace(asked("the sleeper"), by="sleeper")
        with quick_disk():
            try:
                place.promotions(points, still_ours).promote(judged, sleeper)
            except LeaseLost:
                assert taken_over
            if not taken_over:
                break
            entries = list(place.ledger.follow())
            (fence,) = (entry.number for entry in entries if entry.kind == "fenced")
            late = [e.number for e in entries if e.by == "sleeper" and e.number > fence]
            assert late == [], at
            champion = place.promotions().state().champion
            assert champion == taken_over[1], at
            decided += champion.version == "7"
            place.promotions().reconcile(asked())
            assert violations(place.ledger, place.mirror, place.mirror.unfit) == [], at
    assert at > 40
    assert 0 < decided < at - 1  # it fell asleep before its intent, and after


def promoted_beside_another(night):
    """A second night is refused while the first one runs, and is none of its business."""
    process, said = night.begin(NOCTURNE_FAILPOINT="after_claim:stop")
    try:
        stops(process, said)
        second = night.on("2026-03-02").run()
        assert second.returncode == 3, second.stderr
        running = f"'tiny': night {night.day} is still running (pid {process.pid} on "
        assert running in second.stderr
        assert "Traceback" not in second.stderr
    finally:
        process.send_signal(signal.SIGCONT)
    begun = ended(process, said)
    assert begun.returncode == 0, begun.stderr


@pytest.mark.slow
def test_a_night_that_slept_through_the_next_one_cannot_promote(tmp_path):
    home = night_home_in(tmp_path)
    first = Night(home, home.write(TINY))
    promoted_beside_another(first)
    asleep = first.on("2026-03-02")
    process, said = asleep.begin(
        NOCTURNE_FAILPOINT="before_promote:stop", NOCTURNE_LEASE_SECONDS="5"
    )
    try:
        stops(process, said)
        time.sleep(6)
        following = first.on("2026-03-03").run()
        assert following.returncode == 3, following.stderr  # the champion is who it was
        ledger, *_ = opened(first)
        before = list(ledger.follow())
    finally:
        process.send_signal(signal.SIGCONT)
    woken = ended(process, said)
    assert woken.returncode not in (0, 3), woken.stderr
    assert "was given up for dead after 5 s of silence and taken over" in woken.stderr
    assert list(ledger.follow()) == before
    assert [entry.kind for entry in before[2:]] == ["fenced", "kept"]
    assert before[2].why.startswith("night 2026-03-02 (lease 2) never said how it ended")
    again = asleep.run()
    assert again.returncode in (0, 3), again.stderr
    assert violations(*opened(first)) == []
