"""A file of ``tmp`` that has the name of a blob as well, neither its bytes nor its name safe before ``sync``.

Naming and fsync are two acts, so that a row can be written while the disk works; it is committed behind both (decision 0038).
"""

import errno
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from core.failpoints import failpoint
from db.blobs.file_system import beside_others, fsync_folder, storage_errors
from db.blobs.temporary_file import Temporary
from db.records import BlobRef

NO_HARD_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK})


def link(source: str, target: str) -> bool:
    """Give the file a second name; its folder is made where it is not there. False where the name is taken, or cannot be given."""
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


class Named:
    """``mine``: the name is this file's already, and not another's."""

    def __init__(self, ref: BlobRef, file: Temporary, target: str, root: str, *, mine: bool, ordered: bool) -> None:
        self.ref = ref
        self._file = file
        self._target = target
        self._mine = mine
        self._ordered = ordered
        self._root = root

    def sync(self) -> BlobRef:
        """One fsync for bytes and name, where the file system keeps that order (decision 0029): safe when this returns. Once.

        Raises
        ------
        StorageError
            The disk did not take it: the name goes, unless it is another's.
        """
        with storage_errors("the blob cannot be written"):
            try:
                os.fsync(self._file.descriptor)
                if not self._mine:  # what is there may be damaged, or another's that is not safe yet: ours is, and takes its place
                    with beside_others(self._root):
                        os.replace(self._file.path, self._target)
                if not (self._mine and self._ordered):
                    folder = Path(self._target).parent
                    fsync_folder(folder)
                    fsync_folder(folder.parent)  # another process may have made the folder and not be here yet
            except OSError:
                with suppress(FileNotFoundError), beside_others(self._root):
                    if os.path.samestat(os.fstat(self._file.descriptor), os.stat(self._target)):
                        os.unlink(self._target)  # its bytes may not be on disk
                raise
            failpoint("blob.fsynced")
        self.close()
        return self.ref

    def close(self) -> None:
        """The temporary name goes. Without ``sync`` before, the blob is not kept: its name is swept later. Harmless twice."""
        self._file.discard()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
