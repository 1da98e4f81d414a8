"""Which column plays which part, said or guessed."""

import pyarrow as pa
import pytest

from tasks.config import ConfigError
from tasks.datasets.errors import DataError
from tasks.datasets.guessing import Given, guess_columns

ROWS = 40
TABLE = pa.table(
    {
        "ticket_id": [f"t{row}" for row in range(ROWS)],
        "subject": ["late"] * ROWS,
        "body": [f"my parcel number {row} is late again" for row in range(ROWS)],
        "team": ["delivery", "billing"] * (ROWS // 2),
        "created_at": [f"2026-03-{1 + row % 28:02}T10:00:00Z" for row in range(ROWS)],
        "part": ["train", "train", "dev", "test"] * (ROWS // 4),
        "score": [row / 7 for row in range(ROWS)],
    }
)
LONG = pa.table(
    {
        "sensor_id": [row // 4 for row in range(ROWS)],
        "step": [row % 4 for row in range(ROWS)],
        "x": [float(row) for row in range(ROWS)],
        "y": list(range(ROWS)),
    }
)
LABELS = pa.table({"sensor_id": [*range(10)], "label": [1, 2] * 5, "length": [4] * 10})
KINDS = pa.array(["a", "b"] * (ROWS // 2))
BARE = LONG.select(["sensor_id", "step"]).append_column("kind", KINDS)
LISTS = pa.table(
    {
        "id": [*range(10)],
        "class": ["a", "b"] * 5,
        "left": [[1.0, 2.0]] * 10,
        "right": [[1, 2]] * 10,
    }
)

WIDE = pa.table(
    {
        "class": [1, 2] * (ROWS // 2),
        **{f"v{step}": [row / 7 + step for row in range(ROWS)] for step in (1, 10, 2, 3)},
        "weight": [row / 3 for row in range(ROWS)],
        "part": ["train", "test"] * (ROWS // 2),
    }
)


def _guess(table, labels=None, **given):
    columns, guesses = guess_columns(table, labels, Given(**given))
    return columns, {guess.part: guess for guess in guesses}


def test_text_id_and_time_are_guessed_and_the_reasons_given():
    columns, guesses = _guess(TABLE, label="team")
    assert (columns.text, columns.id, columns.time) == ("body", "ticket_id", "created_at")
    assert "the longest text" in guesses["text"].reason
    assert "every value is different" in guesses["id"].reason
    assert guesses["time"].used


def test_what_looks_like_a_split_is_only_suggested():
    columns, guesses = _guess(TABLE, label="team")
    assert columns.split is None
    assert not guesses["split"].used
    assert "--split part" in guesses["split"].reason


def test_what_the_person_says_is_taken():
    columns, guesses = _guess(TABLE, label="team", text="subject", id="body", split="part")
    assert (columns.text, columns.id, columns.split) == ("subject", "body", "part")
    assert {"text", "id", "split"}.isdisjoint(guesses)


def test_times_with_gaps_are_only_suggested():
    gaps = TABLE.column("created_at").to_pylist()
    gaps[3] = None
    table = TABLE.set_column(4, "created_at", pa.array(gaps))
    columns, guesses = _guess(table, label="team")
    assert columns.time is None
    assert "none in 1 row; use it with --time created_at" in guesses["time"].reason


def test_one_step_a_row_with_labels_beside():
    columns, guesses = _guess(LONG, LABELS, label="label")
    assert (columns.step, columns.id, columns.sequence) == ("step", "sensor_id", ("x", "y"))
    assert {"step", "id", "channels"} <= guesses.keys()


def test_lists_are_series_without_being_told():
    columns, _ = _guess(LISTS)
    assert (columns.sequence, columns.label, columns.id) == (("left", "right"), "class", "id")


def test_numbered_columns_of_numbers_are_the_steps_of_one_channel_in_order():
    columns, guesses = _guess(WIDE)
    assert (columns.label, columns.sequence) == ("class", ("series",))
    assert columns.wide == ("v1", "v2", "v3", "v10")
    assert "one row is one series" in guesses["steps"].reason
    assert "--split part" in guesses["split"].reason
    assert _guess(WIDE, sequence=True, split="part")[0].wide == columns.wide


def test_numbered_channels_of_one_row_a_step_are_no_steps():
    names = ["sensor_id", "tick", "c0", "c1", "c2", "c3"]
    values = [[row // 4 for row in range(ROWS)], *[[*range(ROWS)]] * 5]
    table = pa.table(dict(zip(names, values, strict=True)))
    columns, _ = _guess(table, LABELS, label="label")
    assert (columns.step, columns.sequence, columns.wide) == ("tick", tuple(names[2:]), ())
    unnamed = table.rename_columns(["sensor_id", "n", *names[2:]])
    with pytest.raises(ConfigError, match="none is named like a step"):
        _guess(unnamed, LABELS, label="label", id="sensor_id")


def test_whole_numbers_that_a_gap_made_decimal_are_classes_where_nothing_else_is():
    values = pa.array([1.0, 2.0, None, 3.0] * (ROWS // 4))
    columns, guesses = _guess(TABLE.select(["body", "score"]).append_column("stars", values))
    assert columns.label == "stars"
    assert guesses["label"].reason == "3 different values"


def test_a_label_named_like_one_is_guessed():
    columns, guesses = _guess(LONG, LABELS)
    assert columns.label == "label"
    assert guesses["label"].reason == "2 different values"


@pytest.mark.parametrize(
    ("table", "given", "says"),
    [
        (TABLE, {"label": "tem"}, "did you mean 'team'?; columns of few values: team (2 values)"),
        (TABLE, {}, "say which column holds the class"),
        (TABLE, {"label": "team", "text": "bdy"}, "--text: unknown column 'bdy'; did you mean"),
        (TABLE, {"label": "team", "text": "body", "sequence": True}, "leave one out"),
        (TABLE.select(["score", "team"]), {"label": "team"}, "none is named like a step"),
        (LONG.drop(["sensor_id"]), {"label": "y", "sequence": True}, "--id: one row is one step"),
        (
            WIDE.append_column("w1", WIDE["v1"]).append_column("w2", WIDE["v1"])
            .append_column("w3", WIDE["v1"]).append_column("w4", WIDE["v1"]),
            {"label": "class"}, "v1, v2, … and w1, w2, … look like the steps of several channels",
        ),
        (
            pa.table({"data": [{"text": "a b"}, {"text": "c"}]}), {},
            "Columns of few values: none; [data] hold objects, and only columns are read",
        ),
        (BARE, {"label": "kind", "sequence": True}, "no column holds numbers"),
        (TABLE, {"label": "team", "text": "team"}, "--text and --label name one column, 'team'"),
    ],
)  # fmt: skip
def test_what_cannot_be_guessed_says_what_to_name(table, given, says):
    with pytest.raises(ConfigError) as refused:
        guess_columns(table, None, Given(**given))
    assert says in str(refused.value)


def test_a_channel_with_a_cell_that_is_no_number_is_told_of_it():
    cells = ["1.5", "2", "n.a.", "4"]
    table = pa.table({"id": list("aabb"), "step": [1, 2, 1, 2], "u": cells, "kind": list("xxyy")})
    asked = Given(label="kind", sequence=True, id="id", step="step")
    with pytest.raises(DataError, match=r"column 'u' must hold numbers.*\('n.a.'\)"):
        guess_columns(table, None, asked)
