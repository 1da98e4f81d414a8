"""`nocturne demo`: the whole story from an empty folder to its page."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from flows.demonstration import acts
from flows.demonstration.play import BrokenPromise, Play
from flows.demonstration.stage import PAGE, fresh
from flows.demonstration.telling import Teller
from flows.options import pipeline_of
from infra.settings import Settings
from infra.stopping import stoppable

CONF = Path("conf/demonstration.yaml")


def demonstrate(*, quiet: bool = False) -> dict[str, Any]:
    """Play every act in a fresh `HOME/demo`, and write the page that tells the story.

    Args:
        quiet: Say nothing while it runs.

    Returns:
        Whether every promise was kept, which were not, the page, seconds by act.

    Raises:
        StageBroken: the folder is not to be had, or the server does not come up.
        ConfigError: the pipeline file is not there.
    """
    from tasks.demonstration.page import write

    pipeline = pipeline_of(CONF)
    teller = Teller(quiet=quiet)
    with stoppable(), fresh(Settings().home) as folder:
        play = Play(CONF.resolve(), pipeline, folder, acts.DRIFT, teller)
        kept = _played(play)
        play.story.asked = play.crowd.asked
        play.story.again = again(play)
        page = write(folder / PAGE, play.story)
        broken = play.story.broken
        teller.end(str(page), broken, play.clock())
    return {
        "kept": kept,
        "broken": [f"{one.said}: {one.found}" for one in broken],
        "page": str(page),
        "seconds": {act.title: round(act.ended - act.began, 1) for act in play.story.acts},
        "requests": len(play.story.asked),
        "failed": sum(one.version is None for one in play.story.asked),
    }


def _played(play: Play) -> bool:
    """All acts, as far as promises are kept; server and clients are gone at the end."""
    try:
        acts.first_night(play)
        with play.stage.serving(play.conf) as (url, server):
            try:
                acts.served(play, url)
                for act in (
                    acts.quiet_day, acts.drift, acts.retrained, acts.refused_by_contract,
                    acts.refused_by_gate, acts.rolled_back,
                ):  # fmt: skip
                    act(play)
                acts.closed(play, server)
            finally:
                play.crowd.stop()
    except BrokenPromise:
        if not play.story.history:
            play.history()
        return False
    return True


def again(play: Play) -> list[str]:
    """What to type to look further at what the demonstration left."""
    conf = os.path.relpath(play.conf)
    exports = [f"export {name}={value}" for name, value in play.variables.items()]
    verbs = ("history", "explain", "status", "serve")
    return [*exports, *(f"nocturne {verb} {conf}" for verb in verbs), "nocturne ui"]
