"""The bundle: the directory that is served, sealed by a manifest and a signature.

`verify` is the only door to a model: complete manifest, no other file, no link, size caps,
digest, signature, and a static reading of the model file, all in plain Python and before Keras
is imported. Nothing in a bundle is code and nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model_registry import model_file, signing
from model_registry.errors import BundleRefused, RegistryError

MIB = 1 << 20
CONTENT: dict[str, int] = {  # every file of a bundle and its largest size in bytes
    "preprocessor.json": 256 * MIB,
    "model.keras": 2048 * MIB,
    "labels.json": MIB,
    "pipeline.json": MIB,
    "golden.json": 64 * MIB,
}
MANIFEST, SIGNATURE = "manifest.json", "manifest.sig"
FILES: dict[str, int] = {**CONTENT, MANIFEST: MIB, SIGNATURE: 4096}
BLOCK = 4 * MIB


@dataclass(frozen=True)
class Manifest:
    """What a verified bundle holds.

    Attributes:
        digest: sha256 of `manifest.json`; it names the bundle.
        files: File name to its sha256 and its size in bytes.
        signed: A signature was checked, not only present.
    """

    digest: str
    files: Mapping[str, tuple[str, int]]
    signed: bool


def seal(directory: Path, key: Path) -> Manifest:
    """Write the manifest and its signature, and verify the result as a reader would.

    Args:
        directory: Holds exactly the files of `CONTENT`.
        key: The signing key; made with mode 0600 where absent.

    Raises:
        BundleRefused: the directory would not be accepted by `verify`.
        RegistryError: the key cannot be used.
    """
    for name in (MANIFEST, SIGNATURE):
        (directory / name).unlink(missing_ok=True)
    _refuse_strangers(directory, CONTENT)
    files = {}
    for name in sorted(CONTENT):
        digest, size = _digest(directory / name)
        files[name] = {"sha256": digest, "size": size}
    data = json.dumps({"format": 1, "files": files}, indent=1, sort_keys=True).encode()
    _write(directory / MANIFEST, data)
    _write(directory / SIGNATURE, signing.sign(data, key))
    return verify(directory, public_key=signing.public_key_of(key))


def verify(
    directory: Path, *, expected_digest: str | None = None, public_key: Path | None = None
) -> Manifest:
    """Accept a bundle, or say which rule it breaks; Keras is not imported.

    Args:
        directory: The bundle, in a place that only this user can write to.
        expected_digest: Digest that the registry or a decision names.
        public_key: Whose signature it must carry; without one only the digests are checked,
            which tells damage from intent but not friend from foe.

    Raises:
        BundleRefused: "refused: RULE: what was found".
        RegistryError: the public key cannot be read.
    """
    _refuse_strangers(directory, FILES)
    data = _read(directory / MANIFEST)
    digest = hashlib.sha256(data).hexdigest()
    if expected_digest is not None and digest != expected_digest:
        raise BundleRefused("digest", f"{MANIFEST} has sha256 {digest}, expected {expected_digest}")
    signature = _read(directory / SIGNATURE)
    if public_key is not None and not signing.is_signed(data, signature, public_key):
        raise BundleRefused("signature", f"{MANIFEST} was not signed by the key {public_key}")
    files = _entries(data)
    for name, (expected, size) in files.items():
        got, length = _digest(directory / name)
        if got != expected or length != size:
            raise BundleRefused(
                "digest",
                f"digest mismatch in {name}, expected {expected} ({size} bytes), "
                f"got {got} ({length} bytes)",
            )
    for name in CONTENT:
        if name.endswith(".json"):
            _parsed(name, _read(directory / name))
    model_file.inspect(directory / "model.keras")
    return Manifest(digest, files, signed=public_key is not None)


def _refuse_strangers(directory: Path, wanted: Mapping[str, int]) -> None:
    """Exactly the wanted regular files, no link, none over its cap."""
    if directory.is_symlink() or not directory.is_dir():
        raise BundleRefused("directory", f"{directory} is no directory of its own")
    found = set()
    with os.scandir(directory) as entries:
        for entry in entries:
            state = entry.stat(follow_symlinks=False)
            if stat.S_ISLNK(state.st_mode):
                raise BundleRefused("symlink", f"{entry.name!r} points elsewhere")
            if entry.name not in wanted:
                raise BundleRefused("extra file", f"{entry.name!r} is no part of a bundle")
            if not stat.S_ISREG(state.st_mode):
                raise BundleRefused("file type", f"{entry.name!r} is no regular file")
            if state.st_size > wanted[entry.name]:
                raise BundleRefused(
                    "size", f"{entry.name} has {state.st_size} bytes, cap {wanted[entry.name]}"
                )
            found.add(entry.name)
    missing = sorted(set(wanted) - found)
    if missing:
        raise BundleRefused("missing file", f"no {', '.join(missing)} in {directory}")


def _entries(data: bytes) -> dict[str, tuple[str, int]]:
    """The manifest's files; complete, and nothing else in it."""
    content = _parsed(MANIFEST, data)
    if not isinstance(content, dict) or set(content) != {"format", "files"}:
        raise BundleRefused("manifest", "expected the keys format and files")
    if content["format"] != 1:
        raise BundleRefused("manifest", f"format {content['format']!r} is unknown, expected 1")
    files = content["files"]
    if not isinstance(files, dict) or set(files) != set(CONTENT):
        raise BundleRefused("manifest", f"must list exactly {', '.join(sorted(CONTENT))}")
    entries = {}
    for name, entry in files.items():
        if not isinstance(entry, dict) or set(entry) != {"sha256", "size"}:
            raise BundleRefused("manifest", f"{name}: expected sha256 and size")
        entries[name] = (str(entry["sha256"]), int(entry["size"]))
    return entries


def _parsed(name: str, data: bytes) -> Any:
    try:
        return json.loads(data, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise BundleRefused("json", f"{name}: {error}") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys differ; two readers of a doubled key may see two values."""
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("a key occurs twice")
    return dict(pairs)


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise BundleRefused("unreadable", f"{path.name}: {error.strerror}") from None


def _read(path: Path) -> bytes:
    with os.fdopen(_open(path), "rb") as file:
        return file.read(FILES[path.name] + 1)


def _digest(path: Path) -> tuple[str, int]:
    """sha256 and size in bytes, reading no more than the cap."""
    state, size = hashlib.sha256(), 0
    with os.fdopen(_open(path), "rb") as file:
        while block := file.read(BLOCK):
            state.update(block)
            size += len(block)
            if size > FILES[path.name]:
                raise BundleRefused("size", f"{path.name} grew over {FILES[path.name]} bytes")
    return state.hexdigest(), size


def _write(path: Path, data: bytes) -> None:
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise RegistryError(f"{path}: cannot be written: {error.strerror}") from error
