"""The plain facts of a night for its report: the data, the run, the seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tasks.evaluation.charts import spoken
from tasks.references import Night, Prepared, Snapshot, Validated
from tasks.tuned import Tuned

FIRST = ("architecture", "resampling")  # of a trial's settings, without their names


def data(
    snapshot: Snapshot | None, validated: Validated | None, prepared: Prepared | None
) -> list[tuple[str, str]]:
    """Name and value of what was read, what the contract said and how it was split."""
    facts = []
    if snapshot:
        facts += [
            ("rows read", f"{snapshot.rows:,}, of which {snapshot.new_rows:,} new"),
            ("exact duplicates dropped", f"{snapshot.duplicates:,}"),
            ("newest row", snapshot.newest or "the rows have no time"),
            ("digest", snapshot.digest),
        ]
    if validated:
        facts += [
            ("contract", ("held. " if validated.accepted else "broken. ") + validated.reason),
            ("quarantined", f"{validated.quarantined:,}" + _where(validated.quarantine_key)),
        ]
        facts += [("Data Docs", validated.data_docs)] if validated.data_docs else []
    if prepared:
        shares = (prepared.train_rows, prepared.validation_rows, prepared.test_rows)
        facts += [
            ("train, validation, test", " · ".join(f"{rows:,}" for rows in shares)),
            ("copies of test rows", f"{prepared.near_duplicates:,} left the train rows"),
            ("digest of the test rows", prepared.test_digest),
        ]
    return facts


def _where(key: str | None) -> str:
    return f", with their reasons in {key}" if key else ""


def run(night: Night) -> list[tuple[str, str]]:
    """Name and value of what identifies the run; what is not known is left out."""
    facts: Sequence[tuple[str, str | None]] = (
        ("registered version", night.version),
        ("its stage", night.stage),
        ("champion before", night.champion_before or "none"),
        ("champion after", night.champion_after or "none"),
        ("probation", night.probation.reason if night.probation else None),
        ("MLflow run", night.run_id),
        ("seed", str(night.seed)),
        ("finished", night.finished_at),
    )
    return [(name, value) for name, value in facts if value]


SHOWN = 5  # trials of a search


def search(tuned: Tuned | None) -> dict[str, Any] | None:
    """The best trials of a search, each with a bar by its value; None without one."""
    if tuned is None or not tuned.trials:
        return None
    best = tuned.best(SHOWN)
    highest = max((trial.value or 0.0 for trial in best), default=0.0) or 1.0
    rows = [
        {
            "number": trial.number,
            "settings": settings_in_words(trial.settings),
            "value": trial.value,
            "width": round(100 * max(trial.value or 0.0, 0.0) / highest),
            "seconds": f"{trial.seconds:,.0f}",
            "won": trial.candidate == tuned.candidate,
        }
        for trial in best
    ]
    return {
        "reason": tuned.reason,
        "metric": spoken(tuned.metric),
        "rows": rows,
        "won": tuned.candidate is not None,
    }


def settings_in_words(settings: Mapping[str, Any]) -> str:
    """`lstm_attention, class_weights · units 64, dropout 0.3`."""
    named = {n: value for n, value in settings.items() if n not in FIRST and value is not None}
    first = ", ".join(str(settings[name]) for name in FIRST if name in settings)
    rest = (f"{name.replace('_', ' ')} {_short(value)}" for name, value in named.items())
    return f"{first} · {', '.join(rest)}"


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def bars(seconds: Mapping[str, float]) -> list[dict[str, Any]]:
    """Seconds by step, with widths in per cent of the longest."""
    longest = max(seconds.values(), default=0) or 1
    return [
        {"name": spoken(step), "seconds": f"{spent:,.1f} s", "width": round(100 * spent / longest)}
        for step, spent in seconds.items()
    ]
