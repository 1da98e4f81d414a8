"""The store of snapshots, bundles and decisions: a local folder, or a bucket on S3."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from infra.errors import AlreadyExists, NotFound, StorageError, Unreachable
from infra.local import LocalStorage
from infra.s3 import S3Storage
from infra.settings import Settings
from infra.stored import Stored

__all__ = [
    "AlreadyExists",
    "LocalStorage",
    "NotFound",
    "S3Storage",
    "Storage",
    "StorageError",
    "Stored",
    "Unreachable",
    "download",
    "open_place",
    "open_storage",
    "stamped",
]


class Storage(Protocol):
    """Objects under keys; what every store can do. Raises `StorageError` and its kinds.

    Attributes:
        uri: Where the store is, for people and logs; holds no secret.
    """

    uri: str

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> None:
        """Store bytes, whole or not at all; with `if_absent` one writer of a key wins."""

    def get(self, key: str) -> bytes:
        """The bytes under a key."""

    def exists(self, key: str) -> bool:
        """Whether something stands under the key."""

    def keys(self, prefix: str = "") -> Iterator[str]:
        """All keys that begin with the prefix, sorted."""

    def listed(self, prefix: str = "") -> Iterator[Stored]:
        """The same keys, each with its size and when it was written."""

    def delete(self, key: str) -> None:
        """Remove what stands under the key; nothing there is as good."""

    def upload(self, key: str, path: Path, *, if_absent: bool = False) -> None:
        """Store a file, whole or not at all."""

    def download(self, key: str, path: Path) -> None:
        """Write what stands under a key to a file, which appears whole or not at all."""

    def honours_conditional_writes(self) -> bool:
        """Whether `if_absent` lets one writer win; a decision ledger needs it."""


def open_storage(settings: Settings) -> Storage:
    """The store that `NOCTURNE_STORE` names.

    Raises:
        StorageError: an address that is neither a folder nor `s3://bucket/prefix`.
    """
    address = settings.store_uri
    if address.startswith("s3://"):
        bucket, prefix = _bucket_and_key(address)
        return S3Storage(bucket, prefix, settings=settings)
    if "://" in address:
        scheme = urlsplit(address).scheme
        raise StorageError(
            f"NOCTURNE_STORE: a store is a folder or s3://bucket/prefix, not {scheme}://"
        )
    return LocalStorage(Path(address))


def open_place(address: str, settings: Settings) -> Storage:
    """A folder, or `s3://bucket/prefix` in any bucket, to write to as to a store.

    Raises:
        StorageError: an address of S3 without a bucket.
    """
    if address.startswith("s3://"):
        bucket, prefix = _bucket_and_key(address)
        return S3Storage(bucket, prefix, settings=settings)
    return LocalStorage(Path(address))


def stamped(address: str, settings: Settings) -> list[tuple[str, str]]:
    """Every object below `s3://bucket/prefix`: its address, and what changes when it does.

    Raises:
        StorageError: an address without bucket, or what `S3Storage.stamped` raises.
    """
    bucket, prefix = _bucket_and_key(address)
    found = S3Storage(bucket, settings=settings, any_key=True).stamped(prefix)
    return [(f"s3://{bucket}/{key}", stamp) for key, stamp in found]


def download(address: str, path: Path, settings: Settings) -> None:
    """Write one object of any bucket, `s3://bucket/key`, to a file.

    Raises:
        StorageError: an address without bucket or key, or what `S3Storage.download` raises.
    """
    bucket, key = _bucket_and_key(address)
    if not key:
        raise StorageError(f"{address!r}: names no object; write s3://bucket/key")
    S3Storage(bucket, settings=settings, any_key=True).download(key, path)


def _bucket_and_key(address: str) -> tuple[str, str]:
    bucket, _, key = address.removeprefix("s3://").partition("/")
    if not bucket:
        raise StorageError(f"{address!r}: names no bucket; write s3://bucket/prefix")
    return bucket, key
