"""What every store promises, on a folder and on S3 over HTTP alike."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from infra.storage import AlreadyExists, LocalStorage, NotFound, StorageError

BAD_KEYS = ("", "/etc/passwd", "../up", "a/../b", "a//b", "a/", ".hidden", "a/.b", "a\\b", "a\nb")


@pytest.fixture(params=["folder", "s3", "s3 prefix"])
def storage(request, tmp_path):
    if request.param == "folder":
        return LocalStorage(tmp_path / "store")
    server = request.getfixturevalue("s3_server")
    return server.storage("some/prefix" if "prefix" in request.param else "")


@pytest.mark.parametrize("data", [b"", b"rows", bytes(range(256)) * 5_000], ids=len)
def test_what_is_put_is_got(storage, data):
    storage.put("models/a.bin", data)
    assert storage.get("models/a.bin") == data
    assert storage.exists("models/a.bin")


def test_a_second_put_replaces_the_first(storage):
    storage.put("note", b"a long first version")
    storage.put("note", b"second")
    assert storage.get("note") == b"second"


def test_what_is_not_there_is_said_by_name(storage):
    with pytest.raises(NotFound, match=r"get models/none\.bin"):
        storage.get("models/none.bin")
    assert not storage.exists("models/none.bin")


def test_what_is_deleted_is_gone_and_deleting_nothing_is_as_good(storage):
    storage.put("a/b", b"x")
    storage.put("a/c", b"y")
    for _ in range(2):
        storage.delete("a/b")
    assert list(storage.keys()) == ["a/c"]


def test_if_absent_refuses_a_taken_key_and_keeps_what_is_there(storage):
    storage.put("decision", b"first", if_absent=True)
    with pytest.raises(AlreadyExists, match="decision"):
        storage.put("decision", b"second", if_absent=True)
    assert storage.get("decision") == b"first"


def test_of_eight_writers_at_once_one_wins(storage):
    barrier = threading.Barrier(8)

    def write(number):
        barrier.wait()
        try:
            storage.put("number", f"writer {number}".encode(), if_absent=True)
        except AlreadyExists:
            return None
        return number

    with ThreadPoolExecutor(8) as pool:
        winners = [number for number in pool.map(write, range(8)) if number is not None]
    assert len(winners) == 1
    assert storage.get("number") == f"writer {winners[0]}".encode()


def test_keys_are_sorted_and_begin_with_the_prefix(storage):
    names = ["b/2", "a/10", "a/9", "a-b", "ab/1", "c"]
    for name in names:
        storage.put(name, b"")
    assert list(storage.keys()) == sorted(names)
    assert list(storage.keys("a")) == ["a-b", "a/10", "a/9", "ab/1"]
    assert list(storage.keys("a/")) == ["a/10", "a/9"]
    assert list(storage.keys("a/1")) == ["a/10"]
    assert list(storage.keys("none/")) == []


def test_files_go_up_and_come_down_unchanged(storage, tmp_path):
    content = bytes(range(256)) * 12_000
    (tmp_path / "up.bin").write_bytes(content)
    storage.upload("deep/er/model.keras", tmp_path / "up.bin")
    storage.download("deep/er/model.keras", tmp_path / "new" / "down.bin")
    assert (tmp_path / "new" / "down.bin").read_bytes() == content
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["down.bin"]


def test_an_upload_if_absent_refuses_a_taken_key(storage, tmp_path):
    (tmp_path / "up.bin").write_bytes(b"second")
    storage.put("model", b"first")
    with pytest.raises(AlreadyExists, match="upload model"):
        storage.upload("model", tmp_path / "up.bin", if_absent=True)
    assert storage.get("model") == b"first"


def test_a_failed_download_leaves_the_old_file_alone(storage, tmp_path):
    (tmp_path / "model").write_bytes(b"old")
    with pytest.raises(NotFound, match="download gone"):
        storage.download("gone", tmp_path / "model")
    assert (tmp_path / "model").read_bytes() == b"old"
    assert [path.name for path in tmp_path.glob("*model*")] == ["model"]


def test_an_upload_of_nothing_names_the_missing_file(storage, tmp_path):
    with pytest.raises(NotFound, match=r"upload model.*nowhere\.bin"):
        storage.upload("model", tmp_path / "nowhere.bin")


@pytest.mark.parametrize("key", BAD_KEYS)
def test_no_key_leads_out_of_the_store(storage, tmp_path, key):
    (tmp_path / "file").write_bytes(b"")
    for call in (
        lambda: storage.put(key, b""),
        lambda: storage.get(key),
        lambda: storage.exists(key),
        lambda: storage.upload(key, tmp_path / "file"),
        lambda: storage.download(key, tmp_path / "out"),
    ):
        with pytest.raises(StorageError, match="segments are letters"):
            call()


@pytest.mark.parametrize("prefix", ["../", "/", "a/../", ".unfinished"])
def test_no_prefix_leads_out_of_the_store(storage, prefix):
    with pytest.raises(StorageError, match="segments are letters"):
        list(storage.keys(prefix))


def test_conditional_writes_are_honoured_and_found_to_be_so_again(storage):
    assert storage.honours_conditional_writes()
    assert storage.honours_conditional_writes()
