"""A source of many rows: what is counted over all of them, and what comes from some."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml

from infra.local import LocalStorage
from tasks.config import Pipeline
from tasks.datasets import looking
from tasks.datasets.drafting import Options, initialise
from tasks.datasets.guessing import Given
from tasks.datasets.intake import take_in
from tasks.validate import judge
from tests.frames import AS_OF

ROWS = 6_000


@pytest.fixture
def few(monkeypatch):
    """What counts as many rows, here."""
    monkeypatch.setattr(looking, "MOST_ROWS", 400)
    monkeypatch.setattr(looking, "LEAST_ROWS", 100)


def rows(path):
    """Sorted by label; a third are copies, four rows are of a rare class, some have no text."""
    random = np.random.default_rng(4)
    texts = [f"word{number} is said by {number % 97} people" for number in range(ROWS)]
    labels = np.sort(random.choice(["bill", "crash", "parcel"], ROWS, p=[0.6, 0.3, 0.1]))
    frame = pd.DataFrame({"id": np.arange(ROWS), "label": labels, "text": texts})
    copies = random.choice(ROWS // 2, ROWS // 3, replace=False)
    frame.loc[ROWS // 2 + np.arange(ROWS // 3), ["label", "text"]] = frame.loc[
        copies, ["label", "text"]
    ].to_numpy()
    frame.loc[ROWS - 4 :, "label"] = "rare"
    frame.loc[::500, "text"] = None
    frame["time"] = pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(frame.index, "min")
    frame.to_parquet(path, row_group_size=700)
    return frame


def test_every_nth_row_is_kept_in_order_wherever_parts_end(few):
    whole = pa.table({"n": np.arange(5_000)})
    ends = [0, 3, 3, 500, 1_777, 1_778, 4_000, 5_000]
    parts = [whole.slice(a, b - a) for a, b in pairwise(ends)]
    kept, every = looking.thinned(parts)
    assert every == 8
    assert kept.column("n").to_pylist() == list(range(0, 5_000, 8))
    same, once = looking.thinned([whole.slice(0, 800)])
    assert (same.num_rows, once) == (800, 1)


def test_few_rows_are_many_where_they_are_long(few, monkeypatch):
    monkeypatch.setattr(looking, "MOST_BYTES", 50_000)
    kept, every = looking.thinned([pa.table({"text": ["x" * 1_000] * 500})])
    assert (kept.num_rows, every) == (63, 8)  # never below the least


def test_what_is_counted_is_exact_and_the_rest_is_near_what_all_rows_say(tmp_path, monkeypatch):
    frame = rows(tmp_path / "rows.parquet")
    options = Options(tmp_path / "rows.parquet", Given(label="label"))
    whole = initialise(options)
    assert whole.looked_at == ROWS
    monkeypatch.setattr(looking, "MOST_ROWS", 400)
    monkeypatch.setattr(looking, "LEAST_ROWS", 100)
    some = initialise(options)
    assert ROWS / 32 < some.looked_at < ROWS / 4
    assert some.profile.rows == ROWS
    assert some.profile.classes == whole.profile.classes
    assert some.profile.nulls == whole.profile.nulls == {"text": int(frame["text"].isna().sum())}
    assert some.profile.duplicates == pytest.approx(whole.profile.duplicates, rel=0.2)
    assert some.guesses == whole.guesses
    one, other = (yaml.safe_load(draft.yaml_text) for draft in (whole, some))
    assert one["contract"]["labels"] == other["contract"]["labels"]
    assert other["contract"]["duplicate_budget"] == pytest.approx(
        one["contract"]["duplicate_budget"], abs=0.07
    )
    assert other["contract"]["min_rows_per_class"] in (1, 2)  # of 4, copies or not
    exact = ("training", "candidates", "schedule", "columns")
    assert {part: other[part] for part in exact} == {part: one[part] for part in exact}
    said = f"{ROWS:,} rows; every value may be changed. Closely looked at were {some.looked_at:,}"
    assert said in some.yaml_text.replace("\n# ", " ")
    assert "Closely" not in whole.yaml_text


def test_the_first_night_of_such_a_draft_is_accepted(few, tmp_path):
    rows(tmp_path / "rows.parquet")
    draft = initialise(Options(tmp_path / "rows.parquet", Given(label="label")))
    pipeline, storage = Pipeline.model_validate(yaml.safe_load(draft.yaml_text)), tmp_path / "store"
    pipeline = pipeline.model_copy(
        update={"contract": pipeline.contract.model_copy(update={"suite": None})}
    )
    storage = LocalStorage(storage)
    snapshot = take_in(pipeline, AS_OF.date(), storage)
    told = judge(
        pipeline, snapshot, AS_OF.date(), storage=storage, docs=tmp_path / "docs", now=AS_OF
    )
    assert told.accepted, told.reason


def steps(path, series):
    """Series of 20 steps, a row a step, in no order, with their labels."""
    random = np.random.default_rng(1)
    frame = pd.DataFrame({"id": np.repeat(np.arange(series), 20)})
    frame["step"] = np.tile(np.arange(20), series)
    frame["x"] = np.sin(frame["step"] * (1 + frame["id"] % 2)) + random.normal(0, 0.1, len(frame))
    frame["label"] = (frame["id"] % 2).map({0: "slow", 1: "fast"})
    frame.sample(frac=1, random_state=2).to_parquet(path, row_group_size=3_000)
    return Options(path, Given(label="label", sequence=True))


def test_of_series_of_a_step_a_row_some_are_looked_at_with_all_their_steps(few, tmp_path):
    draft = initialise(steps(tmp_path / "steps.parquet", 1_000))
    assert 100 <= draft.looked_at < 500
    assert draft.profile.rows == 1_000
    assert dict.fromkeys(draft.profile.lengths.values()) == {20: None}
    assert {name: rows for name, rows, _ in draft.profile.classes} == {"slow": 500, "fast": 500}


def test_where_few_inputs_differ_more_of_them_are_looked_at(few, tmp_path):
    texts = [f"the same {number % 3}" for number in range(4_000)]
    frame = pd.DataFrame({"text": texts, "label": [text[-1] for text in texts]})
    frame.to_parquet(tmp_path / "same.parquet", row_group_size=500)
    draft = initialise(Options(tmp_path / "same.parquet", Given(label="label")))
    assert draft.profile.rows == 4_000
    assert len(draft.profile.classes) == 3
    assert draft.profile.duplicates > 3_000
