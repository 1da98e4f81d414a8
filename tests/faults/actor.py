"""Promotions in processes of their own, without MLflow, so that they may be killed or stopped.

`python -m tests.faults.actor DO HOME ...` with DO one of
    act ACTION REQUEST FAULT POINT   one action, with a fault at a point (0: none)
    race VERSION DIGEST              promote, once a line comes in
    forever SEED                     whatever nights and persons do, until killed
Whatever was told is written as one line of JSON.
"""

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from model_registry.asking import Judged
from model_registry.errors import PromotionLost, RegistryError
from model_registry.outcomes import Outcome
from tests.faults.promoting import (
    FACTS,
    WRITES,
    Place,
    Points,
    act_for_ever,
    asked,
    killed,
    quick_disk,
    stopped,
)

ROOT = Path(__file__).parents[2]
FAULTS = {"killed": killed, "stopped": stopped}
NEW = "7"  # the version that the actions below are about


def promote(place, promotions, night):
    return promotions.promote(_judged(place, promotions), night)


def keep(place, promotions, night):
    return promotions.keep(_judged(place, promotions), night)


def rollback(place, promotions, night):
    return promotions.rollback(night)


def demote(place, promotions, night):
    """What a night's probation does: its rerun goes back from the same champion."""
    state = promotions.state()
    if night.request in state.requests:
        return promotions.answer(night.request)
    found = {"version": "2", "predecessor": "1", "rows": 120, "look": 1}
    return promotions.demote(state.champion, state.past[-1], night, found)


def approve(place, promotions, night):
    return promotions.approve(night, NEW)


def reject(place, promotions, night):
    return promotions.reject(night, NEW)


def mend(place, promotions, night):
    promotions.reconcile(night)


ACTIONS = {
    "promote": promote,
    "keep": keep,
    "rollback": rollback,
    "demote": demote,
    "approve": approve,
    "reject": reject,
    "mend": mend,
}


def start(*arguments):
    """Such a process; its lines come through a pipe."""
    pipe = subprocess.PIPE
    command = [sys.executable, "-m", "tests.faults.actor", *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True)


def outcomes(lines):
    """What was told, as far as it was told whole."""
    whole = [line for line in lines.splitlines(keepends=True) if line.endswith("\n")]
    told = [json.loads(line) for line in whole]
    return [Outcome(**one["told"]) for one in told if one.get("told")]


def _judged(place, promotions):
    """A night's judgement of the new version; its rerun judges against the same champion."""
    champion = promotions.state().champion
    if champion is not None and champion.version == NEW:
        champion = promotions.state().past[-1]
    return Judged(NEW, place.mirror.digest(NEW), champion, FACTS)


def _tell(told):
    facts = asdict(told) if isinstance(told, Outcome) else None
    sys.stdout.write(json.dumps({"told": facts, "said": str(told)}) + "\n")
    sys.stdout.flush()


def _act(place, action, request, fault, point):
    points = Points(int(point) or None, FAULTS[fault], WRITES)
    _answered(lambda: ACTIONS[action](place, place.promotions(points), asked(request)))


def _race(place, version, digest):
    judged = Judged(version, digest, place.promotions().state().champion, FACTS)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    _answered(lambda: place.promotions().promote(judged, asked(f"night of v{version}")))


def _forever(place, seed):
    act_for_ever(place.home, seed, sys.stdout.fileno())


def _answered(ask):
    try:
        _tell(ask())
    except (PromotionLost, RegistryError) as error:
        _tell(error)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    do, home, *rest = sys.argv[1:]
    with quick_disk():
        {"act": _act, "race": _race, "forever": _forever}[do](Place(Path(home)), *rest)
    os._exit(0)
