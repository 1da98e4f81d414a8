"""What a step left is taken again only while it answers the same question, whole."""

import logging

import pytest

from infra.local import LocalStorage
from tasks.references import Snapshot
from tasks.steps import Steps

SNAPSHOT = Snapshot(key="snapshots/toy/1.parquet", digest="1f", rows=3, new_rows=3, duplicates=0)
QUESTION = {"rows": "1f", "configuration": {"seed": 17}, "code": "c0de"}


class Place:
    """A folder of steps, a store, and how often the step was computed."""

    def __init__(self, home):
        self.folder = home / "steps"
        self.storage = LocalStorage(home / "store")
        self.file = home / "work" / "rows.bin"
        self.computed = 0

    def once(self, question=QUESTION, *, fresh=False):
        steps = Steps(self.folder, self.storage, fresh=fresh)
        return steps.once(
            "prepare",
            Snapshot,
            question,
            self.compute,
            files=lambda _: [self.file.parent],
            keys=lambda made: [made.key],
        )

    def compute(self):
        self.computed += 1
        self.file.parent.mkdir(exist_ok=True)
        self.file.write_bytes(b"encoded")
        self.storage.put(SNAPSHOT.key, b"rows")
        return SNAPSHOT


@pytest.fixture
def place(tmp_path, caplog):
    caplog.set_level(logging.INFO, "tasks.steps")
    return Place(tmp_path)


def test_the_same_question_is_answered_once(place, caplog):
    assert place.once() == place.once() == SNAPSHOT
    assert place.computed == 1
    assert caplog.messages == ["prepare: taken from the run before"]  # of a first run, nothing


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"configuration": {"seed": 18}}, "configuration changed"),
        ({"rows": "2f", "code": "c1"}, "rows and code changed"),
        ({"suite": "new"}, "suite changed"),
    ],
)
def test_another_question_is_computed_and_says_what_changed(place, caplog, changes, said):
    place.once()
    place.once({**QUESTION, **changes})
    assert place.computed == 2
    assert caplog.messages[-1] == f"prepare: computed anew, because {said}"


def test_a_question_that_lost_a_part_is_another_one(place):
    place.once()
    place.once({"rows": "1f", "code": "c0de"})
    assert place.computed == 2


def test_one_changed_byte_in_one_file_is_computed_again(place, caplog):
    place.once()
    place.file.write_bytes(b"encodet")
    assert place.once() == SNAPSHOT
    assert place.computed == 2
    assert caplog.messages[-1] == f"prepare: computed anew, because {place.file} was changed"


def test_a_file_or_a_key_that_is_gone_is_computed_again(place, caplog):
    place.once()
    place.file.unlink()
    place.once()
    assert caplog.messages[-1].endswith("is gone")
    (place.storage.root / SNAPSHOT.key).unlink()
    place.once()
    assert (
        caplog.messages[-1]
        == f"prepare: computed anew, because {SNAPSHOT.key} is gone from the store"
    )
    assert place.computed == 3


@pytest.mark.parametrize("content", [b"", b"{", b'{"step": "prepare"}'])
def test_a_record_that_cannot_be_read_is_as_good_as_none(place, caplog, content):
    place.once()
    (place.folder / "prepare.json").write_bytes(content)
    place.once()
    assert place.computed == 2
    assert "cannot be read" in caplog.messages[-1]


def test_who_asks_for_everything_anew_gets_it(place, caplog):
    place.once()
    place.once(fresh=True)
    assert place.computed == 2
    assert caplog.messages[-1] == "prepare: asked for anew"


def test_a_forgotten_step_is_computed_again(place):
    place.once()
    Steps(place.folder, place.storage).forget("prepare", "never kept")
    place.once()
    assert place.computed == 2
