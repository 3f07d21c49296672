"""Ends a worker whose children cannot start, with their reason, instead of starting others for ever.

Parent and children share one page of memory, which each child inherits. A child that has started sets the count to zero.
"""

import mmap
import os
import signal
import struct

from core.errors import NodeError

MOST_FAILURES = 3  # in a row
_COUNT, _LENGTH = struct.Struct("<L"), struct.Struct("<H")
_TEXT_AT = _COUNT.size + _LENGTH.size
_MAX_TEXT_BYTES = 1000


class StartFailures:
    """How often children could not start since the last one that could, and why. Made in the parent, before it forks."""

    def __init__(self) -> None:
        self._page = mmap.mmap(-1, mmap.PAGESIZE)

    @property
    def reason(self) -> str:
        """Why the worker has to end; "" while it may go on."""
        if _COUNT.unpack_from(self._page, 0)[0] < MOST_FAILURES:
            return ""
        (length,) = _LENGTH.unpack_from(self._page, _COUNT.size)
        return bytes(self._page[_TEXT_AT : _TEXT_AT + length]).decode(errors="replace")

    def add(self, error: Exception, text: str) -> None:
        """A child could not start. After too many in a row it tells its parent to stop. Errors that may pass do not count."""
        if isinstance(error, NodeError) and not error.permanent:
            return
        content = text.encode()[:_MAX_TEXT_BYTES]
        self._page[_TEXT_AT : _TEXT_AT + len(content)] = content
        _LENGTH.pack_into(self._page, _COUNT.size, len(content))
        _COUNT.pack_into(self._page, 0, _COUNT.unpack_from(self._page, 0)[0] + 1)
        if self.reason:
            os.kill(os.getppid(), signal.SIGTERM)

    def reset(self) -> None:
        """A child has started."""
        _COUNT.pack_into(self._page, 0, 0)
