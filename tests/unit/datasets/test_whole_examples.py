"""Steps of a series that lie in several parts, and labels beside: as if all were read at once."""

import json
import sqlite3
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.config import Choice
from tasks.datasets.canonical import canonical, end_of, table_of
from tasks.datasets.errors import DataError
from tasks.datasets.reading import frames, read
from tests.rows import pipeline_of, small_parts

DAY = date(2026, 3, 20)
LONG = {"id": "id", "step": "step", "sequence": ["x", "y"], "label": "kind"}
LABELLED = {**LONG, "time": "at"}


def kept_as(name, frame, folder, stem):
    """A file, or a database, of each reader."""
    path = Path(folder) / f"{stem}.{name}"
    if name == "csv":
        frame.to_csv(path, index=False)
    elif name == "parquet":
        frame.to_parquet(path, row_group_size=4)
    elif name == "jsonl":
        lines = json.loads(frame.to_json(orient="records"))
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    else:
        with sqlite3.connect(path) as connection:
            frame.to_sql("t", connection, index=False)
        connection.close()
        options = {"url": f"sqlite:///{path}", "query": "SELECT * FROM t"}
        return Choice(name="sql", options=options)
    return Choice(name=name, options={"path": str(path)})


def steps(seed, series=6, longest=9):
    """Of series 10, 11 and so on, in no order, some twice."""
    random = np.random.default_rng(seed)
    rows = [(10 + s, t) for s in range(series) for t in range(random.integers(1, longest))]
    frame = pd.DataFrame(rows, columns=["id", "step"])
    frame["x"] = random.normal(size=len(frame))
    frame["y"] = np.where(random.random(len(frame)) < 0.2, np.nan, frame["step"] / 2)
    frame["kind"] = (frame["id"] % 2).map({0: "slow", 1: "fast"})
    return pd.concat([frame, frame.sample(2, random_state=seed)]).sample(frac=1, random_state=seed)


def labels(seed):
    """Some series are unknown, some ids have no series, one line is there twice."""
    ids = [11, 12, 13, 14, 15, 16, 17, 13]
    times = [f"2026-03-{1 + (one + seed) % 25:02}" for one in ids]
    return pd.DataFrame({"id": ids, "kind": ["a", "b", "a", "b", "a", "b", "a", "a"], "at": times})


def sorted_by_id(frame):
    return frame.sort_values("row_id").reset_index(drop=True)


@pytest.mark.parametrize("name", ["csv", "parquet", "jsonl", "sql"])
@given(seed=st.integers(0, 10_000))
@settings(deadline=None, max_examples=5)
def test_series_of_a_step_a_row_are_whole_whichever_parts_their_steps_are_in(name, seed):
    with TemporaryDirectory() as folder:
        choice = kept_as(name, steps(seed), folder, "steps")
        pipeline = pipeline_of(LONG, reader=choice.model_dump())
        whole = canonical(table_of(choice, None), pipeline)
        with small_parts(rows=4):
            parts = list(frames(pipeline, DAY))
    assert len(parts) > 1
    found = pd.concat(parts, ignore_index=True)
    pd.testing.assert_frame_equal(found, sorted_by_id(whole))


@pytest.mark.parametrize("name", ["csv", "parquet", "jsonl", "sql"])
@given(seed=st.integers(0, 10_000))
@settings(deadline=None, max_examples=5)
def test_labels_find_their_series_in_any_part_and_strangers_stay(name, seed):
    with TemporaryDirectory() as folder:
        choice = kept_as(name, steps(seed).drop(columns="kind"), folder, "steps")
        beside = kept_as(name, labels(seed), folder, "labels")
        source = {"reader": choice.model_dump(), "labels": beside.model_dump()}
        pipeline = pipeline_of(LABELLED, source=source)
        known = table_of(beside, None)
        whole = canonical(table_of(choice, None), pipeline, known)
        whole = whole[~(whole["time"] > end_of(DAY))]
        with small_parts(rows=4):
            found = read(pipeline, DAY)
    assert set(whole["row_id"]) <= {str(10 + number) for number in range(8)}
    pd.testing.assert_frame_equal(sorted_by_id(found), sorted_by_id(whole))


def test_texts_find_their_labels_in_the_order_of_the_texts(tmp_path):
    texts = pd.DataFrame({"id": range(20), "text": [f"text {number}" for number in range(20)]})
    known = pd.DataFrame({"id": range(25), "topic": list("abcde") * 5})
    reader = kept_as("parquet", texts, tmp_path, "texts").model_dump()
    beside = kept_as("csv", known, tmp_path, "labels").model_dump()
    columns = {"id": "id", "text": "text", "label": "topic"}
    pipeline = pipeline_of(columns, source={"reader": reader, "labels": beside})
    with small_parts():
        found = read(pipeline, DAY)
    assert found["row_id"].tolist() == [str(number) for number in range(25)]
    assert found["label"].tolist() == list("abcde") * 5
    assert found["text"].isna().tolist() == [False] * 20 + [True] * 5


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda frame: frame.assign(id=frame["id"].where(frame.index != 3)), "no 'id' in 1 row"),
        (lambda frame: pd.concat([frame, frame[:1].assign(x=9.0)]), "1 steps are there twice"),
        (lambda frame: frame.assign(kind=frame["step"].map(str)), "label column 'kind' changes"),
    ],
    ids=["no id", "a step twice", "labels that change"],
)
def test_what_does_not_fit_is_said_of_a_part_as_of_the_whole(change, says, tmp_path):
    frame = change(steps(1).drop_duplicates().sort_values(["id", "step"]).reset_index(drop=True))
    reader = kept_as("parquet", frame, tmp_path, "steps").model_dump()
    with small_parts(rows=4), pytest.raises(DataError, match=says):
        read(pipeline_of(LONG, reader=reader), DAY)


def test_labels_that_contradict_each_other_are_refused_also_of_strangers(tmp_path):
    reader = kept_as("parquet", steps(1).drop(columns="kind"), tmp_path, "steps").model_dump()
    for one in (11, 99):
        known = pd.DataFrame({"id": [12, one, one], "kind": ["a", "a", "b"], "at": "2026-03-01"})
        beside = kept_as("csv", known, tmp_path, "labels").model_dump()
        with small_parts(rows=4), pytest.raises(DataError, match=f"different labels: '{one}'"):
            read(pipeline_of(LABELLED, source={"reader": reader, "labels": beside}), DAY)
