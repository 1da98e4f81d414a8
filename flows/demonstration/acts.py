"""The acts of the demonstration, in their order; each checks what it shows."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
from contextlib import suppress
from datetime import date, timedelta

from flows.demonstration.play import Play
from flows.demonstration.stage import end
from tasks.demonstration.measured import Accuracy, order, pooled, terms

DRIFT = date(2025, 10, 6)  # a Monday: the stream's new product and phrases come
SATURDAY, SUNDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY = (
    DRIFT + timedelta(days=shift) for shift in (-2, -1, 1, 2, 3, 4)
)
HISTORY_DAYS = 12
ROWS_A_DAY = 800  # answered before a day is judged
DAY_SECONDS = 300.0  # patience for them, and for the server to be ready


def first_night(play: Play) -> None:
    """From an empty store to a version in Production."""
    why = "Ten days of tickets, an empty store: ingest, contract, training, gates, registry."
    with play.act("The first night", why):
        rows = play.tickets.receive(SATURDAY - timedelta(days=HISTORY_DAYS), SATURDAY)
        play.teller.aside(f"{rows:,} tickets with their topics lie in {play.tickets.path.name}")
        code, night = play.night(SATURDAY)
        play.promise(
            "the first sound model is promoted",
            kept=code == 0 and night.outcome == "promoted" and night.champion_after == "1",
            found=f"exit code {code}, {night.outcome}, champion v{night.champion_after}",
        )
        play.event("v1 promoted", "good")


def served(play: Play, url: str) -> None:
    """Clients begin, and are answered."""
    why = "The scoring server follows the ledger; clients ask all along, until the last act."
    with play.act("Served under load", why):
        play.say_command("serve", "--host", "127.0.0.1", "--port", "0")
        play.teller.aside(f"it listens on {url}; twelve clients begin")
        ready = play.wait(lambda: _ready(url), DAY_SECONDS)
        play.promise("the server makes v1 ready", kept=ready == "1", found=f"live: v{ready}")
        play.crowd.day = SUNDAY
        play.crowd.start(url)
        _day_passes(play, SUNDAY)
        play.no_failure()


def quiet_day(play: Play) -> None:
    """Monitoring leaves an ordinary day alone."""
    why = "Sunday speaks as the training rows did; monitoring must not cry wolf."
    with play.act("A quiet day", why):
        code, found = play.monitored(SUNDAY)
        play.promise(
            "an ordinary day raises no alarm",
            kept=code == 0 and not found.alarm,
            found=f"exit code {code}, smallest p {_p(found.smallest)}, level {found.level:.4f}",
        )


def drift(play: Play) -> None:
    """The language changes, and monitoring says so."""
    why = "On Monday a product appears and topics change their words; two odd days of three alarm."
    with play.act("Drift arrives", why):
        play.event("the language changes", "warn")
        code, alarmed = 0, False
        for day in (DRIFT, TUESDAY):
            _day_passes(play, day)
            code, found = play.monitored(day)
            alarmed = found.alarm
            if alarmed:
                break
        play.promise(
            "the drift raises an alarm within two days",
            kept=alarmed and code == 3,
            found=f"exit code {code} on {found.logical_date}, smallest p {_p(found.smallest)}",
        )
        play.event("alarm", "bad")
        before, after = _accuracy(play, "1", SUNDAY, SUNDAY), _accuracy(play, "1", DRIFT, TUESDAY)
        play.promise(
            "the alarm is no false one: live accuracy fell",
            kept=after.high < before.low,
            found=f"{before.value:.3f} on Sunday, {after.value:.3f} since",
        )


def retrained(play: Play) -> None:
    """A night learns the new language, is promoted, and is live without a pause."""
    why = "Labels until Wednesday have come. The night trains while the server answers on."
    with play.act("Retrained, promoted, live", why):
        play.crowd.day = WEDNESDAY
        play.tickets.receive(SUNDAY, WEDNESDAY)
        code, night = play.night(WEDNESDAY)
        play.promise(
            "the better model is promoted",
            kept=code == 0 and night.outcome == "promoted" and night.champion_after == "2",
            found=f"exit code {code}, {night.outcome}, champion v{night.champion_after}",
        )
        play.live("2", "v2 promoted", "good")
        play.crowd.day = THURSDAY
        _day_passes(play, THURSDAY)
        play.no_failure()
        old, new = _accuracy(play, "1", DRIFT, WEDNESDAY), _accuracy(play, "2", DRIFT, THURSDAY)
        play.promise(
            "live accuracy recovers",
            kept=new.low > old.high,
            found=f"{old.value:.3f} with v1 since Monday, {new.value:.3f} with v2",
        )


def refused_by_contract(play: Play) -> None:
    """Bad data stop a night before anything is trained."""
    why = "A release of the ticket system calls billing payments from Thursday on."
    with play.act("A poisoned night, refused by the contract", why):
        play.tickets.receive(THURSDAY, THURSDAY)
        rows = play.tickets.rename_topic("billing", "payments", THURSDAY)
        play.teller.aside(f"{rows} rows of {THURSDAY} carry a topic that nobody knows")
        code, night = play.night(THURSDAY)
        play.promise(
            "the contract stops the night before anything is trained",
            kept=code == 3 and night.refused_by == "contract" and not night.candidates,
            found=f"exit code {code}, refused by {night.refused_by}, "
            f"{len(night.candidates)} candidates trained",
        )
        play.event("refused by the contract", "bad")
        _still(play, "2")


def refused_by_gate(play: Play) -> None:
    """A model that learnt nonsense is not promoted."""
    why = "The release is mended; now a join goes wrong and hands every ticket another's topic."
    with play.act("A poisoned night, refused by the gates", why):
        play.tickets.repair()
        play.tickets.receive(FRIDAY, FRIDAY)
        play.crowd.day = FRIDAY
        rows = play.tickets.shuffle_topics()
        play.teller.aside(f"the topics of {rows:,} tickets are shuffled; counts are as they were")
        code, night = play.night(FRIDAY)
        gates = night.verdict.gates if night.verdict else ()
        failed = [gate.gate for gate in gates if not gate.passed]
        play.promise(
            "the gates refuse what the contract cannot see",
            kept=code == 3 and night.refused_by == "gate" and bool(failed),
            found=f"exit code {code}, refused by {night.refused_by}: {', '.join(failed)}",
        )
        play.event("refused by the gates", "bad")
        play.tickets.repair()
        _still(play, "2")


def rolled_back(play: Play) -> None:
    """Back to the last good version, and forward again, both while clients ask."""
    why = "A person takes v2 back, at once; the server follows. The drill over, v2 returns."
    with play.act("Rolled back, and forward again", why):
        code, _ = play.nocturne("rollback", "--reason", "a drill: back to the version before")
        play.promise("the rollback is done", kept=code == 0, found=f"exit code {code}")
        play.live("1", "rolled back to v1", "warn")
        time.sleep(5)
        code, _ = play.nocturne("promote", "2", "--reason", "the drill is over")
        play.promise("a person promotes v2 again", kept=code == 0, found=f"exit code {code}")
        play.live("2", "v2 promoted by hand", "good")
        time.sleep(5)
        _still(play, "2")


def closed(play: Play, server: subprocess.Popen[str]) -> None:
    """The ledger holds, and of all requests none was lost."""
    why = "Clients stop, the server drains, and the ledger is read from its first entry."
    with play.act("The books", why):
        play.crowd.stop()
        code = end(server)
        play.promise("asked to end, the server drains", kept=code == 0, found=f"exit code {code}")
        code, said = play.nocturne("verify", "--json")
        sound = code == 0 and json.loads(said)["sound"]
        play.promise("ledger, bundles and MLflow agree", kept=sound, found=f"exit code {code}")
        versions = order(play.history())
        found = terms(play.crowd.asked, versions)
        late = sum(term.late for term in found)
        play.promise(
            "clients saw the versions in the ledger's order, none after its term",
            kept=[term.version for term in found] == versions and not late,
            found=f"{' → '.join(f'v{term.version}' for term in found)}, {late} out of turn",
        )
        play.no_failure()


def _day_passes(play: Play, day: date) -> None:
    """Clients send the tickets of a day until there are enough to judge by, and they are logged."""
    play.crowd.day = day
    play.wait(lambda: play.crowd.rows_of(day) >= ROWS_A_DAY, DAY_SECONDS)
    rows = play.crowd.rows_of(day)
    play.promise(
        f"the tickets of {day:%A} are answered", kept=rows >= ROWS_A_DAY, found=f"{rows:,} rows"
    )
    time.sleep(play.pipeline.serving.log_seconds + 1)


def _ready(url: str) -> str | None:
    """The version that is live; None where none is yet."""
    with suppress(OSError), urllib.request.urlopen(f"{url}/v2/health/ready", timeout=5) as answer:  # noqa: S310 - our own server
        version: str | None = json.load(answer)["model_version"]
        return version
    return None


def _accuracy(play: Play, version: str, since: date, until: date) -> Accuracy:
    """Of a version over some days; no rows tell nothing, between 0 and 1."""
    found = pooled(list(play.crowd.asked), version, since, until)
    return found or Accuracy(since, version, 0, 0.0, 0.0, 1.0)


def _still(play: Play, version: str) -> None:
    """Clients are answered by a version right now, and none was left without an answer."""
    last = play.crowd.asked[-1].version
    play.promise(
        f"v{version} serves on", kept=last == version, found=f"the last answer is v{last}'s"
    )
    play.no_failure()


def _p(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"
