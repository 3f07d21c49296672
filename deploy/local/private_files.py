"""Files and folders that only the user of the node can read: they may hold patient data or passwords."""

import os
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

PRIVATE_UMASK = 0o077


def open_log_file(path: Path) -> BinaryIO:
    """Open a log file to append to, with mode 0600; one that exists gets it too."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with suppress(PermissionError):  # it belongs to another user, who has set its mode
        os.fchmod(descriptor, 0o600)
    return os.fdopen(descriptor, "ab", buffering=0)


def write_private_file(path: Path, content: str) -> None:
    """Write a file that only its owner can read, and give it its name when it is complete."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600)
    fresh.write_text(content, encoding="utf-8", newline="")
    fresh.replace(path)


def make_private_folder(folder: Path, *, pass_through: bool = False) -> None:
    """Make a folder and its parents, and let only this user into it (0700).

    Parameters
    ----------
    pass_through
        Let other users reach folders inside that are theirs (0711): the embedded PostgreSQL of root runs as another user.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with suppress(PermissionError):  # a mounted folder of another user, who has set its mode
        folder.chmod(0o711 if pass_through else 0o700)
