"""The file of the anchors: one line of JSON each, signed, and linked to the line before it.

``kind`` is ``anchor`` (the head of the chain), ``restored`` (the database was restored from a backup, whose head this is), or
``time_stamp`` (an answer of a time-stamp service over an earlier line). ``previous`` is the SHA-256 of the line before, so that a line that
is removed from the middle is noticed; ``signature`` is over the line without it, as canonical JSON.
"""

import base64
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from core.errors import StorageError
from db.anchor.anchor_key import is_signed

FIRST = "0" * 64
TAIL_BYTES = 1 << 16  # longer than any line


@dataclass(frozen=True, slots=True)
class Anchor:
    """One line: event ``number`` of the chain of an installation has the hash ``hash``; ``at`` is the database's time."""

    kind: str
    installation: str
    number: int
    hash: str
    at: str
    previous: str
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SignedLine:
    """An anchor and the bytes of its line, without the newline."""

    anchor: Anchor
    line: bytes

    @property
    def digest(self) -> str:
        """SHA-256 of the line, in hexadecimal."""
        return hashlib.sha256(self.line).hexdigest()


def last_line(path: Path) -> SignedLine | None:
    """Return the last complete line; None where there is none. Its signature is not checked.

    Raises
    ------
    StorageError
        The file cannot be read, or its last line is no anchor.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL_BYTES))
            lines = file.read().split(b"\n")[:-1]  # behind the last newline is an incomplete line, or nothing
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}", hint="mount its disk, or correct audit.anchor_file") from error
    return _parse(path, lines[-1])[0] if lines else None


def append_line(path: Path, key: Ed25519PrivateKey, anchor: Anchor) -> SignedLine:
    """Sign an anchor and append it, durable when this returns. The remains of a killed writer behind the last line are removed.

    Raises
    ------
    StorageError
        The file cannot be written.
    """
    content = canonical(anchor)
    signature = base64.b64encode(key.sign(content)).decode()
    line = json.dumps({**json.loads(content), "signature": signature}, sort_keys=True, separators=(",", ":")).encode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o640)
        with os.fdopen(descriptor, "r+b") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL_BYTES))
            tail = file.read()
            file.seek(size - (len(tail) - (tail.rfind(b"\n") + 1)))
            file.truncate()
            file.write(line + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}", hint="free its disk, or correct audit.anchor_file") from error
    return SignedLine(anchor, line)


def read_lines(path: Path, key: Ed25519PublicKey) -> tuple[list[SignedLine], str]:
    """Return the lines up to the first one that is wrong, and what is wrong with it ("" where all are right).

    Raises
    ------
    StorageError
        The file cannot be read.
    """
    found: list[SignedLine] = []
    previous = FIRST
    try:
        complete = path.read_bytes().split(b"\n")[:-1]
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}", hint="give the file with --anchor") from error
    for number, line in enumerate(complete, start=1):
        try:
            signed, signature = _parse(path, line)
        except StorageError:
            return found, f"line {number} of the anchor file is no anchor"
        if not is_signed(key, signature, canonical(signed.anchor)):
            return found, f"line {number} of the anchor file is not signed by this key"
        if signed.anchor.previous != previous:
            return found, f"line {number} of the anchor file does not follow the line before it: a line was removed"
        previous = signed.digest
        found.append(signed)
    return found, ""


def canonical(anchor: Anchor) -> bytes:
    """Return the bytes that are signed: JSON with sorted keys, without spaces."""
    return json.dumps(asdict(anchor), sort_keys=True, separators=(",", ":")).encode()


def _parse(path: Path, line: bytes) -> tuple[SignedLine, bytes]:
    try:
        values = json.loads(line)
        signature = base64.b64decode(values.pop("signature"), validate=True)
        return SignedLine(Anchor(**values), line), signature
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise StorageError(f"{path} holds a line that is no anchor", hint="keep a copy of it, and inform the security officer") from error
