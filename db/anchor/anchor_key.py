"""The key that signs anchors: Ed25519 (RFC 8032), in a file that only the node's account can read."""

import os
from contextlib import suppress
from pathlib import Path
from secrets import token_hex

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from core.errors import ConfigurationError

PRIVATE_MODE = 0o600


def public_key_file(key: Path) -> Path:
    """Return the file of the public key: beside the private one, with ``.pub`` behind its name."""
    return key.with_name(key.name + ".pub")


def load_private_key(path: Path) -> Ed25519PrivateKey:
    """Read the private key; make it, and the file of the public key, where they are absent.

    Raises
    ------
    ConfigurationError
        The file is readable by others, or is no Ed25519 key.
    OSError
        The folder cannot be written.
    """
    if not path.exists():
        _make(path)
    if path.stat().st_mode & 0o077:
        raise ConfigurationError(f"{path}: other users may read the key of the audit anchor", hint=f"chmod 600 {path}")
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except ValueError as error:
        raise ConfigurationError(f"{path} is no private key: {error}", hint="give an Ed25519 key, PEM, without a password") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigurationError(f"{path} is no Ed25519 key", hint="openssl genpkey -algorithm ed25519")
    if not public_key_file(path).exists():
        with suppress(OSError):  # the folder of another user, who keeps the public key elsewhere
            _write_public_key(path, key)
    return key


def load_public_key(path: Path) -> Ed25519PublicKey:
    """Read a public key.

    Raises
    ------
    ConfigurationError
        The file is absent or no Ed25519 key.
    """
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path}: the public key of the audit anchor cannot be read: {error}", hint="give its PEM file") from error
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigurationError(f"{path} is no Ed25519 key", hint="give the file that ends with .pub")
    return key


def is_signed(key: Ed25519PublicKey, signature: bytes, content: bytes) -> bool:
    """Whether ``signature`` is one of ``key`` over ``content``."""
    try:
        key.verify(signature, content)
    except InvalidSignature:
        return False
    return True


def _make(path: Path) -> None:
    """Write a new private key, unless another process has written one meanwhile."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = Ed25519PrivateKey.generate()
    fresh = path.with_name(f"{path.name}.{token_hex(8)}.new")  # in containers every process may have the same number
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_MODE)
    with os.fdopen(descriptor, "wb") as file:
        pkcs8, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        file.write(key.private_bytes(serialization.Encoding.PEM, pkcs8, plain))
        file.flush()
        os.fsync(file.fileno())
    try:
        with suppress(FileExistsError):
            os.link(fresh, path)
    finally:
        fresh.unlink()


def _write_public_key(path: Path, key: Ed25519PrivateKey) -> None:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    fresh = public_key_file(path).with_name(f"{public_key_file(path).name}.{os.getpid()}.new")
    fresh.write_bytes(key.public_key().public_bytes(serialization.Encoding.PEM, form))
    fresh.replace(public_key_file(path))
