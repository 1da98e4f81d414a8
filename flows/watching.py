"""The verbs beside the night: a batch, what live inputs look like, and a demonstration of all."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows import console
from flows.console import answer, exit_codes, grid, out, show_facts, size
from flows.display import showing
from flows.options import DEFAULT, By, Conf, Json, pipeline_of, place_of

if TYPE_CHECKING:
    from tasks.references import Watched

app = typer.Typer()

Source = Annotated[
    str | None,
    typer.Argument(
        metavar="INPUT",
        help="File, folder, s3://bucket/prefix, or a SELECT; scoring.input if not given.",
    ),
]
Target = Annotated[
    str | None,
    typer.Argument(
        metavar="OUTPUT",
        help="File; folder or s3://bucket/prefix for parts; scoring.output if not given.",
    ),
]
Day = Annotated[datetime | None, typer.Option("--date", formats=["%Y-%m-%d"], help="Logical date.")]


@app.command()
def score(
    conf: Path,
    source: Source = None,
    target: Target = None,
    day: Day = None,
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Also what an earlier run finished.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Let Production score a batch: label, every class's probability, model version and digest.

    A folder or s3:// prefix as OUTPUT gets parts that appear whole and `_SUCCESS` last; a run
    that was killed goes on where it was. Rows that cannot be scored go to `OUTPUT.rejects.csv`,
    or to `_rejects/`, each with its reason; exit code 3 where they are more than
    `scoring.max_rejected`.
    """
    with exit_codes(as_json=as_json), showing(quiet=as_json):
        from flows.scoring import score_file

        date = day.date() if day else None
        result = score_file(pipeline_of(conf), source, target, date, force=force)
        facts = result.model_dump(mode="json")
        answer(facts, as_json=as_json, table=lambda: _show_scored(facts))
        if result.refused:
            raise typer.Exit(console.REFUSED)


def _show_scored(facts: dict[str, Any]) -> None:
    """Not what there is none of, nor that one file is one part."""
    usual = {"parts": 1}
    show_facts({name: said for name, said in facts.items() if said and said != usual.get(name)})


@app.command()
def monitor(
    conf: Conf = DEFAULT,
    day: Day = None,
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Also a day that is recorded already.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Compare a day's live inputs with the training reference; yesterday if no date is given.

    Exit code 3 on an alarm. With a Prefect server an alarm emits the event `nocturne.drift`,
    which starts `retrain` where `nocturne schedule` or a work pool runs the pipeline.
    """
    with exit_codes(as_json=as_json), showing(quiet=as_json):
        from flows.monitoring import monitor_day

        found = monitor_day(pipeline_of(conf), day.date() if day else None, force=force)
        facts = found.model_dump(mode="json")
        answer(facts, as_json=as_json, table=lambda: _show_day(found))
        raise typer.Exit(console.REFUSED if found.alarm else console.DONE)


@app.command()
def probation(conf: Conf = DEFAULT, day: Day = None, *, as_json: Json = False) -> None:
    """Judge a new champion by the labels that came since; demote it if its predecessor is better.

    Every night does it first; this does it now, over the source as it is. Only rows that neither
    version learnt from count. Exit code 3 when the champion was demoted.
    """
    with exit_codes(as_json=as_json), showing(quiet=as_json):
        from flows.probation import look_now

        found = look_now(pipeline_of(conf), day.date() if day else None)
        nobody = {"reason": "nobody is on probation: no promotion, or it is over"}
        facts = found.model_dump(mode="json") if found else nobody
        answer(facts, as_json=as_json, table=lambda: show_facts({"probation": facts["reason"]}))
        raise typer.Exit(console.REFUSED if found and found.demoted else console.DONE)


@app.command()
def gc(
    conf: Conf = DEFAULT,
    by: By = None,
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would go, and why the rest stays.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Delete what `retention` in CONF does not keep: rows, versions, runs, reports, live inputs.

    Production, the champion before it, what waits for a person, all that the ledger needs and
    what is younger than `retention.safe_hours` stay whatever the policy says. Versions that go
    are recorded in the ledger first. Exit code 3 while a night of the pipeline runs.
    """
    with exit_codes(as_json=as_json), showing(quiet=as_json):
        from flows.cleaning import clean

        found = clean(pipeline_of(conf), dry_run=dry_run, by=by)
        answer(found, as_json=as_json, table=lambda: _show_cleaned(found))


def _show_cleaned(found: dict[str, Any]) -> None:
    rows = [
        (
            row["kind"],
            f"{row['deleted']:,}",
            size(row["bytes"]),
            f"{row['oldest']} to {row['newest']}" if row["deleted"] else "",
            f"{row['kept']:,}",
            "; ".join(f"{count} {why}" for why, count in list(row["why_kept"].items())[:4]),
        )
        for row in found["kinds"]
    ]
    verb = "would go" if found["dry_run"] else "deleted"
    grid("Retention", ("what", verb, "size", "of", "kept", "why"), rows)
    out.print(f"{found['deleted']:,} {verb}, {size(found['bytes'])}", highlight=False)


@app.command()
def demo(*, as_json: Json = False) -> None:
    """See it all in some minutes: a night, serving under load, drift, alarm, retraining, poison.

    Runs this very command on generated tickets in a store of its own, `.nocturne/demo`, which
    each run begins afresh: the first night is promoted and served while clients ask; the
    language changes and monitoring raises an alarm; a retrained version takes over live; a
    poisoned batch is refused by the contract and a poisoned model by the gates; a rollback
    reaches the clients. Every act checks itself, and a page with plots tells the story.
    Exit code 1 when a promise was not kept.
    """
    with exit_codes(as_json=as_json):
        from flows.demonstration.running import demonstrate

        told = demonstrate(quiet=as_json)
        answer(told, as_json=as_json, table=lambda: None)
        raise typer.Exit(console.DONE if told["kept"] else console.FAILED)


def _show_day(found: Watched) -> None:
    rows = [
        (one.feature, f"{one.among:.4f}", f"{one.alone:.4f}", one.said) for one in found.features
    ]
    columns = ("feature", "p, among all", "p, alone", "what moved most")
    if rows:
        grid(f"{found.pipeline}, live inputs of {found.logical_date}", columns, rows)
    colour = "red" if found.alarm else "yellow" if found.conspicuous else "green"
    console.say(f"[{colour}]{found.reason}[/]")
    sure = found.estimated_accuracy
    accuracy = f"{sure.value:.3f} [{sure.low:.3f}, {sure.high:.3f}]" if sure else ""
    true = ", ".join(f"{day} {value:.3f}" for day, (value, _) in found.true_accuracy.items())
    report = found.report and place_of(found.report)
    show_facts({"estimated accuracy": accuracy, "true accuracy": true, "report": report})
