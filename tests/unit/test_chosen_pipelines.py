"""Pipelines by files and folders, as `nocturne schedule` and `nocturne deploy` take them."""

import pytest
import yaml

from flows.options import pipelines_of
from tasks.config import ConfigError
from tests.command_line import SMALL_PIPELINE

DEMONSTRATION = {
    "name": "sql",
    "options": {"url": "${NOCTURNE_DEMO_DATABASE}", "query": "SELECT 1"},
}
THEIRS = {"name": "sql", "options": {"url": "${TEAM_DATABASE}", "query": "SELECT 1"}}


@pytest.fixture
def folder(tmp_path):
    for name, reader in (("b", None), ("a", THEIRS), ("demo", DEMONSTRATION)):
        source = {"source": {"reader": reader}} if reader else {}
        write(tmp_path / f"{name}.yaml", name=name, **source)
    return tmp_path


def write(path, **changes):
    path.write_text(yaml.safe_dump({**SMALL_PIPELINE, **changes}))


def names(*paths):
    return [one.name for one in pipelines_of(paths)]


def test_a_folder_is_all_of_its_pipelines_but_the_demonstration_s(folder):
    """A variable that is not set here may be set where runs are."""
    assert names(folder) == ["a", "b"]
    assert names(folder / "demo.yaml", folder / "b.yaml") == ["demo", "b"]


def test_a_broken_file_of_a_folder_is_an_error_so_that_it_does_not_look_vanished(folder):
    (folder / "c.yaml").write_text("name: c\nsorce: {}\n")
    with pytest.raises(ConfigError, match=r"c\.yaml: .*sorce"):
        names(folder)


def test_two_of_one_name_and_a_folder_without_any_are_refused(folder, tmp_path_factory):
    with pytest.raises(ConfigError, match=r"b\.yaml: .*b\.yaml has the same name"):
        names(folder, folder / "b.yaml")
    with pytest.raises(ConfigError, match="holds no pipeline file"):
        names(tmp_path_factory.mktemp("empty"))
