"""Which column of somebody's data plays which part: what they said, and guesses for the rest."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

import pandas as pd
import pyarrow as pa
from pyarrow import compute as pc
from pyarrow import types

from expectations.words import brief
from model_registry.words import counted
from tasks.config import Columns, ConfigError
from tasks.datasets.columns import SPLITS, mostly_numbers, numbers_of
from tasks.misfits import unknown

ID_NAME = re.compile(r"(^|[_.\s-])(id|uuid|guid|key)$|[a-z](Id|ID)$", re.IGNORECASE)
STEP_NAME = re.compile(r"^(step|t|time|timestep|time_step|tick|frame|position|seq|index)$", re.I)
LABEL_NAME = re.compile(r"^(label|class|target|category|topic|intent|sentiment|y)s?$", re.I)
NUMBERED = re.compile(r"(.*?)(\d+(?:\.\d+)?)")
SERIES = "series"  # what the one channel of wide rows is called
LEAST_WIDE = 4  # numbered columns that are taken for the steps of a series
MOST_CLASSES = 100
SAMPLE = 2_000


@dataclass(frozen=True)
class Given:
    """What the person said about the columns; None and False where nothing."""

    label: str | None = None
    text: str | None = None
    sequence: bool = False
    id: str | None = None
    step: str | None = None
    time: str | None = None
    group: str | None = None
    split: str | None = None


@dataclass(frozen=True)
class Guess:
    """A part that was guessed, and why; `used` is False where it is only a suggestion."""

    part: str
    column: str
    reason: str
    used: bool = True


def guess_columns(
    table: pa.Table, labels: pa.Table | None, given: Given
) -> tuple[Columns, tuple[Guess, ...]]:
    """Which column plays which part; what the person said is taken, the rest is guessed.

    Args:
        table: The source's rows: one an example, or one a step.
        labels: Second table with the id and label of each series.
        given: What the person said.

    Raises:
        ConfigError: a column that is not there, or a part that cannot be guessed.
        DataError: no channel, but a column of numbers with some that are none.
    """
    return _Guesser(table, labels, given).columns()


@dataclass
class _Guesser:
    table: pa.Table
    labels: pa.Table | None
    given: Given
    guesses: list[Guess] = field(default_factory=list)

    @property
    def facts(self) -> pa.Table:
        """Where label, time and split are looked for."""
        return self.table if self.labels is None else self.labels

    def columns(self) -> tuple[Columns, tuple[Guess, ...]]:
        given = self.given
        known = [
            *self.table.column_names,
            *(() if self.labels is None else self.labels.column_names),
        ]
        for part in ("text", "id", "step", "time", "group", "split"):
            name = getattr(given, part)
            if name is not None and name not in known:
                raise ConfigError(f"--{part}: " + unknown("column", name, known))
        label = self._label()
        taken = {label, given.id, given.time, given.group, given.split} - {None}
        numeric = self._numeric(taken)
        wide = self._wide(taken) if numeric else ()
        step = self._step() if numeric and not wide else None
        id_ = given.id or self._id(long=bool(step))
        if step and not id_:
            raise ConfigError(
                "--id: one row is one step, and no column says which series a step belongs to; "
                f"name it: there are {self._there()}"
            )
        taken |= {id_, step} - {None}
        text = None if numeric else given.text or self._text(taken)
        if text == label:
            raise ConfigError(
                f"--text and --label name one column, {label!r}: a model would be told what it is "
                "asked; name two"
            )
        sequence = (SERIES,) if wide else self._channels(step, taken) if numeric else ()
        time = given.time or (None if step else self._time({*taken, text}))
        self._suggest_split()
        columns = Columns(
            label=label, text=text, sequence=sequence, step=step, wide=wide, id=id_,
            time=time, group=given.group, split=given.split,
        )  # fmt: skip
        return columns, tuple(self.guesses)

    def _there(self) -> str:
        return brief(self.table.column_names, most=20)

    def _say(self, part: str, column: str, reason: str, *, used: bool = True) -> str:
        self.guesses.append(Guess(part, column, reason, used))
        return column

    def _label(self) -> str:
        table, name = self.facts, self.given.label
        names = [n for n in table.column_names if _may_label(table, n)]
        names = names or [n for n in table.column_names if _may_label(table, n, floats=True)]
        candidates = {n: _distinct(table, n) for n in names}
        if name in table.column_names:
            return str(name)
        shown = [f"{n} ({counted(count, 'value')})" for n, count in candidates.items()]
        few = brief(shown, most=20)[1:-1] or "none"
        if name is not None:
            hint = unknown("column", name, table.column_names)
            beside = "" if self.labels else "; in a second file of labels: --labels FILE"
            raise ConfigError(f"--label: {hint}; columns of few values: {few}{beside}")
        named = [n for n in candidates if LABEL_NAME.match(n)] or list(candidates)
        if len(named) != 1:
            raise ConfigError(
                f"--label: say which column holds the class. Columns of few values: {few}"
                + self._inside()
            )
        reason = f"{candidates[named[0]]} different values"
        return self._say("label", named[0], reason)

    def _inside(self) -> str:
        """What is said of columns that hold objects, which are not looked into."""
        objects = [field.name for field in self.facts.schema if types.is_struct(field.type)]
        if not objects:
            return ""
        return f"; {brief(objects)} hold objects, and only columns are read: write their fields so"

    def _numeric(self, taken: Collection[str | None]) -> bool:
        given = self.given
        if given.text and given.sequence:
            raise ConfigError("--text and --sequence: a pipeline reads one of them; leave one out")
        if given.text or given.sequence:
            return given.sequence
        if given.step or _lists(self.table):
            why = "rows are ordered by --step" if given.step else "columns hold lists of numbers"
            self._say("sequence", brief(_lists(self.table)) or "all numbers", why)
            return True
        texts = (name for name in _texts(self.table) if name not in taken)
        if any(not ID_NAME.search(n) and not _is_split(self.table, n) for n in texts):
            return False
        self._say("sequence", "all numbers", "no column holds text")
        return True

    def _wide(self, taken: Collection[str | None]) -> tuple[str, ...]:
        """Columns that are steps: their names differ only in a number, which orders them."""
        names = [name for name in self.table.column_names if name not in taken]
        long = self.given.step or any(STEP_NAME.match(name) for name in names)
        id_ = self.given.id
        if id_ in self.table.column_names:
            long = long or _distinct(self.table, str(id_)) < self.table.num_rows
        if long or _lists(self.table):
            return ()
        numbered = {name: match for name in names if (match := NUMBERED.fullmatch(name))}
        stems = Counter(match[1] for match in numbered.values()).most_common(2)
        if not stems or stems[0][1] < LEAST_WIDE:
            return ()
        if len(stems) > 1 and stems[1][1] >= LEAST_WIDE:
            both = " and ".join(f"{stem}1, {stem}2, …" for stem, _ in stems)
            raise ConfigError(
                f"--sequence: columns {both} look like the steps of several channels; a row of "
                "columns holds one channel: write one list column a channel (Parquet, JSON Lines), "
                "or one row a step"
            )
        steps = [name for name in numbered if numbered[name][1] == stems[0][0]]
        steps.sort(key=lambda name: float(numbered[name][2]))
        why = "one row is one series: the names differ only in a number, which orders them"
        self._say("steps", brief(steps), why)
        return tuple(steps)

    def _step(self) -> str | None:
        if self.given.step or _lists(self.table):
            return self.given.step
        for name in self.table.column_names:
            if STEP_NAME.match(name) and not _is_text(self.table, name):
                return self._say("step", name, "its name, and no column holds lists")
        raise ConfigError(
            "--sequence: no column holds lists of numbers, none is named like a step, and no "
            f"{LEAST_WIDE} are steps by their names (v1, v2, …); name it with --step where one row "
            f"is one step: there are {self._there()}"
        )

    def _id(self, *, long: bool) -> str | None:
        """A column named like an id: different in each row, or where rows are steps, repeated."""
        for name in self.table.column_names:
            if (
                name not in self.facts.column_names
                or not ID_NAME.search(name)
                or name == self.given.label
            ):
                continue
            rows = self.facts.num_rows
            unique = _distinct(self.facts, name) == rows and not self.facts.column(name).null_count
            if long or unique:
                why = "its name" + (", and every value is different" if unique else "")
                return self._say("id", name, why)
        return None

    def _text(self, taken: Iterable[str | None]) -> str:
        texts = {n: _mean_length(self.table, n) for n in _texts(self.table) if n not in taken}
        if not texts:
            raise ConfigError(
                "--text or --sequence: no column holds text or lists of numbers; use --sequence "
                f"with --step where one row is one step: there are "
                f"{', '.join(self.table.column_names)}"
            )
        name = max(texts, key=texts.__getitem__)
        return self._say("text", name, f"the longest text, {texts[name]:.0f} characters on average")

    def _channels(self, step: str | None, taken: Iterable[str | None]) -> tuple[str, ...]:
        names = _numbers(self.table) if step else _lists(self.table)
        found = tuple(name for name in names if name not in taken)
        kind = "numbers" if step else "lists of numbers"
        if not found:
            for name in _texts(self.table) if step else ():
                if name not in taken and mostly_numbers(self.table, name):
                    numbers_of(self.table, name)  # says which values are none
            raise ConfigError(f"--sequence: no column holds {kind}; a series needs a channel")
        self._say("channels", brief(found), f"all {kind} that play no other part")
        return found

    def _time(self, taken: Iterable[str | None]) -> str | None:
        names = [n for n in self.facts.column_names if n not in taken and _is_time(self.facts, n)]
        whole = [name for name in names if not self.facts.column(name).null_count]
        if len(whole) == 1:
            return self._say("time", whole[0], "its values are times")
        for name in names:
            gaps = self.facts.column(name).null_count
            why = f"none in {counted(gaps, 'row')}" if gaps else "several columns hold times"
            self._say("time", name, f"{why}; use it with --time {name}", used=False)
        return None

    def _suggest_split(self) -> None:
        if self.given.split:
            return
        for name in _texts(self.facts):
            if _is_split(self.facts, name):
                why = f"looks like an official split; use it with --split {name}"
                self._say("split", name, why, used=False)


def _is_split(table: pa.Table, name: str) -> bool:
    values = {str(v).strip().lower() for v in table.column(name).unique().to_pylist()}
    return values <= set(SPLITS) and {SPLITS[v] for v in values} >= {"train", "test"}


def _distinct(table: pa.Table, name: str) -> int:
    if types.is_null(table.schema.field(name).type):
        return 0
    return int(pc.count_distinct(table.column(name), mode="only_valid").as_py())


def _may_label(table: pa.Table, name: str, *, floats: bool = False) -> bool:
    """Few values; `floats`: whole numbers such as 1.0 too, as files write them beside gaps."""
    kind = table.schema.field(name).type
    if types.is_nested(kind) or types.is_temporal(kind):
        return False
    if types.is_floating(kind):
        whole = floats and pc.all(pc.equal(pc.floor(table.column(name)), table.column(name)))
        if not whole or not whole.as_py():
            return False
    return bool(2 <= _distinct(table, name) <= max(2, min(MOST_CLASSES, table.num_rows // 2)))


def _is_text(table: pa.Table, name: str) -> bool:
    kind = table.schema.field(name).type
    kind = kind.value_type if types.is_dictionary(kind) else kind
    return bool(types.is_string(kind) or types.is_large_string(kind))


def _texts(table: pa.Table) -> Iterator[str]:
    return (name for name in table.column_names if _is_text(table, name))


def _numbers(table: pa.Table) -> Iterator[str]:
    kinds = ((field.name, field.type) for field in table.schema)
    return (name for name, kind in kinds if types.is_integer(kind) or types.is_floating(kind))


def _lists(table: pa.Table) -> list[str]:
    return [field.name for field in table.schema if _is_list(field.type)]


def _is_list(kind: pa.DataType) -> bool:
    listed = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    if not listed:
        return False
    inner = kind.value_type
    return bool(types.is_integer(inner) or types.is_floating(inner) or _is_list(inner))


def _mean_length(table: pa.Table, name: str) -> float:
    text = table.column(name).cast(pa.large_string())
    return float(pc.mean(pc.utf8_length(text)).as_py() or 0.0)


def _is_time(table: pa.Table, name: str) -> bool:
    kind = table.schema.field(name).type
    if types.is_timestamp(kind) or types.is_date(kind):
        return True
    if not _is_text(table, name):
        return False
    some = table.column(name).drop_null().slice(0, SAMPLE).to_pandas()
    dated = some.str.match(r"\d{4}-\d{2}-\d{2}")
    if not len(some) or not dated.all():
        return False
    return bool(pd.to_datetime(some, utc=True, errors="coerce", format="ISO8601").notna().all())
