"""Bodies of requests: the four forms say the same, and what does not fit is named."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.limits import BODY_BYTES, DEPTH, LENGTH, ROWS, Refusal
from serving.protocol import FORMS, Shape, rows_of

TEXT = Shape("text", ("body",))
PAIR = Shape("numeric", ("left", "right"), 2)
ONE = Shape("numeric", ("wave",), 1)
STEPS = Shape("numeric", ("wave",), 2)

JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=12,
)


def body(**content):
    return json.dumps(content).encode()


@pytest.mark.parametrize(
    "sent",
    [
        body(dataframe_split={"columns": ["id", "body"], "data": [[1, "a b"], [2, "c"]]}),
        body(dataframe_split={"columns": ["body"], "index": [5, 6], "data": [["a b"], ["c"]]}),
        body(dataframe_records=[{"body": "a b"}, {"body": "c", "id": 7}]),
        body(instances=[{"body": "a b"}, {"body": "c"}]),
        body(instances=["a b", "c"]),
        body(inputs={"body": ["a b", "c"]}),
        body(inputs=["a b", "c"], params={"ignored": 1}),
        body(inputs=[{"body": "a b"}, {"body": "c"}]),
    ],
)
def test_every_form_says_the_same_texts(sent):
    assert rows_of(sent, TEXT) == ["a b", "c"]


def test_one_text_may_come_without_a_list():
    assert rows_of(body(inputs={"body": "a b"}), TEXT) == ["a b"]
    assert rows_of(body(inputs="a b"), TEXT) == ["a b"]


def test_series_come_as_one_list_a_channel_or_as_steps():
    two = [[[1, 2], [3, 4]]]
    assert rows_of(body(inputs={"left": [[1, 3]], "right": [[2, 4]]}), PAIR) == two
    assert rows_of(body(dataframe_records=[{"wave": [[1, 2], [3, 4]]}]), STEPS) == two
    assert rows_of(body(instances=[[1, None, 2.5]]), ONE) == [[[1], [None], [2.5]]]


@pytest.mark.parametrize(
    ("shape", "sent", "status", "field", "row", "says"),
    [
        (TEXT, b"", 400, "body", None, "no JSON"),
        (TEXT, b"{", 400, "body", None, "no JSON"),
        (TEXT, b'{"inputs": ["\xff"]}', 400, "body", None, "no JSON"),
        (TEXT, b'{"inputs": ["\\ud800"]}', 400, "body", None, "no JSON"),
        (TEXT, b"[1]", 400, "body", None, "must be a JSON object, got list"),
        (TEXT, body(rows=[]), 400, "body", None, "exactly one of dataframe_split"),
        (TEXT, body(inputs=["a"], instances=["a"]), 400, "body", None, "exactly one"),
        (TEXT, body(inputs=[]), 422, "inputs", None, "has no row"),
        (TEXT, body(inputs=["a"] * (ROWS + 1)), 413, "inputs", None, f"at most {ROWS}"),
        (TEXT, body(inputs=["a", 7]), 422, "body", 1, "must be a text, got 7"),
        (TEXT, body(inputs=["a", None]), 422, "body", 1, "got None"),
        (TEXT, body(inputs=["a", " \n"]), 422, "body", 1, "text is empty"),
        (TEXT, body(inputs=["w " * (LENGTH + 1)]), 422, "body", 0, f"over {LENGTH} words"),
        (TEXT, body(inputs={"text": ["a"]}), 422, "body", None, "'body' is missing"),
        (TEXT, body(inputs=7), 400, "inputs", None, "must be an object"),
        (TEXT, body(inputs={"body": 7}), 422, "inputs.body", None, "must be a list"),
        (TEXT, body(dataframe_split=[1]), 400, "dataframe_split", None, "columns and data"),
        (TEXT, body(dataframe_split={"columns": ["x"], "data": []}), 422, "body", None, "missing"),
        (
            TEXT,
            body(dataframe_split={"columns": ["body"], "data": [["a"], []]}),
            *(422, "dataframe_split.data", 1, "a list of 1 values"),
        ),
        (TEXT, body(dataframe_records={"body": "a"}), 400, "dataframe_records", None, "a list"),
        (TEXT, body(dataframe_records=[{"body": "a"}, 3]), 422, "dataframe_records", 1, "object"),
        (TEXT, body(dataframe_records=[{"bod": "a"}]), 422, "body", 0, "'body' is missing"),
        (PAIR, body(inputs={"left": [[1]], "right": []}), 422, "inputs", None, "differ in rows"),
        (PAIR, body(inputs={"left": [[1]], "right": [[1, 2]]}), 422, "left", 0, "left 1, right 2"),
        (PAIR, body(inputs={"left": [[1]], "right": [["x"]]}), 422, "right", 0, "finite number"),
        (PAIR, body(inputs={"left": [[1]], "right": [[True]]}), 422, "right", 0, "finite number"),
        (ONE, b'{"inputs": {"wave": [[1, 1e39]]}}', 422, "wave", 0, "step 1: must be a finite"),
        (ONE, b'{"inputs": {"wave": [[1, NaN]]}}', 400, "body", None, "no JSON"),
        (ONE, body(inputs={"wave": [[None, None]]}), 422, "wave", 0, "only missing ones"),
        (ONE, body(inputs={"wave": [[]]}), 422, "wave", 0, "list of steps"),
        (ONE, body(inputs={"wave": [[1.0] * (LENGTH + 1)]}), 422, "wave", 0, f"at most {LENGTH}"),
        (STEPS, body(inputs={"wave": [[[1, 2], [3]]]}), 422, "wave", 0, "step 1 has 1 channels"),
    ],
)
def test_what_does_not_fit_is_named(shape, sent, status, field, row, says):
    with pytest.raises(Refusal) as refused:
        rows_of(sent, shape)
    assert (refused.value.status, refused.value.field, refused.value.row) == (status, field, row)
    assert says in refused.value.message


def test_nesting_beyond_the_bound_is_refused_also_very_deep():
    for depth in (DEPTH + 1, 10_000):
        sent = b'{"inputs": ' + b"[" * depth + b"]" * depth + b"}"
        with pytest.raises(Refusal) as refused:
            rows_of(sent, TEXT)
        assert refused.value.status == 400
    inner = b"[" * (DEPTH - 1) + b"]" * (DEPTH - 1)
    with pytest.raises(Refusal, match="must be a text"):
        rows_of(b'{"inputs": ' + inner + b"}", TEXT)


@pytest.mark.parametrize("shape", [TEXT, PAIR, ONE, STEPS])
@given(st.dictionaries(st.sampled_from([*FORMS, "params"]), JSON, max_size=2))
def test_any_content_is_rows_or_a_refusal_with_a_short_message(shape, content):
    refused = Refusal(422, "")
    rows = []
    try:
        rows = rows_of(json.dumps(content).encode(), shape)
    except Refusal as refusal:
        refused = refusal
    assert rows or refused.message
    assert 400 <= refused.status < 500
    assert len(refused.message) < 400


@given(st.binary(max_size=200))
def test_any_bytes_are_rows_or_a_refusal(data):
    assert len(data) < BODY_BYTES
    with pytest.raises(Refusal) as refused:
        rows_of(data, TEXT)
    assert refused.value.status in (400, 422)
