"""The log of live inputs: sampled, bounded, redacted, and written off the request path.

Between two flushes a reservoir keeps a uniform sample of at most so many rows; a flush writes
them as one Parquet object. Traffic of any rate costs the same memory.
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

import numpy as np

from infra.storage import Storage
from serving.engine import Answers
from serving.metrics import Metrics
from serving.protocol import Row
from tasks import live_inputs
from tasks.sequences.characters import LINK, NUMBER, USER
from tasks.sequences.tokens import unknown_tokens
from tasks.serving_config import Redaction, Serving

logger = logging.getLogger(__name__)

ADDRESS = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
WEB = re.compile(r"(?i:https?://|www\.)\S+")
NAME = re.compile(r"(?<!\w)@\w+")
DIGITS = re.compile(r"\d[\d.,:/ -]*\d|\d")


class RequestLog:
    """Rows that were answered, on their way to the store.

    Args:
        pipeline: Its name.
        store: Where the log is.
        serving: Share, bound, time between flushes, redaction.
        metrics: Told what was written.
    """

    def __init__(self, pipeline: str, store: Storage, serving: Serving, metrics: Metrics) -> None:
        self._pipeline = pipeline
        self._store = store
        self._serving = serving
        self._metrics = metrics
        self._rows: list[dict[str, Any]] = []
        self._offered = 0
        self._random = random.Random()  # noqa: S311 - a sample, no secret

    def offer(self, rows: Sequence[Row], answers: Answers, day: date | None = None) -> None:
        """Maybe keep some of the rows of one answered request.

        Args:
            rows: Of the request.
            answers: To them.
            day: That they count for; today where None.
        """
        most = self._serving.log_rows
        if not most:
            return
        for index, row in enumerate(rows):
            if self._random.random() >= self._serving.log_share:
                continue
            self._offered += 1
            if len(self._rows) < most:
                self._rows.append(self._entry(row, index, answers, day))
                continue
            at = self._random.randrange(self._offered)
            if at < most:
                self._rows[at] = self._entry(row, index, answers, day)

    async def run(self) -> None:
        """Flush for ever; a store that takes nothing costs only these rows."""
        while True:
            await asyncio.sleep(self._serving.log_seconds)
            await self.flush()

    async def flush(self) -> None:
        """Write what is kept."""
        rows, self._rows, self._offered = self._rows, [], 0
        if not rows:
            return
        try:
            await asyncio.to_thread(self._write, rows)
        except Exception as error:
            self._metrics.log_failures.inc()
            logger.warning("%d rows of the request log are lost: %s", len(rows), error)
        else:
            self._metrics.logged.inc(len(rows))

    def _write(self, rows: list[dict[str, Any]]) -> None:
        import pyarrow as pa

        days = {row["time"].date() for row in rows}
        for day in sorted(days):
            written = [self._redacted(row) for row in rows if row["time"].date() == day]
            table = pa.Table.from_pylist(written, live_inputs.schema())
            live_inputs.append(self._store, self._pipeline, day, table)

    def _entry(self, row: Row, index: int, answers: Answers, day: date | None) -> dict[str, Any]:
        engine, at = answers.engine, answers.first + index
        inputs = answers.inputs.take(np.array([at]))
        text = engine.shape.kind == "text"
        probabilities = answers.probabilities[index]
        now = datetime.now(UTC)
        return {
            "time": datetime.combine(day, now.timetz()) if day else now,
            "version": engine.version,
            "label": engine.classes[int(probabilities.argmax())],
            "probabilities": probabilities,
            "length": int(inputs.lengths[0]),
            "unknown": unknown_tokens(inputs)[0],
            "text": row if text else None,
            "series": None if text else row,
        }

    def _redacted(self, row: dict[str, Any]) -> dict[str, Any]:
        how = self._serving.redact
        series = None if how == "everything" else row["series"]
        return {**row, "text": redacted(row["text"], how), "series": series}


def redacted(text: str | None, how: Redaction) -> str | None:
    """A text without what may name a person; None where nothing may be kept."""
    if text is None or how == "everything":
        return None
    if how == "nothing":
        return text
    for pattern, placeholder in ((ADDRESS, USER), (WEB, LINK), (NAME, USER), (DIGITS, NUMBER)):
        text = pattern.sub(placeholder, text)
    return text
