"""Which file is meant, and what does not fit it, in words."""

import pytest
import yaml

from infra.settings import Settings
from tasks.config import ConfigError, Pipeline
from tasks.datasets.drafting import READER_OF
from tasks.misfits import explain
from tasks.pipeline_file import DATA, load_pipeline
from tests.command_line import SMALL_PIPELINE


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf").mkdir()
    return tmp_path


def written(path, **changes):
    path.write_text(yaml.safe_dump({**SMALL_PIPELINE, **changes}))


@pytest.mark.parametrize("given", ["trec", "trec.yaml", "conf/trec.yaml"])
def test_a_bare_name_is_looked_for_in_conf(folder, given):
    written(folder / "conf" / "trec.yaml")
    (folder / "trec").mkdir()  # a folder of data is no pipeline file
    assert load_pipeline(folder.__class__(given)).name == "small"


def test_what_is_given_comes_before_what_conf_holds(folder):
    written(folder / "conf" / "trec.yaml", name="other")
    written(folder / "trec.yaml")
    assert load_pipeline(folder.__class__("trec.yaml")).name == "small"


def test_data_is_known_by_the_endings_that_init_reads():
    assert set(DATA) == set(READER_OF)


MISFITS = {
    "a word for a number": (
        {"training": {"epochs": "many"}},
        "training.epochs: expected a whole number, got 'many'; change it, or leave it out for 20",
    ),
    "half an epoch": (
        {"training": {"epochs": 1.5}},
        "training.epochs: expected a whole number, got 1.5; change it, or leave it out for 20",
    ),
    "too small": (
        {"training": {"epochs": 0}},
        "training.epochs: expected 1 or more, got 0; change it, or leave it out for 20",
    ),
    "too large": (
        {"split": {"test": 3}},
        "split.test: expected 1 or less, got 3; change it, or leave it out for 0.2",
    ),
    "none of the words": (
        {"policy": {"fresher": "maybe"}},
        "policy.fresher: expected 'keep' or 'promote', got 'maybe'; change it, or leave it out "
        'for "keep"',
    ),
    "neither true nor false": (
        {"training": {"calibrate": "perhaps"}},
        "training.calibrate: expected true or false, got 'perhaps'; change it, or leave it out "
        "for true",
    ),
    "a word for a section": (
        {"training": "long"},
        "training: expected a mapping of keys to values, got 'long'; change it",
    ),
    "nothing in a list": (
        {"candidates": []},
        "candidates: expected at least 1 of them, got []; change it",
    ),
    "a number for a name": (
        {"columns": {"label": 7, "text": "text"}},
        "columns.label: expected text, got 7; change it",
    ),
    "a label that is the input": (
        {"columns": {"label": "text", "text": "text"}},
        "columns: `label` and the input are one column, 'text': a model would be told what it is "
        "asked; name two",
    ),
    "a missing key": (
        {"columns": {"text": "text"}},
        "columns.label: is required and missing; add it",
    ),
}


@pytest.mark.parametrize("name", MISFITS)
def test_what_does_not_fit_is_said_with_key_rule_value_and_what_to_do(folder, name):
    changes, said = MISFITS[name]
    written(folder / "conf" / "trec.yaml", **changes)
    with pytest.raises(ConfigError) as refused:
        load_pipeline(folder / "conf" / "trec.yaml")
    assert str(refused.value) == f"{folder / 'conf' / 'trec.yaml'}: {said}"


def test_a_variable_that_does_not_fit_is_called_by_its_name(monkeypatch):
    monkeypatch.setenv("NOCTURNE_SERVE_PORT", "http")
    with pytest.raises(ValueError, match="serve_port") as refused:
        Settings()
    assert explain(refused.value, Settings, "NOCTURNE_") == (
        "NOCTURNE_SERVE_PORT: expected a whole number, got 'http'; change it, or leave it out "
        "for 8080"
    )


def test_every_rule_is_told_in_our_words():
    """No field of a pipeline has a rule that only pydantic's words tell."""
    strange = {"name": {}, "source": 1, "columns": 1, "preprocessing": 1, "split": 1}
    with pytest.raises(ValueError, match="validation error") as refused:
        Pipeline.model_validate(strange | {"training": 1, "candidates": 1, "seed": [], "policy": 1})
    assert "Input should" not in explain(refused.value, Pipeline)
