"""Documents under test: whatever is registered is described, and what they name exists."""

import re
from pathlib import Path

import pytest
import typer.main

from flows.cli import app
from model_registry.gates import GATES
from tasks.architectures import ARCHITECTURES
from tasks.config import Pipeline
from tasks.datasets import READERS
from tasks.pipeline_file import load_pipeline
from tasks.resampling import STRATEGIES
from tasks.sequences import CLEANING, SCALERS, TOKENIZERS

ROOT = Path(__file__).parents[2]
TABLES = {
    "reader": READERS,
    "cleaning step": CLEANING,
    "tokenizer": TOKENIZERS,
    "scaler": SCALERS,
    "architecture": ARCHITECTURES,
    "resampling strategy": STRATEGIES,
    "gate": GATES,
}
ENTRIES = [(what, name) for what, table in TABLES.items() for name in table]
DOCUMENTS = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")


@pytest.mark.parametrize(("what", "name"), ENTRIES)
def test_every_entry_of_every_table_has_its_row(what, name):
    assert f"| `{name}` |" in (ROOT / "conf" / "README.md").read_text()


@pytest.mark.parametrize("key", sorted(Pipeline.model_fields))
def test_every_key_of_a_pipeline_is_described(key):
    assert Pipeline.model_fields[key].description
    assert f"`{key}`" in (ROOT / "conf" / "README.md").read_text()


@pytest.mark.parametrize("verb", sorted(typer.main.get_command(app).commands))
def test_every_verb_stands_in_the_readme(verb):
    assert f"nocturne {verb}" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_between_documents_leads_somewhere(document):
    text = (ROOT / document).read_text()
    targets = re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", text)
    assert [target for target in targets if not (ROOT / target).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_make_verb_a_document_names_exists(document):
    verbs = set(re.findall(r"`make ([a-z-]+)", (ROOT / document).read_text()))
    defined = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert verbs <= defined


@pytest.mark.parametrize("path", sorted((ROOT / "conf").glob("*.yaml")), ids=lambda path: path.name)
def test_every_shipped_pipeline_is_valid(path):
    assert load_pipeline(path).name == path.stem


def test_the_quickstart_stands_at_the_top_of_the_readme():
    top = (ROOT / "README.md").read_text()[:1500]
    assert "make retrain" in top
    assert "make test" in top
