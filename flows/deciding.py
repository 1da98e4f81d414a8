"""The verbs about who is champion: to change it, to ask why, to see that all agree."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from flows import console
from flows.console import answer, exit_codes, grid, show_facts
from flows.display import showing
from flows.options import DEFAULT, By, Conf, Json, Reason, pipeline_of

app = typer.Typer()

Version = Annotated[str, typer.Argument(help="Version of the registered model.")]
Waiting = Annotated[
    str | None, typer.Argument(help="Version; may be left out where only one waits.")
]


@app.command()
def promote(
    conf: Path, version: Version, reason: Reason, by: By = None, *, as_json: Json = False
) -> None:
    """Put a version into Production by hand; the champion is archived in the same step."""
    _by_hand(conf, "promote", version, reason, by, as_json=as_json)


@app.command()
def rollback(
    conf: Path,
    reason: Reason,
    to: Annotated[str | None, typer.Option(help="Version; the champion before this one.")] = None,
    by: By = None,
    *,
    as_json: Json = False,
) -> None:
    """Go back to the last good version, at once, also while MLflow is away.

    No night promotes the version that was rolled back again.
    """
    _by_hand(conf, "rollback", to, reason, by, as_json=as_json)


@app.command()
def approve(
    conf: Path, reason: Reason, version: Waiting = None, by: By = None, *, as_json: Json = False
) -> None:
    """Promote a challenger that passed its gates and waits (policy.approval: required)."""
    _by_hand(conf, "approve", version, reason, by, as_json=as_json)


@app.command()
def reject(
    conf: Path, reason: Reason, version: Waiting = None, by: By = None, *, as_json: Json = False
) -> None:
    """Say no to a challenger that waits; no night promotes it again."""
    _by_hand(conf, "reject", version, reason, by, as_json=as_json)


def _by_hand(
    conf: Path, verb: str, version: str | None, reason: str, by: str | None, *, as_json: bool
) -> None:
    with exit_codes(as_json=as_json), showing(quiet=as_json):
        from flows import promotion

        facts = promotion.by_hand(pipeline_of(conf), verb, version, reason, by)
        facts["next"] = _next(conf, verb, facts)
        answer(facts, as_json=as_json, table=lambda: show_facts(facts))


def _next(conf: Path, verb: str, facts: dict[str, Any]) -> str:
    """What the decision means from now on, and the command that goes on from there."""
    before, version = facts["champion_before"], facts["version"]
    serves = f"v{facts['champion_after']} serves" if facts["champion_after"] else "nothing serves"
    if verb == "rollback":
        return (
            f"{serves} now; nights go on and promote what beats it, but v{before} only after "
            f"`nocturne promote {conf} {before} --reason WHY`"
        )
    if verb == "reject":
        anyway = f"`nocturne promote {conf} {version} --reason WHY` does it all the same"
        return f"{serves} on; no night promotes v{version} again, {anyway}"
    back = f"; `nocturne rollback {conf} --reason WHY` goes back to v{before}" if before else ""
    return f"{serves} now, and nights are held against it{back}"


@app.command()
def history(conf: Conf = DEFAULT, *, as_json: Json = False) -> None:
    """Every decision about CONF: when, what, from whom to whom, on whose word, and why."""
    with exit_codes(as_json=as_json), showing(quiet=as_json):
        from flows.records import history_of

        made = history_of(pipeline_of(conf))
        answer(made, as_json=as_json, table=lambda: _show_history(made))


def _show_history(made: list[dict[str, Any]]) -> None:
    def moved(one: dict[str, Any]) -> str:
        before, after = (f"v{one[k]}" if one[k] else "–" for k in ("before", "after"))
        return f"{before} → {after}" if before != after else f"{after} stays"

    columns = ("entry", "when (UTC)", "what", "version", "champion", "by", "why")
    rows = [
        (
            str(one["number"]),
            one["at"][:16].replace("T", " "),
            one["kind"],
            f"v{one['version']}" if one["version"] else "–",
            moved(one),
            one["by"],
            one["why"],
        )
        for one in made
    ]
    grid("Decisions", columns, rows)


@app.command()
def explain(
    conf: Conf = DEFAULT,
    version: Annotated[str | None, typer.Argument(help="Version; the champion.")] = None,
    *,
    as_json: Json = False,
) -> None:
    """Why a version serves or does not: gates with their numbers, data, and what came after."""
    with exit_codes(as_json=as_json), showing(quiet=as_json):
        from flows.records import explanation_of

        story = explanation_of(pipeline_of(conf), version)
        told = [*story.sentences(), f"all decisions, the others too: nocturne history {conf}"]
        answer(story.to_json(), as_json=as_json, table=lambda: _say(told))


@app.command()
def verify(conf: Conf = DEFAULT, *, as_json: Json = False) -> None:
    """Check the ledger's chain, the bundles' digests and MLflow's page; exit code 3 on findings."""
    with exit_codes(as_json=as_json), showing(quiet=as_json):
        from flows.promotion import verify as found_by

        found = found_by(pipeline_of(conf))
        agreed = ["the ledger holds, its bundles are whole, MLflow agrees"]
        facts = {"sound": not found, "findings": found}
        answer(facts, as_json=as_json, table=lambda: _say(found or agreed))
        if found:
            raise typer.Exit(console.REFUSED)


@app.command()
def replay(
    night: Annotated[datetime, typer.Argument(formats=["%Y-%m-%d"], help="Its logical date.")],
    conf: Conf = DEFAULT,
    *,
    as_json: Json = False,
) -> None:
    """Train a night's challenger again from what was kept: the same model, or why not.

    Nothing is registered or promoted. Exit code 3 when the model is a different one.
    """
    with exit_codes(as_json=as_json), showing(quiet=as_json):
        from flows.replaying import replay as replayed

        found = replayed(pipeline_of(conf), night.date())
        answer(found, as_json=as_json, table=lambda: show_facts(found))
        if found["verdict"] == "different":
            raise typer.Exit(console.REFUSED)


@app.command()
def reconcile(conf: Conf = DEFAULT, by: By = None, *, as_json: Json = False) -> None:
    """Finish what a crash or an absent MLflow left unfinished, and mend changes by hand."""
    with exit_codes(as_json=as_json), showing(quiet=as_json):
        from flows.promotion import reconcile as mended_by

        mended = mended_by(pipeline_of(conf), by)
        nothing = ["nothing to mend: the ledger and MLflow agree"]
        answer({"mended": mended}, as_json=as_json, table=lambda: _say(mended or nothing))


def _say(sentences: Any) -> None:
    for sentence in sentences:
        console.say(escape(sentence))
