"""A stream of support tickets that never was: the data that Nocturne is shown with.

Each calendar day is drawn with a seed of its own, so that any two windows agree on the days they
share. The stream has what real ones have: skewed classes, typos, wrong labels, tickets sent twice
and nearly twice, contradicting labels, gaps, weekends; and every 90 days a new product appears
and the topics change some of their words.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from tasks.datasets import tickets as words
from tasks.datasets.errors import DataError
from tasks.datasets.misspelling import misspelt, nearly

if TYPE_CHECKING:
    import pyarrow as pa

PERIOD_DAYS = 90
MOST_WORDS = 60
CUSTOMERS = 2_500
_WEEKDAYS = (1.25, 1.2, 1.15, 1.15, 1.05, 0.65, 0.55)
_SECONDS_A_DAY = 86_400
_RULED_OUT = {topic: share**0.8 for topic, share in words.SHARES.items()}

# shares of tickets
WRONG_LABEL = 0.03
SENT_TWICE = 0.015
NEARLY_TWICE = 0.02
CONTRADICTED = 0.004
NO_TEXT = 0.006
NO_LABEL = 0.006
# shares of kinds of text; the rest is plain
CONTRAST = 0.18
BRIEF = 0.1
VAGUE = 0.04
# in the words of a neighbouring topic
BORROWED = 0.025


@dataclass(frozen=True)
class Ticket:
    """One row of the stream."""

    ticket_id: str
    created_at: datetime
    customer_id: str
    product: str
    channel: str
    text: str | None
    topic: str | None


def read_synthetic(
    until: datetime | None,
    *,
    days: int = 180,
    rows_per_day: float = 45.0,
    seed: int = 17,
    end: str | None = None,
) -> pa.Table:
    """Support tickets of the days before a date.

    Args:
        until: Last instant of the logical date in UTC; its day is the last of the stream.
        days: Length of the stream.
        rows_per_day: Tickets a day, on average over a week.
        seed: Of everything drawn.
        end: ISO date on which the stream ended; no day after it has tickets.

    Returns:
        Columns ticket_id, created_at, customer_id, product, channel, text, topic.

    Raises:
        DataError: options out of range, or neither a logical date nor an end.
    """
    import pyarrow as pa

    if days < 1 or not 0 < rows_per_day <= 100_000:
        raise DataError(
            f"synthetic: days from 1 and rows_per_day above 0, got {days} and {rows_per_day}"
        )
    last = _last_day(until, end)
    stream = [
        ticket
        for back in range(days - 1, -1, -1)
        for ticket in tickets_of(last - timedelta(days=back), seed, rows_per_day)
    ]
    fields = [
        ("ticket_id", pa.string()), ("created_at", pa.timestamp("us", "UTC")),
        ("customer_id", pa.string()), ("product", pa.string()), ("channel", pa.string()),
        ("text", pa.string()), ("topic", pa.string()),
    ]  # fmt: skip
    columns = {
        name: pa.array([getattr(ticket, name) for ticket in stream], kind) for name, kind in fields
    }
    return pa.table(columns)


def _last_day(until: datetime | None, end: str | None) -> date:
    try:
        limits = [date.fromisoformat(end)] if end else []
    except ValueError:
        raise DataError(f"synthetic: end is an ISO date such as 2026-01-31, got {end!r}") from None
    limits += [until.astimezone(UTC).date()] if until else []
    if not limits:
        raise DataError("synthetic: the stream needs a logical date or the option `end`")
    return min(limits)


def tickets_of(day: date, seed: int, rows_per_day: float) -> list[Ticket]:
    """All tickets of one day, in the order in which they came."""
    rng = random.Random(f"{seed}/{day.isoformat()}")  # noqa: S311 - data, not secrets
    mean = rows_per_day * _WEEKDAYS[day.weekday()]
    count = max(1, round(rng.gauss(mean, mean**0.5)))
    drawn = [again for _ in range(count) for again in _with_repeats(_ticket(day, rng), rng)]
    ordered = sorted(drawn, key=lambda ticket: ticket.created_at)
    return [
        replace(ticket, ticket_id=f"T{day:%Y%m%d}-{number:05d}")
        for number, ticket in enumerate(ordered)
    ]


def _ticket(day: date, rng: random.Random) -> Ticket:
    period = day.toordinal() // PERIOD_DAYS
    topic = _pick(words.SHARES, rng)
    product = _product(period, rng)
    text = misspelt(_text(topic, product, period, rng), rng)
    label = _pick(words.SHARES, rng, but=topic) if rng.random() < WRONG_LABEL else topic
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return Ticket(
        ticket_id="",
        created_at=midnight + timedelta(seconds=_second(rng)),
        customer_id=_customer(rng),
        product=product,
        channel=_pick(words.CHANNELS, rng),
        text=None if rng.random() < NO_TEXT else text,
        topic=None if rng.random() < NO_LABEL else label,
    )


def _with_repeats(ticket: Ticket, rng: random.Random) -> Iterator[Ticket]:
    """The ticket, and now and then the same once more."""
    yield ticket
    chance = rng.random()
    if ticket.text is None or ticket.topic is None:
        return
    later = ticket.created_at + timedelta(seconds=rng.randrange(30, 3_600))
    end = ticket.created_at.replace(hour=23, minute=59, second=59)
    # a colleague writes the same as often as the customer does
    sender = ticket.customer_id if rng.random() < 0.5 else _customer(rng)
    again = replace(ticket, created_at=min(later, end), customer_id=sender)
    if chance < SENT_TWICE:
        yield again
    elif chance < SENT_TWICE + NEARLY_TWICE:
        yield replace(again, text=nearly(ticket.text, rng))
    elif chance < SENT_TWICE + NEARLY_TWICE + CONTRADICTED:
        yield replace(again, topic=_pick(words.SHARES, rng, but=ticket.topic))


def _customer(rng: random.Random) -> str:
    return f"C{rng.randrange(CUSTOMERS):05d}"


def _second(rng: random.Random) -> int:
    """Of the day; most people write in office hours."""
    return min(_SECONDS_A_DAY - 1, max(0, round(rng.gauss(13.5, 3.5) * 3_600)))


def _product(period: int, rng: random.Random) -> str:
    newest = words.LATER_PRODUCTS[period % len(words.LATER_PRODUCTS)]
    before = words.LATER_PRODUCTS[(period - 1) % len(words.LATER_PRODUCTS)]
    chance = rng.random()
    if chance < 0.2:
        return newest
    return before if chance < 0.3 else rng.choice(words.PRODUCTS)


def _text(topic: str, product: str, period: int, rng: random.Random) -> str:
    spoken = words.NEIGHBOURS[topic] if rng.random() < BORROWED else topic
    asked = _mention(spoken, period, rng)
    chance = rng.random()
    if chance < BRIEF:
        return _filled(rng.choice(words.BRIEF), asked, "", product, rng)
    if chance < BRIEF + CONTRAST:
        other = _mention(_pick(_RULED_OUT, rng, but=topic), period, rng)
        core = _filled(rng.choice(words.CONTRASTS), asked, other, product, rng)
    elif chance < BRIEF + CONTRAST + VAGUE:
        core = _filled(rng.choice(words.VAGUE), asked, "", product, rng)
    else:
        core = _filled(rng.choice(words.PLAIN), asked, "", product, rng)
    parts = [rng.choice(words.OPENINGS), core, rng.choice(words.CLOSINGS)]
    for _ in range(rng.choice((0, 0, 0, 1, 1, 2, 3))):
        parts.insert(rng.choice((1, len(parts) - 1)), rng.choice(words.ASIDES))
    text = " ".join(_filled(part, asked, "", product, rng) for part in parts if part)
    return _styled(" ".join(text.split()[:MOST_WORDS]), rng)


def _mention(topic: str, period: int, rng: random.Random) -> str:
    """A phrase of the topic that is in use in the period."""
    phrases = words.MENTIONS[topic]
    in_use = [p for at, p in enumerate(phrases) if (at - 3 * period) % len(phrases) < 11]
    return rng.choice(in_use)


def _filled(form: str, asked: str, other: str, product: str, rng: random.Random) -> str:
    """A form with its gaps filled, each filler drawn anew."""
    while "{m}" in form:
        form = form.replace("{m}", rng.choice(words.FILLERS), 1)
    gaps = {"open": rng.choice(words.OPEN), "done": rng.choice(words.DONE)}
    gaps |= {"but": rng.choice(words.BUT), "n": str(rng.randrange(2, 99_999))}
    text = form.format(a=asked, r=other, p=product, **gaps)
    return " ".join(text.split()).replace(" ,", ",")


def _styled(text: str, rng: random.Random) -> str:
    chance = rng.random()
    if chance < 0.2:
        return text.lower()
    if chance < 0.23:
        return text.upper()
    return text if chance < 0.4 else text[0].upper() + text[1:]


def _pick(weights: dict[str, float], rng: random.Random, but: str | None = None) -> str:
    """A name by weight, any but one."""
    names: Sequence[str] = [name for name in weights if name != but]
    return rng.choices(names, [weights[name] for name in names])[0]
