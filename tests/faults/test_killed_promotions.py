"""Processes killed or stopped in the middle of deciding; whoever comes next finds all mended."""

import os
import random
import shutil
import signal
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults import actor
from tests.faults.invariants import violations
from tests.faults.promoting import Place, asked, quick_disk


@pytest.fixture(autouse=True)
def _quick():
    with quick_disk():
        yield


def ready(home, action):
    """A pipeline in which the action can be taken: v1, v2 were promoted, v7 is new."""
    place = Place(home).promoted("1", "2")
    place.mirror.register(actor.NEW)
    if action in ("approve", "reject"):
        place.promotions().propose(place.judged(actor.NEW), asked("its night"))
    if action == "mend":
        place.mirror.set_stage("1", "Production")
    return place


def where(place):
    """Who serves, who may not, who waits, what the page shows."""
    state = place.promotions().state()
    shown = (place.mirror.standing().production, place.mirror.standing().alias)
    return state.champion.version, sorted(state.barred), sorted(state.proposals), shown


def broken(place, told=()):
    return violations(place.ledger, place.mirror, place.mirror.unfit, told)


def at_each_write(template, action, fault="killed"):
    """A copy of the template and the process that met the fault there, for each point in turn.

    The last one meets none: it comes through.
    """
    point, came_through = 0, False
    while not came_through:
        point += 1
        place = Place(Path(shutil.copytree(template.home, template.home.with_name(f"at {point}"))))
        with actor.start("act", place.home, action, "the night", fault, point) as process:
            _, status = os.waitpid(process.pid, os.WUNTRACED)
            came_through = os.WIFEXITED(status)
            assert not came_through or os.WEXITSTATUS(status) == 0
            yield place, process, came_through


@pytest.mark.parametrize("action", sorted(actor.ACTIONS))
def test_killed_before_or_after_any_write_a_rerun_ends_as_if_nothing_had_happened(tmp_path, action):
    ends, deaths = [], 0
    for place, process, came_through in at_each_write(ready(tmp_path / "it", action), action):
        told = actor.outcomes(process.stdout.read())
        if not came_through:
            deaths += 1
            assert told == []
            place.promotions().reconcile(asked())
            assert broken(place) == [], deaths
            outcome = actor.ACTIONS[action](place, place.promotions(), asked("the night"))
            told = [outcome] if outcome else []
        assert broken(place, told) == [], deaths
        ends.append(where(place))
    assert deaths >= 2
    assert all(end == ends[-1] for end in ends), ends


@pytest.mark.parametrize("kills", [60, pytest.param(1000, marks=pytest.mark.slow)])
def test_killed_at_any_moment_nothing_that_was_told_is_lost(tmp_path, kills):
    rng, done, told = random.Random(kills), 0, []
    while done < kills:
        if done % 50 == 0:
            place, told = Place(tmp_path / str(done)), []
        with ExitStack() as processes:
            both = [
                processes.enter_context(actor.start("forever", place.home, f"{kills} {done} {n}"))
                for n in range(2)
            ]
            lines = [process.stdout.readline() for process in both[: rng.randrange(3)]]
            lines += [both[0].stdout.readline() for _ in range(rng.randrange(3))]
            for process in both:
                process.kill()
                lines.append(process.communicate()[0])
                done += 1
        told += actor.outcomes("".join(lines))
        place.promotions().reconcile(asked())
        assert broken(place, told) == [], done
    assert told


@pytest.mark.parametrize("racers", [2, 8])
def test_of_racing_processes_one_promotes_and_the_others_are_told_to_whom_they_lost(
    tmp_path, racers
):
    place = Place(tmp_path).promoted("1")
    versions = [str(number) for number in range(2, 2 + racers)]
    digests = {version: place.mirror.register(version) for version in versions}
    with ExitStack() as running:
        processes = [
            running.enter_context(actor.start("race", place.home, v, digests[v])) for v in versions
        ]
        for process in processes:
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        said = [process.communicate()[0] for process in processes]
    won = [outcome for line in said for outcome in actor.outcomes(line)]
    assert len(won) == 1, said
    lost = f"promotion lost to v{won[0].version}, expected v1 in Production"
    assert sum(lost in line for line in said) == racers - 1, said
    place.promotions().reconcile(asked())
    assert broken(place, won) == []
    assert where(place)[0] == won[0].version


def test_a_process_that_slept_through_another_promotion_cannot_promote(tmp_path):
    sleepers = 0
    template = ready(tmp_path / "it", "promote")
    for place, process, came_through in at_each_write(template, "promote", "stopped"):
        if came_through:
            break
        sleepers += 1
        place.promotions().reconcile(asked())
        other = place.promotions().promote(place.judged("9"), asked("another night"))
        os.kill(process.pid, signal.SIGCONT)
        said, _ = process.communicate()
        place.promotions().reconcile(asked())
        assert broken(place, [other, *actor.outcomes(said)]) == [], sleepers
        assert where(place)[0] == "9", (sleepers, said)
    assert sleepers > 8


@pytest.mark.parametrize("harm", ["missing", "tampered"])
def test_a_bundle_lost_or_changed_while_its_promoter_was_dead_does_not_get_into_production(
    tmp_path, harm
):
    refused = 0
    for place, _, came_through in at_each_write(ready(tmp_path / "it", "promote"), "promote"):
        champion = place.promotions().state().champion.version
        if came_through or champion == actor.NEW:
            continue
        bundle = place.mirror.root / "bundles" / actor.NEW
        bundle.unlink() if harm == "missing" else bundle.write_bytes(b"something else")
        place.promotions().reconcile(asked())
        assert broken(place) == []
        assert where(place)[0] == "2"
        refused += 1
    assert refused > 6
