import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tasks.config import ConfigError
from tasks.scoring.answering import reasons_against
from tasks.scoring.writers import writing

SERIES = pd.ArrowDtype(pa.list_(pa.list_(pa.float32())))
PARTS = [
    pd.DataFrame({"row_id": ["a,b", 'q"'], "label": ["x", "y"], "p": np.float32([0.1, 1 / 3])}),
    pd.DataFrame({"row_id": ["ü\n"], "label": ["x"], "p": np.float32([1e-7])}),
]
READ = {
    "csv": pd.read_csv,
    "jsonl": lambda path: pd.read_json(path, orient="records", lines=True),
    "parquet": pd.read_parquet,
}


@pytest.mark.parametrize("ending", READ)
def test_parts_written_one_by_one_are_one_file(tmp_path, ending):
    path = tmp_path / f"out.{ending}"
    with writing(path) as write:
        for part in PARTS:
            write(part)
        assert not path.exists()
    found = READ[ending](path)
    wanted = pd.concat(PARTS, ignore_index=True)
    assert found["row_id"].tolist() == wanted["row_id"].tolist()
    np.testing.assert_allclose(found["p"], wanted["p"], rtol=1e-6)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("ending", READ)
def test_what_stops_half_way_leaves_what_was_there_before(tmp_path, ending):
    path = tmp_path / f"out.{ending}"
    path.write_text("before")
    with (
        pytest.raises(AttributeError, match="'NoneType'"),
        writing(path) as write,
    ):
        [write(part) for part in (PARTS[0], None)]
    assert path.read_text() == "before"
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_another_ending_is_refused_by_name(tmp_path):
    with (
        pytest.raises(ConfigError, match=r"ending '\.xlsx' is none of \.csv, \.parquet"),
        writing(tmp_path / "out.xlsx"),
    ):
        pass


def test_texts_without_words_are_rejected():
    rows = pd.DataFrame({"text": pd.Series(["a", "", " \t", None], dtype="str")})
    reasons = reasons_against(rows)
    assert reasons.isna().tolist() == [True, False, False, False]
    assert reasons.tolist()[1:] == ["text is empty", "text is empty", "text is missing"]


def test_series_without_a_value_are_rejected():
    rows = [[[1.0, None]], [], None, [[None, float("nan")], [float("inf"), None]]]
    reasons = reasons_against(pd.DataFrame({"series": pd.Series(rows, dtype=SERIES)}))
    assert reasons.isna().tolist() == [True, False, False, False]
    assert reasons.tolist()[1:] == [
        "series has no steps",
        "series is missing",
        "series has no value, only missing ones",
    ]
