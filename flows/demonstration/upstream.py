"""The ticket system that the demonstration's nights read: a database that fills and breaks."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path

from tasks.datasets.synthetic import Ticket, tickets_of

SEED = 17
ROWS_A_DAY = 450.0
COLUMNS = ("ticket_id", "created_at", "customer_id", "product", "channel", "text", "topic")
INSTANT = "%Y-%m-%d %H:%M:%S.%f"


class TicketSystem:
    """Tickets of the generated stream with their topics, in an SQLite file.

    Args:
        path: Of the file; made where absent.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._days: list[date] = []
        self._run(f"CREATE TABLE tickets ({', '.join(COLUMNS)})")

    @property
    def url(self) -> str:
        """As SQLAlchemy takes it."""
        return f"sqlite:///{self.path.resolve()}"

    def receive(self, first: date, last: date) -> int:
        """The tickets of some days arrive with their topics, both ends among them; how many."""
        days = [first + timedelta(days=at) for at in range((last - first).days + 1)]
        self._days += days
        rows = [_values(ticket) for day in days for ticket in tickets_of(day, SEED, ROWS_A_DAY)]
        gaps = ", ".join("?" * len(COLUMNS))
        with closing(sqlite3.connect(self.path)) as database, database:
            database.executemany(
                f"INSERT INTO tickets VALUES ({gaps})",  # noqa: S608 - only question marks
                rows,
            )
        return len(rows)

    def rename_topic(self, old: str, new: str, since: date) -> int:
        """A release calls a topic by another name from a day on; how many rows it hits."""
        return self._run(
            "UPDATE tickets SET topic = ? WHERE topic = ? AND created_at >= ?",
            (new, old, since.isoformat()),
        )

    def shuffle_topics(self) -> int:
        """A join goes wrong: every ticket gets the topic of another; how many rows it hits."""
        with closing(sqlite3.connect(self.path)) as database, database:
            rows = database.execute("SELECT rowid, topic FROM tickets").fetchall()
            topics = [topic for _, topic in rows]
            random.Random(SEED).shuffle(topics)  # noqa: S311 - data, not secrets
            changes = [(topic, row) for (row, _), topic in zip(rows, topics, strict=True)]
            database.executemany("UPDATE tickets SET topic = ? WHERE rowid = ?", changes)
        return len(rows)

    def repair(self) -> None:
        """Every topic as it was."""
        days, self._days = self._days, []
        self._run("DELETE FROM tickets")
        self.receive(days[0], days[-1])

    def _run(self, statement: str, values: tuple[str, ...] = ()) -> int:
        with closing(sqlite3.connect(self.path)) as database, database:
            return database.execute(statement, values).rowcount


def _values(ticket: Ticket) -> tuple[str | None, ...]:
    """In the order of COLUMNS."""
    given = {**vars(ticket), "created_at": ticket.created_at.strftime(INSTANT)}
    return tuple(given[name] for name in COLUMNS)
