"""A store in an S3 bucket, through boto3."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from functools import cache, cached_property
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from urllib.parse import urlsplit

from infra.bounded import Overdue, within
from infra.errors import AlreadyExists, NotFound, StorageError, Unreachable
from infra.keys import checked, checked_prefix
from infra.local import explained, probe, write_whole
from infra.settings import Settings
from infra.stored import Stored

Result = TypeVar("Result")

ATTEMPTS = 3
CONNECT_SECONDS = 5
READ_SECONDS = 15  # from byte to byte
ANSWER_SECONDS = 75  # all attempts of a request, whatever its answer does
CHUNK_SECONDS = 20  # of a body; slower than 3 KiB a second is as good as cut
SLOWEST_UPLOAD = 100_000  # bytes a second
PAGE_KEYS = 1_000
_CHUNK_BYTES = 1 << 16
_MISSING = {"404", "NoSuchKey"}
_TAKEN = {"412", "PreconditionFailed"}
_RACING = {"409", "ConditionalRequestConflict"}
_BUSY = {"500", "502", "503", "504", "InternalError", "RequestTimeout", "SlowDown"}


class S3Storage:
    """Objects in a bucket, each key below one prefix.

    `if_absent` is a conditional write (`If-None-Match: *`); some services that speak S3 ignore
    it, which `honours_conditional_writes` finds out. Requests are tried three times and time
    out, so that a dead, hanging or dripping service costs about a minute and never a night.

    Args:
        bucket: Name of an existing bucket.
        prefix: Joined to each key with `/`; empty for the whole bucket.
        settings: Endpoint and credentials; without them boto3's own chain is used.
        any_key: Keys were made by others and may hold any character.
    """

    def __init__(
        self, bucket: str, prefix: str = "", *, settings: Settings, any_key: bool = False
    ) -> None:
        self.bucket = bucket
        self.prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self.uri = f"s3://{bucket}/{self.prefix}".rstrip("/")
        self._settings = settings
        self._named: Callable[[str], str] = str if any_key else checked

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> None:
        """Store bytes under a key.

        Raises:
            AlreadyExists: `if_absent` and the key is taken.
            Unreachable: no answer after three attempts.
            StorageError: a bad key, or the service refused (rights, no such bucket).
        """
        self._put("put", key, io.BytesIO(data), if_absent=if_absent)

    def upload(self, key: str, path: Path, *, if_absent: bool = False) -> None:
        """Store a file of at most 5 GiB under a key in one request; raises as `put` does."""
        with explained("upload", key, self.uri), path.open("rb") as file:
            self._put("upload", key, file, if_absent=if_absent)

    def get(self, key: str) -> bytes:
        """The bytes under a key.

        Raises:
            NotFound: nothing stands there.
            Unreachable: no whole answer after three attempts.
        """
        return self._fetch("get", key, lambda body: b"".join(_chunks(body)))

    def download(self, key: str, path: Path) -> None:
        """Write what stands under a key to a file, which appears whole or not at all.

        Raises:
            NotFound: nothing stands there.
            Unreachable: no whole answer after three attempts.
        """
        with explained("download", key, self.uri):
            self._fetch("download", key, lambda body: write_whole(path, lambda f: _copy(body, f)))

    def exists(self, key: str) -> bool:
        """Whether something stands under the key."""
        place = self._place(key)
        try:
            self._ask("look for", key, lambda: self._client.head_object(**place))
        except NotFound:
            return False
        return True

    def keys(self, prefix: str = "") -> Iterator[str]:
        """All keys that begin with the prefix, sorted."""
        yield from (one.key for one in self.listed(prefix))

    def listed(self, prefix: str = "") -> Iterator[Stored]:
        """The same keys, each with its size and when it was written."""
        for key, item in self._items(checked_prefix(prefix)):
            yield Stored(key, item["Size"], item["LastModified"])

    def stamped(self, prefix: str) -> Iterator[tuple[str, str]]:
        """All keys that begin with the prefix, sorted, each with the mark of its content."""
        for key, item in self._items(prefix):
            yield key, f"{item['Size']} {item['ETag']}"

    def _items(self, prefix: str) -> Iterator[tuple[str, Any]]:
        """Every key that begins with the prefix, and what the service says of it."""
        request: dict[str, Any] = {"Bucket": self.bucket, "MaxKeys": PAGE_KEYS}
        request["Prefix"] = self.prefix + prefix
        while True:
            what = f"keys of {prefix or 'the whole store'}"
            page = self._ask("list", what, lambda: self._client.list_objects_v2(**request))
            for item in page.get("Contents", []):
                yield item["Key"][len(self.prefix) :], item
            if not page["IsTruncated"]:
                return
            request["ContinuationToken"] = page["NextContinuationToken"]

    def delete(self, key: str) -> None:
        """Remove what stands under the key; nothing there is as good."""
        place = self._place(key)
        self._ask("delete", key, lambda: self._client.delete_object(**place))

    def honours_conditional_writes(self) -> bool:
        """Whether `if_absent` lets one writer win; tried on a key made for it."""
        return probe(self.put)

    @cached_property
    def _client(self) -> Any:
        from botocore.config import Config

        settings = self._settings
        retries = {"total_max_attempts": ATTEMPTS, "mode": "standard"}
        style = {"addressing_style": "path" if settings.s3_endpoint else "auto"}
        return _session().client(
            "s3",
            endpoint_url=settings.s3_endpoint or None,
            aws_access_key_id=settings.s3_access_key.get_secret_value() or None,
            aws_secret_access_key=settings.s3_secret_key.get_secret_value() or None,
            config=Config(
                connect_timeout=CONNECT_SECONDS,
                read_timeout=READ_SECONDS,
                retries=retries,  # type: ignore[arg-type]
                s3=style,  # type: ignore[arg-type]
            ),
        )

    def _place(self, key: str) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": self.prefix + self._named(key)}

    def _put(self, action: str, key: str, body: BinaryIO, *, if_absent: bool) -> None:
        condition = {"IfNoneMatch": "*"} if if_absent else {}
        place = self._place(key)

        def send() -> Any:
            body.seek(0)
            return self._client.put_object(**place, **condition, Body=body)

        size = body.seek(0, io.SEEK_END)
        try:
            self._ask(action, key, send, seconds=ANSWER_SECONDS + size / SLOWEST_UPLOAD)
        except AlreadyExists as error:
            # Our first attempt may have won and its answer been lost on the way.
            if not error.retried or not self._holds(key, body):
                raise

    def _holds(self, key: str, body: BinaryIO) -> bool:
        body.seek(0)
        return body.read() == self.get(key)

    def _fetch(self, action: str, key: str, consume: Callable[[Any], Result]) -> Result:
        """Let `consume` read the whole body; botocore retries requests, but not bodies."""
        from botocore import exceptions as boto

        cut = (boto.IncompleteReadError, boto.ResponseStreamingError, boto.ReadTimeoutError)
        place = self._place(key)
        for _ in range(ATTEMPTS):
            answer = self._ask(action, key, lambda: self._client.get_object(**place))
            try:
                return consume(answer["Body"])
            except (*cut, boto.FlexibleChecksumError, Overdue) as error:
                why = f"{type(error).__name__}: {error}"
        expected = answer["ContentLength"]
        raise self._unreachable(action, key, f"cut short of {expected} bytes; {why}")

    def _ask(
        self, action: str, key: str, request: Callable[[], Result], *, seconds: float = 0
    ) -> Result:
        """The answer to a request, or what went wrong in the words of a store."""
        from botocore import exceptions as boto

        for attempt in range(1, ATTEMPTS + 1):
            try:
                return within(seconds or ANSWER_SECONDS, request)
            except Overdue as error:
                raise self._unreachable(action, key, str(error)) from None
            except boto.ClientError as error:
                if error.response["Error"]["Code"] in _RACING and attempt < ATTEMPTS:
                    time.sleep(0.1 * attempt)
                    continue
                raise self._refused(action, key, error) from None
            except (boto.NoCredentialsError, boto.PartialCredentialsError):
                raise StorageError(
                    f"{action} {key}: no credentials for {self._where}; set "
                    "NOCTURNE_S3_ACCESS_KEY and NOCTURNE_S3_SECRET_KEY"
                ) from None
            except (boto.HTTPClientError, boto.ConnectionError) as error:
                raise self._unreachable(action, key, type(error).__name__) from None
            except (boto.BotoCoreError, ValueError) as error:
                # only its name: its words may quote an endpoint with a password
                raise StorageError(
                    f"{action} {key}: {self._where}: {type(error).__name__}; look at the names "
                    "of bucket and key and at NOCTURNE_S3_ENDPOINT"
                ) from None
        raise AssertionError("the last attempt returns or raises")

    def _refused(self, action: str, key: str, error: Any) -> StorageError:
        """A refusal by its code; the service's own words may quote what it was sent."""
        code = error.response["Error"]["Code"]
        meta = error.response.get("ResponseMetadata", {})
        if code in _MISSING:
            return NotFound(f"{action} {key}: nothing stands there in {self.uri}")
        if code in _TAKEN:
            taken = AlreadyExists(f"{action} {key}: the key is taken in {self.uri}")
            taken.retried = bool(meta.get("RetryAttempts"))
            return taken
        if code in _BUSY or code in _RACING:
            return self._unreachable(action, key, code)
        hint = "create the bucket" if code == "NoSuchBucket" else "look at rights and credentials"
        return StorageError(f"{action} {key}: {self._where} refused ({code}); {hint}")

    def _unreachable(self, action: str, key: str, why: str) -> Unreachable:
        return Unreachable(
            f"S3 unreachable: {action} {key} at {self._where} after {ATTEMPTS} attempts ({why}); "
            "look at the service, the network and NOCTURNE_S3_ENDPOINT"
        )

    @property
    def _where(self) -> str:
        """The place for messages: an endpoint may carry a password, so only its host."""
        host = urlsplit(self._settings.s3_endpoint).hostname
        return f"{self.uri} ({host})" if host else self.uri


def _session() -> Any:
    """A session of its own: it asks for credentials anew, but knows the services already."""
    import boto3
    import botocore.session

    session = botocore.session.get_session()
    session.register_component("data_loader", _descriptions())
    return boto3.session.Session(botocore_session=session)


@cache
def _descriptions() -> Any:
    """Boto's descriptions of services, which take a tenth of a second to read, once a process."""
    from botocore.loaders import Loader

    return Loader()


def _copy(body: Any, file: BinaryIO) -> None:
    for chunk in _chunks(body):
        file.write(chunk)


def _chunks(body: Any) -> Iterator[bytes]:
    """Piece by piece, each in time; the read that finds the end checks length and checksum."""
    while chunk := within(CHUNK_SECONDS, lambda: body.read(_CHUNK_BYTES)):
        yield chunk
