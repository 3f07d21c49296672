"""The reference to a blob."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BlobRef:
    """A blob that is safe on disk, by its SHA-256 (hex digits)."""

    sha256: str
    size_bytes: int
