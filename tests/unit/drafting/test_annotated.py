"""YAML that explains itself and loads to what it was written from."""

import re

import hypothesis.strategies as st
import yaml
from hypothesis import given, settings

from tasks.annotated import WIDTH, annotated_yaml
from tasks.config import Pipeline

BARE = {
    "name": "trial",
    "source": {"reader": {"name": "csv", "options": {"path": "data.csv"}}},
    "columns": {"label": "topic", "text": "body"},
    "candidates": [
        {"name": "floor", "architecture": "averaged_embeddings"},
        {
            "name": "lstm",
            "architecture": {"name": "bidirectional_lstm", "options": {"units": 8}},
            "training": {"epochs": 3},
        },
    ],
}
STRANGE = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)


def _loaded(text):
    return Pipeline.model_validate(yaml.safe_load(text))


@settings(deadline=None)
@given(
    STRANGE, st.lists(STRANGE, max_size=4) | st.lists(STRANGE, min_size=31, max_size=35), STRANGE
)
def test_any_text_in_it_loads_again(description, labels, path):
    content = {**BARE, "description": description, "contract": {"labels": labels}}
    content["source"] = {"reader": {"name": "csv", "options": {"path": path}}}
    pipeline = Pipeline.model_validate(content)
    assert _loaded(annotated_yaml(pipeline, {})) == pipeline


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["split.test", "candidates.1.name"]), STRANGE))
def test_no_note_changes_what_is_loaded(notes):
    pipeline = Pipeline.model_validate(BARE)
    assert _loaded(annotated_yaml(pipeline, notes)) == pipeline


def test_every_value_has_its_description_and_its_note():
    text = annotated_yaml(Pipeline.model_validate(BARE), {"split.test": "Because it is a trial."})
    lines = text.splitlines()
    for at, line in enumerate(lines):
        if re.match(r"\s*(- )?\w+:", line):
            assert "  # " in line or lines[at - 1].lstrip().startswith("# "), line
    assert "test: 0.2  # Share of rows that judge the challenger. Because it is a trial." in text


def test_a_list_of_very_many_takes_few_lines():
    steps = [f"v, {number}" for number in range(200)]
    columns = {"label": "topic", "sequence": ["series"], "wide": steps}
    pipeline = Pipeline.model_validate({**BARE, "columns": columns})
    lines = annotated_yaml(pipeline, {}).splitlines()
    assert _loaded("\n".join(lines)) == pipeline
    assert sum("v, " in line for line in lines) < 30
    assert max(len(line) for line in lines) <= WIDTH


def test_lines_are_short_enough_to_read():
    text = annotated_yaml(Pipeline.model_validate(BARE), {"seed": "because " * 40})
    assert max(len(line) for line in text.splitlines()) <= WIDTH


def test_every_field_is_written_even_where_it_is_the_default():
    text = annotated_yaml(Pipeline.model_validate(BARE), {})
    written = yaml.safe_load(text)
    assert written.keys() == Pipeline.model_fields.keys()
    assert (
        written["contract"].keys()
        == type(Pipeline.model_validate(BARE).contract).model_fields.keys()
    )
