"""A file in ``tmp`` that has the name of a blob as well; neither its bytes nor its names are on disk before ``sync``.

Linking and fsync are two steps, so that the row can be written while the disk works; the row is committed after both (decision 0029).
"""

import errno
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from core.failpoints import failpoint
from db.blobs.blob_ref import BlobRef
from db.blobs.file_system import disk_errors, fsync_folder, shared_access
from db.blobs.temporary_file import TemporaryFile

NO_HARD_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK})


def link_file(source: str, target: str) -> bool:
    """Give a file a second name, and make the folder if it does not exist.

    Returns False if the name exists already or the file system has no hard links.
    """
    try:
        try:
            os.link(source, target)
        except FileNotFoundError:
            with suppress(FileExistsError):
                os.mkdir(os.path.dirname(target))
            os.link(source, target)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in NO_HARD_LINKS:
            raise
        return False
    return True


class LinkedFile:
    """A temporary file that has, or will get, the name of a blob.

    Parameters
    ----------
    linked
        The blob's name is a link to this file; otherwise another file has the name, or hard links are not supported.
    ordered
        The file system writes names to disk in the order of their changes (`db.blobs.file_system.ORDERED`).
    """

    def __init__(self, ref: BlobRef, file: TemporaryFile, target: str, root: str, *, linked: bool, ordered: bool) -> None:
        self.ref = ref
        self._file = file
        self._target = target
        self._linked = linked
        self._ordered = ordered
        self._root = root

    def sync(self) -> BlobRef:
        """Write bytes and name to disk; to be called once.

        One fsync is enough for both where the file system keeps the order of names (decision 0029).

        Raises
        ------
        StorageError
            The disk reported an error. The blob's name is removed, unless it belongs to another file.
        """
        with disk_errors("the blob cannot be written"):
            try:
                os.fsync(self._file.descriptor)
                if not self._linked:  # the file of that name may be damaged, or not on disk yet: this one is, and replaces it
                    with shared_access(self._root):
                        os.replace(self._file.path, self._target)
                if not (self._linked and self._ordered):
                    folder = Path(self._target).parent
                    fsync_folder(folder)
                    fsync_folder(folder.parent)  # another process may have made the folder without reaching this line
            except OSError:
                with suppress(FileNotFoundError), shared_access(self._root):
                    if os.path.samestat(os.fstat(self._file.descriptor), os.stat(self._target)):
                        os.unlink(self._target)  # its bytes may not be on disk
                raise
            failpoint("blob.fsynced")
        self.close()
        return self.ref

    def close(self) -> None:
        """Remove the temporary name. Without a ``sync`` before, the blob's name is removed later. Calling it again has no effect."""
        self._file.discard()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
