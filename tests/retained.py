"""A pipeline with many nights behind it, none of which trained: toys, their rows, reports, runs."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import pandas as pd

from infra.local import LocalStorage
from model_registry.asking import Asked, Facts, Judged
from model_registry.runs import Runs
from tasks import nights
from tasks.config import Pipeline
from tasks.datasets import snapshots
from tasks.references import Night, Snapshot

FIRST = date(2026, 1, 1)
GATES = [{"gate": "finite", "passed": True, "sentence": "all are", "numbers": {}}]


def pipeline(**retention):
    return Pipeline.model_validate(
        {
            "name": "toys",
            "source": {"reader": "synthetic"},
            "columns": {"label": "topic", "text": "text"},
            "candidates": [{"name": "a", "architecture": "averaged_embeddings"}],
            "retention": retention,
        }
    )


@dataclass(frozen=True)
class Kept:
    """What one night left.

    Attributes:
        day: Its logical date, ISO 8601.
        version: The challenger; None where there is none.
        digests: Of its snapshots.
        run: In MLflow.
    """

    day: str
    version: str | None
    digests: tuple[str, str]
    run: str


def night(toys, storage, number, end):
    """Night `number` after the first ends promoted, kept, proposed, or (refused) without a model.

    Its clean rows are others than it took in, and each night's differ from all others'.
    """
    day = FIRST + timedelta(days=number)
    rows = pd.DataFrame(
        {"row_id": [f"{number}-a", f"{number}-b"], "label": ["x", "y"], "text": ["one", "two"]}
    )
    took, _ = snapshots.write(rows, "toys", storage)
    snapshots.note(snapshots.NightRows(day.isoformat(), took, 2, 2), "toys", storage)
    clean, key = snapshots.write(rows[:1], "toys", storage)
    passed = Snapshot(key=key, digest=clean, rows=1, new_rows=1, duplicates=0)
    note = f'{{"clean": {passed.model_dump_json()}}}'.encode()
    storage.put(f"validations/toys/{day}.json", note)
    storage.put(f"quarantine/toys/{day}.parquet", b"bad rows")
    storage.put(f"reports/toys/{day}.html", b"<p>report")
    storage.put(f"requests/toys/{day}/{number}.parquet", b"live rows")
    runs = Runs(toys.uri, "toys")
    tags = {"kind": "night", "logical_date": day.isoformat()}
    run = runs.start(f"night {day}", tags=tags)
    child = runs.start("a", parent=run, tags={"kind": "candidate"})
    page = toys.folder / "page.html"
    page.write_text("plots")
    for one in (child, run):
        runs.log_artifacts(one, page)
        runs.finish(one)
    version = None
    if end != "refused":
        made = toys.add(f"night-{number}")
        version = made.version
        storage.put(f"references/toys/{version}.parquet", b"reference")
        links = {"run": run, "report": f"reports/toys/{day}.html", "candidate": "a"}
        facts = Facts(
            day.isoformat(), {"data": took, "test": f"{number:04x}"}, gates=GATES, links=links
        )
        promotions = toys.promotions()
        judged = Judged(version, made.digest, promotions.state().champion, facts)
        request = f"night {day.isoformat()}"
        asked = Asked(request, request, "all passed", datetime.now(UTC))
        getattr(promotions, end)(judged, asked)
    record = Night(pipeline="toys", logical_date=day.isoformat(), version=version, outcome="kept")
    nights.save(record, storage, lease=1)
    return Kept(day.isoformat(), version, (took, clean), run)


def past(toys, *ends):
    """Nights one after the other, as long ago as their dates say; what each left."""
    storage = LocalStorage(toys.folder / "store")
    return [night(toys, storage, number, end) for number, end in enumerate(ends)]


def later(toys, days=200):
    """A time long after everything was written, and the store's files as old as they are."""
    return datetime.now(UTC) + timedelta(days=days)


def keys(toys, prefix=""):
    return list(LocalStorage(toys.folder / "store").keys(prefix))
