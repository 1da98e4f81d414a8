"""`nocturne backtest` as the command runs it: train, score, replay, a table and a plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from flows.backtest import (
    NEVER,
    Step,
    never,
    nights_between,
    replay,
    summary,
    with_policy,
)
from flows.console import grid, number, out
from flows.past_nights import score_nights, train_nights
from infra.settings import Settings
from tasks.config import Pipeline


def backtest(
    pipeline: Pipeline, since: date, until: date, policies: Sequence[Path], picture: Path | None
) -> dict[str, Any]:
    """Replay the nights under the pipeline's own policy, each file's, and without retraining.

    Args:
        pipeline: What to train, and the policy to begin with.
        since: First night.
        until: Last night.
        policies: YAML files with `gates` and `policy`.
        picture: Where the plot goes; into the home's backtests where None.

    Raises:
        ConfigError: days or policies that do not fit, or rows without a time.
    """
    days = nights_between(since, until)
    variants = {"as configured": pipeline}
    variants |= {path.stem: with_policy(pipeline, path) for path in policies}
    home = (Settings().home / "backtests" / pipeline.name).resolve()
    scored = score_nights(pipeline, train_nights(pipeline, days, home))
    replays = {name: replay(variant, scored) for name, variant in variants.items()}
    replays[NEVER] = never(pipeline, scored)
    path = picture or home / f"{since}-{until}.png"
    draw(replays, pipeline.evaluation.metric, path)
    return {"plot": str(path), "policies": summary(pipeline, replays)}


def show(found: Mapping[str, Any]) -> None:
    """The table of policies, and what each did night by night."""
    policies = found["policies"]
    metric = policies[0]["metric"]
    columns = ("policy", "promotions", "worse let through", f"mean {metric}", f"last {metric}")
    rows = [
        (
            line["policy"],
            str(line["promotions"]),
            str(line["worse_let_through"]),
            number(line["mean_quality"]),
            number(line["last_quality"]),
        )
        for line in policies
    ]
    grid(f"On the rows after each night ({policies[0]['rows']:,})", columns, rows)
    for line in policies:
        nights = [_row(step) for step in line["nights"]]
        grid(line["policy"], ("night", "outcome", "verdict", metric, "rows after"), nights)
    out.print(f"plot: {found['plot']}", highlight=False, soft_wrap=True)


def _row(step: Mapping[str, Any]) -> tuple[str, ...]:
    outcome = "promoted" if step["promoted"] else "kept"
    judged = (number(step["quality"]), str(step["rows"]))
    return (str(step["day"]), outcome, step["verdict"], *judged)


def draw(replays: Mapping[str, Sequence[Step]], metric: str, path: Path) -> None:
    """Quality after each night, a line a policy; a dot where Production changed."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    from tasks.evaluation.charts import spoken
    from tasks.evaluation.style import SERIES, SETTINGS

    path.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(SETTINGS):
        figure = Figure(figsize=(8.0, 4.2), layout="constrained", dpi=110)
        axes = figure.subplots()
        for place, (name, steps) in enumerate(replays.items()):
            colour = SERIES[place % len(SERIES)]
            days = [step.day.isoformat() for step in steps]
            wide = 1.8 + 2.2 * (len(replays) - 1 - place)  # so that equal lines all show
            style: dict[str, Any] = {"color": colour, "linewidth": wide, "markersize": 5 + wide}
            marks = [at for at, step in enumerate(steps) if step.promoted]
            axes.plot(
                days, [step.quality for step in steps], "o-", label=name, markevery=marks, **style
            )
        axes.set(
            title="Production on the rows that came after each night",
            xlabel="night; a dot: promoted",
            ylabel=spoken(metric),
        )
        axes.tick_params(axis="x", rotation=45)
        axes.legend(loc="best")
        figure.savefig(path)
