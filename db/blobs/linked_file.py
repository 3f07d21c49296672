"""A file in ``tmp`` that becomes a blob with ``sync``: it gets the name of the blob, then its bytes and names are written to disk.

Until then nothing is promised, so that the row can be written while the disk works; the row is committed afterwards (decision 0029).
"""

import errno
import os
from contextlib import suppress
from pathlib import Path

from core.failpoints import failpoint
from db.blobs.blob_ref import BlobRef
from db.blobs.file_system import disk_errors, fsync_folder, shared_access
from db.blobs.temporary_file import TemporaryFile

NO_HARD_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK})


def link_file(source: str, target: str) -> bool:
    """Give a file a second name.

    Returns False if the name exists already or the file system has no hard links.
    """
    try:
        os.link(source, target)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in NO_HARD_LINKS:
            raise
        return False
    return True


class LinkedFile:
    """A temporary file that will get the name of a blob. Its owner discards the temporary name afterwards.

    Parameters
    ----------
    ordered
        The file system writes names to disk in the order of their changes (`db.blobs.file_system.ORDERED`).
    """

    def __init__(self, ref: BlobRef, file: TemporaryFile, target: str, root: str, *, ordered: bool) -> None:
        self.ref = ref
        self._file = file
        self._target = target
        self._ordered = ordered
        self._root = root

    def upload(self) -> None:
        """Do what takes too long for a transaction that waits for it. Nothing in a folder of this machine (`db.blobs.remote`)."""

    def sync(self) -> BlobRef:
        """Give the file the name of the blob, and write bytes and name to disk; to be called once.

        One fsync is enough for both where the file system keeps the order of names (decision 0029).

        Raises
        ------
        StorageError
            The disk reported an error. The blob's name is removed, unless it belongs to another file.
        """
        with disk_errors("the blob cannot be linked"):
            linked = link_file(self._file.path, self._target)
        failpoint("blob.linked")
        with disk_errors("the blob cannot be written"):
            try:
                os.fsync(self._file.descriptor)
                if not linked:  # the file of that name may be damaged, or not on disk yet: this one is, and replaces it
                    with shared_access(self._root):
                        os.replace(self._file.path, self._target)
                if not (linked and self._ordered):
                    fsync_folder(Path(self._target).parent)  # its own name is on disk since the store was opened
            except OSError:
                with suppress(FileNotFoundError), shared_access(self._root):
                    if os.path.samestat(os.fstat(self._file.descriptor), os.stat(self._target)):
                        os.unlink(self._target)  # its bytes may not be on disk
                raise
            failpoint("blob.fsynced")
        return self.ref
