"""Names a file that the system does not let be read: what it said, and what to do."""

from collections.abc import Sequence
from pathlib import Path

from core.errors import StorageError, system_error_of

PART_BYTES = 1 << 20


def unreadable(error: Exception, paths: Sequence[Path]) -> StorageError | None:
    """Return the error for the person where ``error`` is, or has replaced, one of the system; None where it is of the file's content.

    ``paths``: the files that were read. An error in the middle of a file does not say which one it is: of several, the first that fails
    again is named. A single one is named by the caller.
    """
    failed = system_error_of(error)
    if failed is None:
        return None
    subject = "the file"
    if len(paths) > 1:
        again = next((path for path in paths if not _can_be_read(path)), None)
        subject = str(again or failed.filename or f"one of {len(paths)} files")
    account = isinstance(failed, PermissionError)
    hint = "let this account read it" if account else "see the disk that holds it, then run the command again"
    return StorageError(f"{subject} cannot be read: {failed.strerror}", hint=hint)


def _can_be_read(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            while stream.read(PART_BYTES):
                pass
    except OSError:
        return False
    return True
