"""Logged days and reference rows without a model: what answers are like is drawn."""

from datetime import UTC, date, datetime, time

import numpy as np
import pyarrow as pa

from tasks import live_inputs, reference_rows

DAY = date(2026, 3, 10)
WORDS = [f"word{number}" for number in range(400)]
SHARES = 1 / np.arange(3, 403)
CLASSES = ("billing", "delivery", "login")


def texts(rows, seed, *, confidence=6.0, foreign=0.0, mix=(0.5, 0.3, 0.2), version="1"):
    """Rows of text with their answers, as a log has them.

    Args:
        rows: How many.
        seed: Another one, other rows.
        confidence: Larger is surer.
        foreign: Share of words that nobody has seen before.
        mix: Shares of the classes.
        version: That answered.
    """
    rng = np.random.default_rng(seed)
    lengths = rng.integers(4, 20, rows)
    shares = SHARES / SHARES.sum()
    truth = rng.choice(3, rows, p=mix)
    scores = rng.gamma(confidence, size=rows)
    probabilities = np.full((rows, 3), 1.0)
    probabilities[np.arange(rows), truth] += scores
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    answers = probabilities.argmax(axis=1)
    made = [rng.choice(WORDS, length, p=shares) for length in lengths]
    unknown = rng.binomial(lengths, 0.02 + foreign)
    lines = [
        " ".join([*words[: len(words) - extra], *["foreign"] * extra])
        for words, extra in zip(made, unknown, strict=True)
    ]
    return _table(
        version,
        answers,
        probabilities,
        truth=np.where(rng.random(rows) < probabilities.max(axis=1), answers, (answers + 1) % 3),
        length=lengths,
        unknown=unknown,
        text=lines,
    )


def series(rows, seed, *, shift=0.0, missing=0.05, version="1"):
    """Rows of two channels with their answers."""
    rng = np.random.default_rng(seed)
    made = []
    for length in rng.integers(5, 15, rows):
        steps = rng.normal(size=(length, 2)) + np.array([shift, 0.0])
        gone = rng.random((length, 2)) < [missing, 0.05]
        made.append([[None if g else float(v) for v, g in zip(*s, strict=True)]
                     for s in zip(steps, gone, strict=True)])  # fmt: skip
    probabilities = rng.dirichlet((4, 2, 1), rows)
    answers = probabilities.argmax(axis=1)
    lengths = [len(one) for one in made]
    return _table(version, answers, probabilities, truth=answers, length=lengths, series=made)


def _table(version, answers, probabilities, *, truth, **columns):
    count = len(answers)
    given = {
        "version": [version] * count,
        "label": [CLASSES[at] for at in answers],
        "probabilities": probabilities.tolist(),
        "row_id": [f"r{number}" for number in range(count)],
        "truth": [CLASSES[at] for at in truth],
        **{name: np.asarray(v).tolist() if name != "series" else v for name, v in columns.items()},
    }
    schema = reference_rows.schema()
    return pa.table(
        {
            field.name: pa.array(given[field.name], field.type)
            if field.name in given
            else pa.nulls(count, field.type)
            for field in schema
        }
    )


def logged(storage, pipeline, day, table):
    """Write rows of a day as the server would."""
    rows = table.select(live_inputs.schema().names)
    noon = datetime.combine(day, time(12), UTC)
    times = pa.array([noon] * table.num_rows, pa.timestamp("us", "UTC"))
    live_inputs.append(storage, pipeline, day, rows.set_column(0, "time", times))


def referenced(storage, pipeline, table, version="1"):
    """Keep reference rows as a night would."""
    from pyarrow import parquet

    file = pa.BufferOutputStream()
    parquet.write_table(table, file)
    storage.put(reference_rows.key(pipeline, version), file.getvalue().to_pybytes())
