"""Ed25519 signatures over bundles: who sealed it, not only what it holds.

The private key is made on first use, readable by its owner alone; the public key lies beside
it as `NAME.pub` and is all that a reader needs.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from model_registry.errors import RegistryError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def public_key_of(key: Path) -> Path:
    """Where the public half of a private key lies; both are made where neither is there.

    Who only reads bundles, as the scoring server does, may have the public half alone.
    """
    public = key.with_suffix(".pub")
    if key.exists() or not public.exists():
        _private_key(key)
    return public


def sign(data: bytes, key: Path) -> bytes:
    """A detached signature of 64 bytes.

    Args:
        data: What is signed.
        key: The private key's file (PEM); made with mode 0600 where absent.

    Raises:
        RegistryError: the key is readable by others, or no Ed25519 key.
    """
    return _private_key(key).sign(data)


def is_signed(data: bytes, signature: bytes, public_key: Path) -> bool:
    """Whether the holder of the private key signed exactly these bytes.

    Raises:
        RegistryError: the public key cannot be read or is no Ed25519 key.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(public_key.read_bytes())
    except (OSError, ValueError) as error:
        raise RegistryError(f"public key {public_key}: cannot be read: {error}") from None
    if not isinstance(key, Ed25519PublicKey):
        raise RegistryError(f"public key {public_key}: expected Ed25519, got {type(key).__name__}")
    try:
        key.verify(signature, data)
    except InvalidSignature:
        return False
    return True


def _private_key(path: Path) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    if not path.exists():
        _make(path)
    mode = path.stat().st_mode & 0o077
    if mode:
        raise RegistryError(
            f"signing key {path}: must be readable by its owner only, others have mode "
            f"{mode:03o}; make a new key, or `chmod 600` it if nobody read it"
        )
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except ValueError as error:
        raise RegistryError(f"signing key {path}: no PEM private key: {error}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise RegistryError(f"signing key {path}: expected Ed25519, got {type(key).__name__}")
    if not path.with_suffix(".pub").exists():
        _publish(key, path)
    return key


def _make(path: Path) -> None:
    """Write a new key under its name at once, unless another process was first."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        os.link(partial, path)
    except FileExistsError:
        pass
    finally:
        partial.unlink()


def _publish(key: Ed25519PrivateKey, path: Path) -> None:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    partial.write_bytes(pem)
    partial.replace(path.with_suffix(".pub"))
