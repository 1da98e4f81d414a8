"""Source files at hand: a local path as it is, an object or a page as a temporary copy."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from infra.settings import Settings
from tasks.datasets.errors import DataError, NotThere

ATTEMPTS = 3
TIMEOUT_SECONDS = 30
_CHUNK_BYTES = 1 << 20


@contextmanager
def at_hand(path: str, sha256: str | None) -> Iterator[Path]:
    """A local file with what stands at `path`, for as long as the context lasts.

    Args:
        path: A local path, `s3://bucket/key` or `https://...`.
        sha256: Pinned digest of the content, 64 hexadecimal digits; required for `https://`,
            where nobody else vouches for what is answered.

    Raises:
        NotThere: no such file.
        DataError: an unknown kind of address, or content that is not what was pinned.
        StorageError: the bucket does not answer or refuses.
    """
    if sha256 is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise DataError(f"sha256 of {path}: 64 hexadecimal digits, got {sha256!r}")
    with tempfile.TemporaryDirectory(prefix="nocturne-source-") as scratch:
        file = _fetched(path, Path(scratch) / "content", sha256)
        if sha256 is not None:
            _check(file, path, sha256.lower())
        yield file


def _fetched(path: str, scratch: Path, sha256: str | None) -> Path:
    if path.startswith("s3://"):
        from infra.storage import download

        download(path, scratch, Settings())
        return scratch
    if path.startswith("https://"):
        if sha256 is None:
            raise DataError(f"{path}: set `sha256`, the digest of the file, to read it over https")
        _download(path, scratch)
        return scratch
    if "://" in path:
        scheme = urlsplit(path).scheme
        raise DataError(f"{path}: {scheme}:// is not read; use a local path, s3:// or https://")
    file = Path(path).expanduser()
    if not file.exists():
        raise NotThere(f"{file.absolute()}: no such file; give its path in the reader's options")
    return file


def _download(address: str, file: Path) -> None:
    import http.client
    import urllib.error
    import urllib.request

    why = ""
    for _ in range(ATTEMPTS):
        try:
            with urllib.request.urlopen(address, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 - https only, and pinned by its digest
                expected = int(answer.headers.get("Content-Length") or -1)
                got = _write(answer, file)
            if expected in (got, -1):
                return
            why = f"cut short: expected {expected} bytes, got {got}"
        except urllib.error.HTTPError as error:
            why = f"status {error.code}"
        except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
            why = str(getattr(error, "reason", error)) or type(error).__name__
    raise DataError(f"{address}: not read ({why}); look at the address")


def _write(answer: object, file: Path) -> int:
    got = 0
    with file.open("wb") as out:
        while chunk := answer.read(_CHUNK_BYTES):  # type: ignore[attr-defined]
            got += out.write(chunk)
    return got


def _check(file: Path, path: str, sha256: str) -> None:
    if file.is_dir():
        raise DataError(f"{path}: is a folder, and `sha256` pins one file; leave it out")
    with file.open("rb") as content:
        got = hashlib.file_digest(content, "sha256").hexdigest()
    if got != sha256:
        raise DataError(
            f"{path}: its sha256 is {got}, and {sha256} is pinned; see what changed, then pin it"
        )
