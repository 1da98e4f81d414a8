"""S3 when it is slow, gone, refusing or lying; and the data that Nocturne keeps there."""

import time
from datetime import date

import pytest

from infra.settings import Settings
from infra.storage import AlreadyExists, S3Storage, StorageError, Unreachable
from tasks.config import Pipeline
from tasks.datasets import snapshots
from tasks.datasets.intake import take_in
from tasks.datasets.reading import read
from tests.s3_server import SECRET, Fault, silent, wire
from tests.servers import free_port


def test_a_dead_service_is_named_soon_and_no_secret_with_it(s3_server):
    storage = S3Storage("models", "team", settings=s3_server.settings(free_port()))
    start = time.monotonic()
    with pytest.raises(Unreachable, match=r"S3 unreachable: put a/b at s3://models/team") as caught:
        storage.put("a/b", b"rows")
    assert time.monotonic() - start < 60
    assert "NOCTURNE_S3_ENDPOINT" in str(caught.value)
    assert "canary" not in str(caught.value) + repr(vars(storage))
    assert caught.value.__cause__ is None


def test_a_password_in_the_endpoint_is_not_quoted():
    settings = Settings(s3_endpoint=f"http://user:{SECRET}@127.0.0.1:{free_port()}")
    settings = settings.model_copy(update={"s3_access_key": settings.webhook})
    with pytest.raises(StorageError) as caught:
        S3Storage("models", settings=settings).put("key", b"")
    assert SECRET not in str(caught.value)


def test_a_missing_bucket_is_refused_by_name(s3_server):
    storage = S3Storage("never-made", settings=s3_server.settings())
    with pytest.raises(StorageError, match=r"never-made.*NoSuchBucket.*create the bucket"):
        storage.put("key", b"")
    with pytest.raises(StorageError, match="NoSuchBucket"):
        list(storage.keys())


def test_without_credentials_the_variables_are_named(s3_server, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    settings = Settings(s3_endpoint=f"http://127.0.0.1:{s3_server.port}")
    with pytest.raises(StorageError, match="NOCTURNE_S3_ACCESS_KEY"):
        S3Storage("models", settings=settings).get("key")


def test_prefixes_keep_stores_of_one_bucket_apart(s3_server):
    one = s3_server.storage("one")
    two = S3Storage(one.bucket, "two", settings=s3_server.settings())
    one.put("key", b"1")
    assert not two.exists("key")
    two.put("key", b"2")
    assert (one.get("key"), two.get("key")) == (b"1", b"2")
    assert list(one.keys()) == ["key"]


def test_more_keys_than_one_page_are_all_listed(s3_server, monkeypatch):
    monkeypatch.setattr("infra.s3.PAGE_KEYS", 3)
    storage = s3_server.storage("many")
    names = [f"night/{number:04d}" for number in range(10)]
    for name in names:
        storage.put(name, b"")
    assert list(storage.keys("night/")) == names


@pytest.mark.parametrize("whole", ["get", "download"])
def test_an_answer_cut_once_is_asked_for_again(s3_server, tmp_path, whole):
    content = bytes(300_000)
    fault = Fault(100_000, times=1, when=b"GET")
    with wire(s3_server.port, fault) as port:
        storage = s3_server.storage(port=port)
        storage.put("model", content)
        if whole == "get":
            assert storage.get("model") == content
        else:
            storage.download("model", tmp_path / "model")
            assert (tmp_path / "model").read_bytes() == content
    assert fault.times == 0


def test_an_answer_cut_always_is_refused_and_leaves_no_file(s3_server, tmp_path):
    with wire(s3_server.port, Fault(100_000, times=99, when=b"GET")) as port:
        storage = s3_server.storage(port=port)
        storage.put("model", bytes(300_000))
        with pytest.raises(Unreachable, match=r"download model.*cut short of 300000 bytes"):
            storage.download("model", tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def hurried(monkeypatch):
    """The bounds of a night, shortened, so that what takes a minute takes seconds."""
    shorter = {"CONNECT_SECONDS": 0.5, "READ_SECONDS": 0.5, "CHUNK_SECONDS": 1, "ANSWER_SECONDS": 3}
    for name, seconds in shorter.items():
        monkeypatch.setattr(f"infra.s3.{name}", seconds)


def refused_in_time(call, said, seconds):
    began = time.monotonic()
    with pytest.raises(Unreachable, match=said) as caught:
        call()
    assert time.monotonic() - began < seconds
    assert "NOCTURNE_S3_ENDPOINT" in str(caught.value)


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("accepts", [True, False], ids=["silent", "hangs"])
def test_a_service_that_takes_no_connection_or_answers_nothing_is_given_up(s3_server, accepts):
    with silent(accepts=accepts) as port:
        storage = S3Storage("models", settings=s3_server.settings(port))
        why = "ReadTimeoutError" if accepts else "ConnectTimeoutError"
        refused_in_time(lambda: storage.get("a"), rf"S3 unreachable: get a .*{why}", 30)
        refused_in_time(lambda: storage.put("a", b"rows"), "S3 unreachable: put a ", 30)


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("passed", [10, 100_000], ids=["head", "body"])
def test_an_answer_that_drips_is_given_up_and_leaves_no_file(s3_server, tmp_path, passed):
    with wire(s3_server.port, Fault(passed, times=99, when=b"GET", drip_seconds=0.2)) as port:
        storage = s3_server.storage(port=port)
        storage.put("model", bytes(300_000))
        target = tmp_path / "model"
        refused_in_time(lambda: storage.download("model", target), "no whole answer within", 30)
        refused_in_time(lambda: storage.get("model"), "get model .*no whole answer within", 30)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("hurried")
def test_an_answer_that_drips_once_is_asked_for_again(s3_server):
    fault = Fault(100_000, times=1, when=b"GET", drip_seconds=0.2)
    with wire(s3_server.port, fault) as port:
        storage = s3_server.storage(port=port)
        storage.put("model", bytes(300_000))
        assert storage.get("model") == bytes(300_000)
    assert fault.times == 0


@pytest.mark.parametrize("times", [1, 99])
def test_a_write_that_is_cut_is_whole_or_not_there(s3_server, times):
    fault = Fault(100_000, times=times, when=b"PUT", of_request=True)
    with wire(s3_server.port, fault) as port:
        storage = s3_server.storage(port=port)
        straight = S3Storage(storage.bucket, settings=s3_server.settings())
        straight.put("model", b"of yesterday")
        if times == 1:
            storage.put("model", bytes(300_000))
            assert straight.get("model") == bytes(300_000)
        else:
            with pytest.raises(Unreachable, match="S3 unreachable: put model"):
                storage.put("model", bytes(300_000))
            assert straight.get("model") == b"of yesterday"


def test_a_won_condition_is_not_lost_with_its_answer(s3_server):
    fault = Fault(0, times=1, when=b"PUT")
    with wire(s3_server.port, fault) as port:
        storage = s3_server.storage(port=port)
        storage.put("ledger/1", b"my entry", if_absent=True)
        assert fault.times == 0
        assert storage.get("ledger/1") == b"my entry"


def test_a_condition_lost_before_an_answer_was_lost_stays_lost(s3_server):
    fault = Fault(0, times=1, when=b"PUT")
    with wire(s3_server.port, fault) as port:
        storage = s3_server.storage(port=port)
        S3Storage(storage.bucket, settings=s3_server.settings()).put("ledger/1", b"their entry")
        with pytest.raises(AlreadyExists):
            storage.put("ledger/1", b"my entry", if_absent=True)
        assert fault.times == 0


@pytest.fixture
def environment(s3_server, monkeypatch):
    """The settings of the environment point to the service."""
    settings = s3_server.settings()
    monkeypatch.setenv("NOCTURNE_S3_ENDPOINT", settings.s3_endpoint)
    monkeypatch.setenv("NOCTURNE_S3_ACCESS_KEY", settings.s3_access_key.get_secret_value())
    monkeypatch.setenv("NOCTURNE_S3_SECRET_KEY", settings.s3_secret_key.get_secret_value())


def _pipeline(bucket, key):
    options = {"path": f"s3://{bucket}/{key}"}
    return Pipeline.model_validate(
        {
            "name": "trial",
            "source": {"reader": {"name": "csv", "options": options}},
            "columns": {"text": "text", "label": "label"},
            "candidates": [{"name": "floor", "architecture": "averaged_embeddings"}],
        }
    )


def test_a_source_on_s3_is_read_whatever_its_key_is_called(s3_server, environment):
    storage = s3_server.storage()
    key = "exports 2026/März.csv"
    body = b"text,label\nhello,greeting\nbye,farewell\n"
    storage._client.put_object(Bucket=storage.bucket, Key=key, Body=body)
    frame = read(_pipeline(storage.bucket, key), date(2026, 3, 1))
    assert frame["label"].tolist() == ["greeting", "farewell"]


def test_a_source_that_is_not_on_s3_is_named(s3_server, environment):
    storage = s3_server.storage()
    with pytest.raises(StorageError, match=r"download gone\.csv"):
        read(_pipeline(storage.bucket, "gone.csv"), date(2026, 3, 1))


def test_a_night_keeps_its_rows_on_s3(s3_server, environment):
    storage = s3_server.storage("store")
    rows = "text,label\n" + "".join(f"words {n},{'ab'[n % 2]}\n" for n in range(40))
    storage.put("source.csv", rows.encode())
    pipeline = _pipeline(storage.bucket, "store/source.csv")
    snapshot = take_in(pipeline, date(2026, 3, 1), storage)
    assert snapshots.load(snapshot, storage)["text"].nunique() == 40
    again = take_in(pipeline, date(2026, 3, 2), storage)
    assert (again.digest, again.new_rows) == (snapshot.digest, 0)
    nights = snapshots.recent("trial", storage, date(2026, 3, 3))
    assert [night.rows for night in nights] == [40, 40]
