"""The verbs that let others run: the platform, a schedule, a work pool, MLflow's page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from flows.console import answer, exit_codes, grid, out, show_facts
from flows.display import err, showing
from flows.options import DEFAULT, Json, pipelines_of

if TYPE_CHECKING:
    from flows.platform import Platform

app = typer.Typer()

COLOURS = ("cyan", "green", "magenta", "blue", "yellow", "bright_cyan", "bright_green")
WIDTH = 18


@app.command()
def up(
    confs: Annotated[
        list[Path] | None, typer.Argument(help="Pipeline files; all of conf/ if none is given.")
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="Address of all servers; 127.0.0.1 unless set.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Of the page of links; 4100 unless set.")
    ] = None,
    *,
    as_json: Json = False,
) -> None:
    """Run the whole platform on this machine until Ctrl-C or SIGTERM, or `nocturne down`.

    Prefect and MLflow servers (on PostgreSQL if one is set or installed, else SQLite), the
    schedules of every pipeline, a scoring server for each that has a champion, and a page of
    links. What dies or hangs is started again, with longer and longer pauses; what a killed `up`
    left is ended by the next one. Other verbs of the same NOCTURNE_HOME find the servers by
    themselves. Beyond loopback it needs a password, allowed hosts and a token. With `--json` the
    document is printed once everything answers; the log goes to standard error.
    """
    # not prepared: servers that a killed `up` left would look like ones that are set
    with exit_codes(as_json=as_json), showing(prepared=False):
        from flows import platform

        def everything_answers(found: Platform) -> None:
            answer(found.facts(), as_json=as_json, table=lambda: _show_platform(found))

        given = {"up_host": host, "up_port": port}
        raise typer.Exit(platform.run(confs or [], given, Log().tell, everything_answers))


class Log:
    """One log of all parts on standard error: a name and a colour each."""

    def __init__(self) -> None:
        self._colours: dict[str, str] = {}

    def tell(self, name: str, line: str) -> None:
        """Show one line of one part."""
        from rich.text import Text

        colour = self._colours.setdefault(name, COLOURS[len(self._colours) % len(COLOURS)])
        shown = Text.assemble((f"{name:<{WIDTH}} | ", colour), line)
        err.print(shown, highlight=False, soft_wrap=True)


def _show_platform(found: Platform) -> None:
    facts = found.facts()
    rows = [(one["name"], one["state"], one["page"] or "–") for one in facts["parts"]]
    grid("Everything answers", ("part", "state", "page"), rows)
    show_facts({name: facts[name] for name in ("page", "database", "store")})
    for name, why in facts["left_out"].items():
        show_facts({f"left out {name}": why})


@app.command()
def down(*, as_json: Json = False) -> None:
    """End the `nocturne up` of this home, and what a killed one left."""
    with exit_codes(as_json=as_json):
        from flows import platform

        said = platform.down() or ["nothing was running"]
        answer({"ended": said}, as_json=as_json, table=lambda: out.print("\n".join(said)))


@app.command()
def ui(
    port: Annotated[int, typer.Option(min=1, max=65535, help="On 127.0.0.1.")] = 5000,
    *,
    as_json: Json = False,
) -> None:
    """Open MLflow's page on the store the nights write to; Ctrl-C stops it."""
    with exit_codes(as_json=as_json):
        from infra import orchestration
        from infra.settings import Settings

        settings = Settings()
        orchestration.prepare(settings)
        facts = {"url": f"http://127.0.0.1:{port}"}
        answer(facts, as_json=as_json, table=lambda: out.print(f"MLflow: {facts['url']}"))
        raise typer.Exit(orchestration.mlflow_ui(settings, port))


@app.command()
def schedule(
    confs: Annotated[
        list[Path] | None,
        typer.Argument(help="Pipeline files, or a folder of them.", show_default=str(DEFAULT)),
    ] = None,
    *,
    as_json: Json = False,
) -> None:
    """Serve the schedules of pipelines until interrupted; Prefect is embedded if none is set."""
    with exit_codes(as_json=as_json), showing():
        from infra import orchestration
        from infra.settings import Settings

        pipelines = pipelines_of(confs or [DEFAULT])
        with orchestration.prefect_api(Settings()) as url:
            facts = {
                "prefect": url.removesuffix("/api"),
                "pipeline": ", ".join(pipeline.name for pipeline in pipelines),
            }
            if len(pipelines) == 1:
                facts |= pipelines[0].schedule.model_dump()
            answer(facts, as_json=as_json, table=lambda: show_facts(facts))
            from flows.scheduling import serve

            serve(*pipelines)


@app.command()
def deploy(
    confs: Annotated[
        list[Path],
        typer.Argument(
            metavar="CONF...", help="Pipeline files, or a folder: all of its pipelines."
        ),
    ],
    pool: Annotated[str, typer.Option(metavar="NAME", help="The work pool.")],
    kind: Annotated[
        Literal["process", "docker", "kubernetes"] | None,
        typer.Option("--type", help="Of the pool, which is made if it is not there."),
    ] = None,
    image: Annotated[
        str | None,
        typer.Option(metavar="NAME:TAG", help="Of the runs, in docker and kubernetes pools."),
    ] = None,
    concurrency: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Runs of the pool that go on at once; a new process pool has NOCTURNE_NIGHTS.",
        ),
    ] = None,
    template: Annotated[
        Path | None,
        typer.Option(help="JSON: the pool's base job template; a new pool has infra/pools/TYPE."),
    ] = None,
    *,
    prune: Annotated[
        bool,
        typer.Option("--prune", help="Delete deployments whose pipeline or cron has vanished."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Deploy pipelines to a Prefect work pool: night, batch and monitoring, each with its cron.

    `nocturne deploy conf --pool nights --type process`, and beside it, in the same folder,
    `prefect worker start --pool nights`, which runs what is due, on any machine; with
    `--type docker --image nocturne:0.1.0` or `kubernetes` each run has a container of its own.
    The deployments are those of `nocturne schedule`: one night of a pipeline at a time, and an
    alarm of monitoring starts one. A call that finds all as it should be changes nothing. The
    pool is one folder's: what the folder has no more is said, and deleted by `--prune`; files
    that are named answer for themselves alone. Of a folder, what only `nocturne demo` can run is
    left out. Needs a Prefect server that stays (NOCTURNE_PREFECT_URL); what a pool runs,
    `nocturne schedule` and `nocturne up` leave to its workers.
    """
    with exit_codes(as_json=as_json), showing(quiet=as_json):
        pipelines = pipelines_of(confs)
        from flows import deploying

        asked = deploying.Asked(pool, kind, image, concurrency, template)
        whole = any(conf.is_dir() for conf in confs)
        found = deploying.deploy(pipelines, asked, whole=whole, prune=prune)
        answer(found, as_json=as_json, table=lambda: _show_deployed(found))


def _show_deployed(found: dict[str, Any]) -> None:
    rows = [
        (
            one["deployment"],
            ": ".join(filter(None, (one["change"], ", ".join(one.get("differing", ()))))),
            one.get("cron", "–"),
            one.get("timezone", "–"),
        )
        for one in found["deployments"]
    ]
    grid(f"Work pool {found['pool']}", ("deployment", "", "cron", "time zone"), rows)
    limit = found["concurrency"] or "no bound"
    show_facts({"pool": f"{found['type']}, {found['pool_change']}, runs at once: {limit}"})
    if any(one["change"] == "vanished" for one in found["deployments"]):
        show_facts({"vanished": "--prune deletes them"})
    show_facts({"a worker": found["worker"]})
