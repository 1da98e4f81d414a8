"""A hundred pipelines in one folder: one table, and starts that are spread."""

import json
import shutil
from collections import Counter

import pytest
import yaml

from tasks.datasets.proposals import START_HOUR, start_of
from tests.command_line import SMALL_PIPELINE, home_in


@pytest.fixture(scope="module")
def told(first_night, tmp_path_factory):
    """The home of a first night, with ninety-nine pipelines more and one that is broken."""
    home = home_in(tmp_path_factory.mktemp("many"))
    shutil.copytree(
        first_night.home.path / ".nocturne" / "store", home.path / ".nocturne" / "store"
    )
    conf = home.path / "all"
    conf.mkdir()
    for name in ("small", *(f"p{number:02}" for number in range(99))):
        (conf / f"{name}.yaml").write_text(yaml.safe_dump({**SMALL_PIPELINE, "name": name}))
    (conf / "zz.yaml").write_text("name: zz\nsorce: {}\n")
    (home.path / "empty").mkdir()
    calls = (("status", "all", "--json"), ("status", "all"), ("status", "empty"))
    return home, home.one_after_another(*calls)


def test_every_pipeline_has_its_row(told):
    home, (rows, *_) = told
    nights = home.path / ".nocturne" / "store" / "nights" / "small"  # others may have added some
    last = json.loads(max(nights.rglob("*.json")).read_text())
    rows = {row["pipeline"]: row for row in rows.json}
    assert len(rows) == 101
    small = rows["small"]
    assert small["champion"] == last["champion_after"] is not None
    assert (small["last_night"], small["outcome"]) == (last["logical_date"], last["outcome"])
    assert small["value"] == last["test_metrics"]["macro_f1"]
    assert rows["p07"]["champion"] is None
    assert rows["p07"]["due"] == "no server"
    assert "sorce" in rows["zz"]["broken"]


def test_the_table_shows_them_and_says_what_is_broken(told):
    _, (_, shown, empty) = told
    assert shown.code == 0
    assert "101 pipelines" in shown.out
    assert "none yet" in shown.out
    assert "sorce" in shown.out
    assert empty.code == 2
    assert "empty: holds no pipeline file" in empty.err


def test_starts_are_spread_over_the_hour_and_stay_where_they_are():
    minutes = Counter(start_of(f"p{number:02}").split()[0] for number in range(100))
    assert len(minutes) > 40
    assert max(minutes.values()) <= 6
    assert (
        start_of("small")
        == start_of("small")
        == f"{int(start_of('small').split()[0])} {START_HOUR} * * *"
    )
