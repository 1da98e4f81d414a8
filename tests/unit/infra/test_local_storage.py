import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.keys import checked
from infra.local import LocalStorage, probe
from infra.settings import Settings
from infra.storage import NotFound, S3Storage, StorageError, download, open_storage

SEGMENT = r"[A-Za-z0-9_-][A-Za-z0-9_.=+@-]{0,20}"

RACER = """
import sys, time
from pathlib import Path
from infra.errors import AlreadyExists
from infra.local import LocalStorage
storage, number, start = LocalStorage(Path(sys.argv[1])), sys.argv[2], float(sys.argv[3])
wins = []
time.sleep(max(0, start - time.time()))
for at in range(50):
    try:
        storage.put(f"ledger/{at}", number.encode(), if_absent=True)
        wins.append(at)
    except AlreadyExists:
        pass
print(*wins)
"""

HUGE = """
import resource, signal, sys
from pathlib import Path
from infra.errors import StorageError
from infra.local import LocalStorage
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, 1_000))
try:
    LocalStorage(Path(sys.argv[1])).put("model", b"x" * 5_000)
except StorageError as error:
    print(error)
"""


@pytest.fixture
def storage(tmp_path):
    return LocalStorage(tmp_path / "store")


def _python(code, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True
    )


def test_four_processes_never_share_a_win(storage):
    start = str(time.time() + 2)
    racers = [_python(RACER, storage.uri, str(n), start) for n in range(4)]
    wins = {n: {int(at) for at in racer.communicate()[0].split()} for n, racer in enumerate(racers)}
    assert sorted(at for own in wins.values() for at in own) == list(range(50))
    for number, own in wins.items():
        assert all(storage.get(f"ledger/{at}") == str(number).encode() for at in own)


def test_a_write_that_is_cut_keeps_the_old_file_whole(storage):
    storage.put("model", b"old and good")
    output, _ = _python(HUGE, storage.uri).communicate()
    assert "put model" in output
    assert "raise the limit" in output
    assert storage.get("model") == b"old and good"
    assert list(storage.keys()) == ["model"]


def test_nothing_unfinished_stays_behind(storage):
    storage.put("a", b"1")
    with pytest.raises(StorageError):
        storage.put("a/b", b"2")
    scratch = Path(storage.uri) / ".unfinished"
    assert list(scratch.iterdir()) == []


def test_what_a_killed_writer_left_is_no_key(storage):
    storage.put("a", b"1")
    (Path(storage.uri) / ".unfinished" / "left").write_bytes(b"half")
    assert list(storage.keys()) == ["a"]


def test_a_key_below_an_object_is_refused_and_says_what_stands_in_its_way(storage):
    storage.put("a", b"1")
    with pytest.raises(StorageError, match=r"put a/b/c: .*/a stands in its way"):
        storage.put("a/b/c", b"2")
    with pytest.raises(NotFound):
        storage.get("a/b")


def test_a_key_above_objects_is_refused(storage):
    storage.put("a/b", b"1")
    with pytest.raises(StorageError, match="stands in its way"):
        storage.put("a", b"2", if_absent=True)
    with pytest.raises(NotFound):
        storage.get("a")


def test_an_empty_store_has_no_keys_and_makes_no_folder(storage):
    assert list(storage.keys()) == []
    assert not Path(storage.uri).exists()


def test_a_store_that_forgets_conditions_is_found_out():
    seen = []
    assert not probe(lambda key, data, *, if_absent: seen.append(key))
    assert len(seen) == 2


@given(st.lists(st.from_regex(SEGMENT, fullmatch=True), min_size=1, max_size=4))
@settings(deadline=None)
def test_every_good_key_stays_below_the_root(parts):
    key = checked("/".join(parts))
    root = Path("/store")
    assert os.path.normpath(root / key).startswith("/store/")


@given(st.text(max_size=30))
@settings(deadline=None)
def test_a_key_is_taken_as_it_is_or_refused(key):
    try:
        assert checked(key) == key
    except StorageError:
        return
    assert not Path(key).is_absolute()
    assert ".." not in key.split("/")


def test_a_store_is_a_folder_or_a_bucket(tmp_path):
    local = open_storage(Settings(home=tmp_path))
    assert local.uri == str((tmp_path / "store").resolve())
    bucket = open_storage(Settings(store="s3://models/team/a/"))
    assert isinstance(bucket, S3Storage)
    assert bucket.uri == "s3://models/team/a"


def test_other_places_are_refused_by_name():
    with pytest.raises(StorageError, match="not gs://"):
        open_storage(Settings(store="gs://models"))
    with pytest.raises(StorageError, match="names no bucket"):
        open_storage(Settings(store="s3:///models"))
    with pytest.raises(StorageError, match="names no object"):
        download("s3://models", Path("out"), Settings())
