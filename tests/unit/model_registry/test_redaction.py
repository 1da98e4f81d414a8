import pytest

from model_registry.redaction import redacted, without_secrets


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql+psycopg2://ana:CANARY@db/x", "postgresql+psycopg2://ana:***@db/x"),
        ("key AKIAABCDEFGHIJKLMNOP is bad", "key *** is bad"),
        ("aws_secret_access_key=CANARY&x=1", "aws_secret_access_key=***&x=1"),
        ('{"password": "CANARY", "a": 1}', '{"password": "***", "a": 1}'),
        ("Token: CANARY", "Token: ***"),
    ],
)
def test_a_secret_is_hidden(text, shown):
    assert redacted(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        '{"tokenizer": {"name": "word"}}',
        "max_tokens of the tokenizer",
        "macro_f1 +0.02, 95% CI [0.01, 0.03]",
        "https://mlflow.example:5000/api",
        "s3://bucket/key",
    ],
)
def test_what_is_no_secret_stays(text):
    assert redacted(text) == text


def test_nested_values_keep_their_shape():
    given = {
        "reader": {"url": "sqlite://a:CANARY@b", "password": "CANARY", "rows": 3},
        "tokenizer": {"name": "word"},
        "options.password": "CANARY",
        "list": [{"api_key": "CANARY"}, None, 1.5],
    }
    shown = without_secrets(given)
    assert "CANARY" not in str(shown)
    assert shown["tokenizer"] == {"name": "word"}
    assert shown["list"][1:] == [None, 1.5]
    assert shown["reader"]["rows"] == 3
