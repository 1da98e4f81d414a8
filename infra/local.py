"""A store in a local folder: every write is whole or not there at all."""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import BinaryIO

from infra.errors import AlreadyExists, NotFound, StorageError
from infra.keys import checked, checked_prefix
from infra.stored import Stored

_UNFINISHED = ".unfinished"


class LocalStorage:
    """Objects as files under a root; made on the first write.

    A write goes to a temporary file, is flushed to the disk and then renamed over the key, or
    linked to it where `if_absent` is asked for: the link is created for one caller only.

    Args:
        root: The folder, on a file system with hard links.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.uri = str(self.root)

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> None:
        """Store bytes under a key.

        Raises:
            AlreadyExists: `if_absent` and the key is taken.
            StorageError: a bad key, or the disk refused (full, read-only, no permission).
        """
        self._commit("put", key, lambda file: file.write(data), if_absent=if_absent)

    def upload(self, key: str, path: Path, *, if_absent: bool = False) -> None:
        """Store a file under a key; raises as `put` does."""
        with explained("upload", key, self.uri), path.open("rb") as source:
            write = partial(shutil.copyfileobj, source)
            self._commit("upload", key, write, if_absent=if_absent)

    def get(self, key: str) -> bytes:
        """The bytes under a key.

        Raises:
            NotFound: nothing stands there.
        """
        with explained("get", key, self.uri):
            return self._path(key).read_bytes()

    def download(self, key: str, path: Path) -> None:
        """Write what stands under a key to a file, which appears whole or not at all.

        Raises:
            NotFound: nothing stands there.
        """
        with explained("download", key, self.uri), self._path(key).open("rb") as source:
            write_whole(path, lambda file: shutil.copyfileobj(source, file))

    def exists(self, key: str) -> bool:
        """Whether something stands under the key."""
        return self._path(key).is_file()

    def keys(self, prefix: str = "") -> Iterator[str]:
        """All keys that begin with the prefix, sorted."""
        parent = checked_prefix(prefix).rpartition("/")[0]
        found = (
            Path(folder, name).relative_to(self.root).as_posix()
            for folder, inner, names in os.walk(self.root / parent)
            if _UNFINISHED not in Path(folder).parts[len(self.root.parts) :]
            for name in names
        )
        yield from sorted(key for key in found if key.startswith(prefix))

    def listed(self, prefix: str = "") -> Iterator[Stored]:
        """The same keys, each with size and time of writing; what goes meanwhile is left out."""
        for key in self.keys(prefix):
            with suppress(FileNotFoundError):
                found = self._path(key).stat()
                yield Stored(key, found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))

    def delete(self, key: str) -> None:
        """Remove what stands under the key; nothing there is as good."""
        path = self._path(key)
        with explained("delete", key, self.uri):
            path.unlink(missing_ok=True)

    def tidy(self) -> None:
        """Remove what killed writes left; only for who knows that nobody else writes here."""
        shutil.rmtree(self.root / _UNFINISHED, ignore_errors=True)

    def honours_conditional_writes(self) -> bool:
        """Whether `if_absent` lets one writer win; tried on a key made for it."""
        return probe(self.put)

    def _path(self, key: str) -> Path:
        return self.root / checked(key)

    def _commit(
        self, action: str, key: str, write: Callable[[BinaryIO], object], *, if_absent: bool
    ) -> None:
        target = self._path(key)
        scratch = self.root / _UNFINISHED / uuid.uuid4().hex
        with explained(action, key, self.uri):
            scratch.parent.mkdir(parents=True, exist_ok=True)
            self._make_room(action, key)
            try:
                _write_through(scratch, write)
                if if_absent:
                    os.link(scratch, target)
                else:
                    scratch.replace(target)
                _flush_folder(target.parent)
            finally:
                scratch.unlink(missing_ok=True)

    def _make_room(self, action: str, key: str) -> None:
        """Folders for a key; on a folder, unlike on S3, `a` and `a/b` cannot both be keys."""
        target = self._path(key)
        taken = [path for path in target.parents if path.is_file()]
        if taken or target.is_dir():
            raise StorageError(
                f"{action} {key}: {taken[0] if taken else target} stands in its way: a key is "
                "either an object or the beginning of others; choose another key"
            )
        target.parent.mkdir(parents=True, exist_ok=True)


def probe(put: Callable[..., None]) -> bool:
    """Write one fixed key twice with `if_absent`; only a store that honours it refuses."""
    for _ in range(2):
        try:
            put("probe/conditional-write", b"only one writer may win", if_absent=True)
        except AlreadyExists:
            return True
    return False


def write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Let `write` fill a file that takes its place at `path` only once it is on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        _write_through(scratch, write)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)
    _flush_folder(path.parent)


def _write_through(path: Path, write: Callable[[BinaryIO], object]) -> None:
    with path.open("xb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def explained(action: str, key: str, where: str) -> Iterator[None]:
    """Errors of the operating system in the words of a store."""
    try:
        yield
    except FileExistsError:
        raise AlreadyExists(f"{action} {key}: the key is taken in {where}") from None
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise NotFound(
            f"{action} {key}: {error.filename or key} is no file; store {where}"
        ) from None
    except OSError as error:
        hint = _HINTS.get(error.errno or 0, "look at the folder and its file system")
        raise StorageError(f"{action} {key}: {error.strerror}; store {where}; {hint}") from None


_HINTS = {
    errno.ENOSPC: "the disk is full: free some space",
    errno.EDQUOT: "the quota is used up: free some space",
    errno.EFBIG: "the file would be larger than this process may write: raise the limit",
    errno.EACCES: "give this user the right to it, or set NOCTURNE_STORE",
    errno.EROFS: "the file system is read-only: set NOCTURNE_STORE to another folder",
    errno.EPERM: "`if_absent` needs a file system with hard links: set NOCTURNE_STORE",
    errno.ENOTSUP: "`if_absent` needs a file system with hard links: set NOCTURNE_STORE",
}
