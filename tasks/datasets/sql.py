"""Reader of a database, through SQLAlchemy."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tasks.datasets.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

_VARIABLE = re.compile(r"\$\{(\w+)\}")
_PASSWORD = re.compile(r"://[^/@]*:[^/@]+@")


def read_sql(until: datetime | None, *, url: str, query: str) -> pa.Table:
    """Rows that a query gives.

    Args:
        until: Last instant of the logical date in UTC, bound to `:until` where the query has it.
        url: SQLAlchemy URL. Pipeline files are logged, so a password in it is refused: write
            `${NAME}`, which is filled from the environment.
        query: One SELECT.

    Raises:
        DataError: a password in the URL, a variable that is not set, a database that does not
            answer, a query it refuses, or a column of mixed types.
    """
    import sqlalchemy as sa

    engine, place = _engine(url)
    try:
        with engine.connect() as connection:
            result = connection.execute(_statement(query, until))
            names = list(result.keys())
            rows = result.fetchall()
    except sa.exc.SQLAlchemyError as error:
        raise _refused(error, place) from None
    finally:
        engine.dispose()
    return _table(names, rows, place)


def stream_sql(until: datetime | None, *, url: str, query: str, rows: int) -> Iterator[pa.Table]:
    """The rows of a query, `rows` at a time, so that memory is bounded; raises as `read_sql`.

    The types of a column are those of each piece.
    """
    import sqlalchemy as sa

    engine, place = _engine(url)
    try:
        with engine.connect() as connection:
            streaming = connection.execution_options(stream_results=True, yield_per=rows)
            result = streaming.execute(_statement(query, until))
            names = list(result.keys())
            for some in result.partitions(rows):
                yield _table(names, list(some), place)
    except sa.exc.SQLAlchemyError as error:
        raise _refused(error, place) from None
    finally:
        engine.dispose()


def _statement(query: str, until: datetime | None) -> Any:
    import sqlalchemy as sa

    statement = sa.text(query)
    if ":until" in query:
        instant = sa.DateTime(timezone=True)
        statement = statement.bindparams(sa.bindparam("until", until, type_=instant))
    return statement


def _refused(error: Exception, place: str) -> DataError:
    why = str(getattr(error, "orig", None) or error).partition("\n")[0][:300]
    return DataError(f"{place}: {why}; look at the query, the database and rights")


def _engine(url: str) -> tuple[Any, str]:
    import sqlalchemy as sa

    if _PASSWORD.search(_VARIABLE.sub("", url)):
        raise DataError(
            "sql: url holds a password, and pipeline files are logged; write ${NAME} in its "
            "place and set the environment variable NAME"
        )
    try:
        full = sa.engine.make_url(_filled(url))
        return sa.create_engine(full), full.render_as_string(hide_password=True)
    except (sa.exc.ArgumentError, ModuleNotFoundError) as error:
        raise DataError(
            f"sql: url is no usable SQLAlchemy URL ({type(error).__name__}: {error}); write "
            "dialect+driver://user:${NAME}@host/database and install its driver"
        ) from None


def _filled(url: str) -> str:
    """The URL with its variables; what stands for a part of it is quoted."""
    whole = _VARIABLE.fullmatch(url) is not None

    def value(found: re.Match[str]) -> str:
        text = os.environ.get(found[1])
        if text is None:
            raise DataError(f"sql: url needs the environment variable {found[1]}; it is not set")
        return text if whole else quote(text, safe="")

    return _VARIABLE.sub(value, url)


def _table(names: list[str], rows: list[Any], place: str) -> pa.Table:
    import pyarrow as pa

    columns = {}
    for at, name in enumerate(names):
        try:
            columns[name] = pa.array([row[at] for row in rows])
        except (pa.ArrowException, OverflowError) as error:
            raise DataError(
                f"{place}: column {name!r} mixes types ({error}); CAST it in the query"
            ) from None
    return pa.table(columns)
