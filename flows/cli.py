"""The `nocturne` command: one verb a flow or question; everything heavy is imported inside it."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows import console, deciding, running, watching
from flows.console import (
    answer,
    exit_codes,
    grid,
    number,
    out,
    overview_table,
    show_facts,
)
from flows.display import err, showing
from flows.options import DEFAULT, Conf, Json, pipeline_of
from infra import collecting

if TYPE_CHECKING:
    from tasks.config import Pipeline
    from tasks.references import Night

logger = logging.getLogger(__name__)

app = typer.Typer(
    name="nocturne",
    epilog="Exit codes: 0 done · 1 failed · 2 bad usage or configuration · 3 refused by contract "
    "or gate. Where things run is set by NOCTURNE_* variables (see the README).",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)

app.add_typer(deciding.app)
app.add_typer(watching.app)
app.add_typer(running.app)


def _version(asked: bool) -> None:  # noqa: FBT001 - as Typer calls it
    if asked:
        from importlib.metadata import version

        typer.echo(f"nocturne {version('nocturne')}")
        raise typer.Exit


@app.callback()
def nocturne(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Say which this is."),
    ] = False,
) -> None:
    """Retrain sequence classifiers every night and promote only what is really better."""


EARLIEST_ZONE = timedelta(hours=14)  # where it is tomorrow first


def _not_to_come(day: datetime | None) -> datetime | None:
    """A night before its day would end without its rows, and count as that day's."""
    if day and day.date() > (now := datetime.now(UTC) + EARLIEST_ZONE).date():
        raise typer.BadParameter(f"{day.date()} is still to come; it is {now.date()} at most")
    return day


Day = Annotated[
    datetime | None,
    typer.Option(
        "--date",
        formats=["%Y-%m-%d"],
        callback=_not_to_come,
        help="Logical date of the night; today in UTC.",
    ),
]


@app.command()
def init(
    data: Annotated[Path, typer.Argument(help="CSV, Parquet or JSON Lines file.")],
    label: Annotated[str | None, typer.Option(help="Column with the class.")] = None,
    text: Annotated[str | None, typer.Option(help="Column with the text.")] = None,
    *,
    sequence: Annotated[bool, typer.Option("--sequence", help="Numeric series.")] = False,
    labels: Annotated[Path | None, typer.Option(help="Second file: id and label.")] = None,
    id_: Annotated[str | None, typer.Option("--id", help="Column with a stable id.")] = None,
    step: Annotated[str | None, typer.Option(help="Order of steps, one step a row.")] = None,
    time: Annotated[str | None, typer.Option(help="Column with the time of a row.")] = None,
    group: Annotated[str | None, typer.Option(help="Rows of a group share a split.")] = None,
    split: Annotated[str | None, typer.Option(help="Official split: train, val, test.")] = None,
    unlabelled: Annotated[Path | None, typer.Option(help="Rows without labels.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the pipeline.")] = None,
    force: Annotated[bool, typer.Option(help="Overwrite the files that exist.")] = False,
    as_json: Json = False,
) -> None:
    """Look at DATA and write conf/NAME.yaml and its expectations, every value explained.

    `nocturne init reviews.csv --label stars --text body` for text;
    `nocturne init steps.parquet --sequence --id id --step step --labels labels.csv --label class`
    for series with one step a row; list columns, and rows with a column a step, are seen without.
    What is not named is guessed, and so is how a CSV file is written; each guess is said.
    """
    with exit_codes(as_json=as_json), showing(quiet=as_json):
        from flows.starting import begin
        from tasks.datasets.drafting import Options
        from tasks.datasets.guessing import Given

        given = Given(label, text, sequence, id_, step, time, group, split)
        begun = begin(Options(data, given, labels, unlabelled, name), force=force)
        answer(begun.facts(), as_json=as_json, table=begun.show)


@app.command()
def validate(conf: Conf = DEFAULT, day: Day = None, *, as_json: Json = False) -> None:
    """Ingest the source and check its contract; exit code 3 when the contract refuses it."""
    with exit_codes(as_json=as_json), showing(quiet=as_json):
        from flows.validating import check

        logging.getLogger("expectations.validation").setLevel(logging.WARNING)  # the table says it
        result = check(pipeline_of(conf), day.date() if day else None)
        answer(result.model_dump(mode="json"), as_json=as_json, table=lambda: _findings(result))
        if not result.accepted:
            raise typer.Exit(console.REFUSED)


def _findings(result: Any) -> None:
    rows = [(f.severity, str(f.rows), f.message) for f in result.findings]
    if rows:
        grid("What did not hold", ("severity", "rows", "message"), rows)
    verdict = "[green]accepted[/]" if result.accepted else "[red]refused[/]"
    out.print(f"{verdict}: {result.reason}", highlight=False)
    out.print(f"quarantined: {result.quarantined}; Data Docs: {result.data_docs}", soft_wrap=True)


@app.command()
def retrain(
    conf: Conf = DEFAULT,
    day: Day = None,
    candidates: Annotated[str | None, typer.Option(help="Only these, separated by commas.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Instead of the file's.")] = None,
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Also a finished night; every step anew.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Run a whole night: ingest, validate, prepare, train, evaluate, gate, promote or keep.

    A night that is finished already changes nothing; one that was killed goes on where it was.
    Exit code 3 when the contract refused the data or a gate kept the champion.
    """
    with exit_codes(as_json=as_json), showing(quiet=as_json):
        pipeline = pipeline_of(conf)
        if candidates:
            pipeline = pipeline.only(name.strip() for name in candidates.split(","))
        if seed is not None:
            pipeline = pipeline.model_copy(update={"seed": seed})
        night = _run_night(pipeline, day, force=force)
        given = {"--candidates": candidates, "--seed": seed}
        _tell_unused(night, pipeline, [name for name, value in given.items() if value is not None])
        metric = pipeline.evaluation.metric
        answer(
            night.model_dump(mode="json"),
            as_json=as_json,
            table=lambda: console.night_table(night, metric),
        )
        raise typer.Exit(_code_of(night))


def _tell_unused(night: Night, pipeline: Pipeline, given: list[str]) -> None:
    """Options that a night which was finished already did not hear of."""
    from tasks.questions import of_night

    if given and night.settings_digest != of_night(pipeline):
        err.print(
            f"[yellow]night {night.logical_date} was finished already, by other settings or code: "
            f"{' and '.join(given)} not used; --force runs it anew with them[/]",
            highlight=False,
            soft_wrap=True,
        )


def _run_night(pipeline: Pipeline, day: datetime | None, *, force: bool) -> Night:
    from flows import missed
    from infra.settings import Settings
    from infra.storage import open_storage
    from infra.temporary_prefect import LOG, temporary_prefect

    settings, date, began = Settings(), day.date() if day else None, datetime.now(UTC)
    finished = None if force else missed.finished(pipeline, date, open_storage(settings))
    if finished is not None:
        return finished
    if settings.ray:
        from tasks.candidates.cluster import reached

        reached()  # before anything is computed
    until_prefect_answers = temporary_prefect(settings)
    import httpx
    from prefect.exceptions import PrefectHTTPStatusError  # meanwhile: importing it takes long

    from flows import retraining
    from tasks.datasets.errors import DataError
    from tasks.lease import LeaseLost, StillRunning

    until_prefect_answers()
    try:
        with console.told_once(retraining.NightFailed, DataError, StillRunning, LeaseLost):
            return retraining.retrain(pipeline, date, force=force)
    except retraining.NightFailed as failure:
        return failure.night
    except httpx.TransportError:
        night = missed.finished(pipeline, date, open_storage(settings), since=began)
        if night is None:
            raise
        logger.warning("Prefect went away: the night is over, and its page does not show how")
        return night
    except PrefectHTTPStatusError as error:
        raise RuntimeError(
            f"Prefect's server answered {error.response.status_code}: its log says why (a full "
            f"disk, for one; that of a run's own server is {settings.home / LOG}); `nocturne "
            "doctor` looks at all a night needs"
        ) from None


def _code_of(night: Night) -> int:
    if night.refused_by == "source":
        return console.USAGE
    if night.refused_by:
        return console.REFUSED
    return console.FAILED if night.outcome == "failed" else console.DONE


@app.command()
def status(conf: Conf = DEFAULT, *, as_json: Json = False) -> None:
    """Who is in Production, how the last nights ended, what is due; of a folder, a row for each."""
    with exit_codes(as_json=as_json), showing(quiet=as_json):
        if conf.is_dir():
            from flows.overview import overview

            found = overview(conf)
            answer(found, as_json=as_json, table=lambda: overview_table(found))
            return
        from flows.status import status_of

        state = status_of(pipeline_of(conf))
        answer(state, as_json=as_json, table=lambda: _show_status(state))


def _show_status(state: dict[str, Any]) -> None:
    champion = state["champion"]
    text = f"v{champion['version']}, {champion['reason']}" if champion else "none yet"
    waiting = ", ".join(f"v{version}" for version in state["waiting"])
    show_facts(
        {
            "pipeline": state["pipeline"],
            "champion": text,
            "running": state["running"],
            "unfinished": state["unfinished"],
            "probation": state["probation"],
            "waiting": waiting and f"{waiting} for `nocturne approve` or `nocturne reject`",
        }
    )
    rows = [
        (n["logical_date"], n["outcome"], number(n["metric"]), n["reason"]) for n in state["nights"]
    ]
    grid("Last nights", ("night", "outcome", state["metric"], "reason"), rows)
    for warning in (*state["died"], state["champion_too_old"]):
        if warning:
            console.say(f"[yellow]{warning}[/]")
    show_facts({"schedule": f"{state['schedule']}; {state['served']}"})


@app.command()
def backtest(
    conf: Path,
    since: Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="First night.")],
    until: Annotated[datetime, typer.Option("--to", formats=["%Y-%m-%d"], help="Last night.")],
    policy: Annotated[
        list[Path] | None, typer.Option(help="YAML with `gates` and `policy`; repeatable.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="PNG; beside the models if not given.")] = None,
    *,
    as_json: Json = False,
) -> None:
    """Replay past nights under each policy, and against never retraining: a table and a plot."""
    with exit_codes(as_json=as_json), showing(quiet=as_json):
        from flows import backtesting

        found = backtesting.backtest(
            pipeline_of(conf), since.date(), until.date(), policy or [], plot
        )
        answer(found, as_json=as_json, table=lambda: backtesting.show(found))


@app.command()
def serve(
    conf: Conf = DEFAULT,
    host: Annotated[str | None, typer.Option(help="Address; 127.0.0.1 unless set.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="8080 unless set.")] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes on the port.")] = 1,
    token_file: Annotated[Path | None, typer.Option(help="Holds the bearer token.")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Log one JSON object a line.")] = False,
    worker: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Answer live requests with the version in Production, and follow every promotion.

    Speaks MLflow's scoring protocol (`/invocations`) and the open inference protocol (`/v2`);
    health under `/v2/health/ready`, numbers under `/metrics`, a page to try it under `/`.
    SIGTERM drains: no request is lost. Beyond loopback it needs a token and allowed hosts.
    """
    with exit_codes():
        from flows.serving import run

        given = {"serve_host": host, "serve_port": port}
        raise typer.Exit(
            run(conf, given, token_file, workers=workers, worker=worker, as_json=as_json)
        )


@app.command()
def doctor(conf: Conf = DEFAULT, *, as_json: Json = False) -> None:
    """What keeps nights from running, and the command that mends it; exit code 1 if something."""
    with exit_codes(as_json=as_json), showing(quiet=as_json):
        from flows.doctor import broken, examine, told

        found = examine(pipeline_of(conf))
        rows = [(f.about, f.state, f.said, f.mend) for f in found]
        columns = ("what", "state", "found", "mend it with")
        answer(told(found), as_json=as_json, table=lambda: grid("Doctor", columns, rows))
        raise typer.Exit(console.FAILED if broken(found) else console.DONE)


def main() -> None:
    """Entry point of the `nocturne` command."""
    collecting.rarely()
    app()


if __name__ == "__main__":
    main()
