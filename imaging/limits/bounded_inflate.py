"""Inflating within a bound. A deflated data set of a megabyte may inflate to a gigabyte (PS3.5 A.5, RFC 1951)."""

import os
import zlib

from core.errors import OverBudget

HEADER_BYTES = 16 << 20  # in front of the pixel data
# With pixel data. 100 MB take a second, and a deflated instance is held in memory as a whole.
MAX_INFLATED_BYTES = 256 << 20
_PIECE_BYTES = 1 << 18
_HINT = "send it with another transfer syntax"


class Inflater:
    """Inflates a deflated data set step by step, each byte once.

    Attributes
    ----------
    content
        What was inflated so far.
    """

    def __init__(self, packed: bytes) -> None:
        """``packed``: the deflated data set, without a header of zlib or gzip."""
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        self._packed = packed
        self.content = b""

    def inflate_to(self, size_bytes: int) -> None:
        """Inflate until ``content`` has that length, or all of it. Raises zlib.error where the data are not deflated."""
        more = size_bytes - len(self.content)
        if more > 0 and not self._inflater.eof:
            part = self._inflater.decompress(self._packed, more)
            self._packed = self._inflater.unconsumed_tail
            self.content = self.content + part if self.content else part

    @property
    def is_whole(self) -> bool:
        """Whether there is nothing left to inflate."""
        return self._inflater.eof or not self._packed

    @property
    def ends_early(self) -> bool:
        """Whether the deflated data end before their end marker."""
        return not self._inflater.eof and not self._packed


def inflate(packed: bytes, max_bytes: int = MAX_INFLATED_BYTES) -> bytes:
    """Inflate all at once.

    Raises
    ------
    OverBudget
        It has more than ``max_bytes``.
    zlib.error
        The data are not deflated.
    """
    inflater = Inflater(packed)
    inflater.inflate_to(max_bytes)
    if not inflater.is_whole:
        raise OverBudget(f"a deflated data set inflates to more than {max_bytes} bytes", hint=_HINT)
    return inflater.content


class InflatedPieces:
    """A deflated data set, inflated piece by piece in constant memory. No read may begin before the one in front of it.

    Its methods raise `OverBudget` where it has more than ``max_bytes``, and zlib.error where the data are not deflated.
    """

    def __init__(self, descriptor: int, offset: int, max_bytes: int = MAX_INFLATED_BYTES) -> None:
        """``offset``: where the deflated data set begins in the open file."""
        self._descriptor, self._offset, self._max_bytes = descriptor, offset, max_bytes
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        self._packed = self._piece = b""
        self._begin = 0

    @property
    def size_bytes(self) -> int:
        """How much was inflated: the length of the data set once a read has returned fewer bytes than it was asked for."""
        return self._begin + len(self._piece)

    @property
    def ends_early(self) -> bool:
        """Whether no end marker of the deflated data was found; asked when all was read."""
        return not self._inflater.eof

    def read(self, at: int, size: int) -> bytes:
        """``size`` bytes of the inflated data set from ``at``; fewer where it ends before."""
        while self.size_bytes < at + size and (more := self._inflate()):
            passed = min(at - self._begin, len(self._piece))
            self._piece, self._begin = self._piece[passed:] + more, self._begin + passed
            if self.size_bytes > self._max_bytes:
                raise OverBudget(f"a deflated data set inflates to more than {self._max_bytes} bytes", hint=_HINT)
        return self._piece[at - self._begin : at - self._begin + size]

    def _inflate(self) -> bytes:
        """The next bytes; b"" at the end."""
        content = b""
        while not content and not self._inflater.eof:
            packed = self._packed or os.pread(self._descriptor, _PIECE_BYTES, self._offset)
            if not self._packed:
                self._offset += len(packed)
            content = self._inflater.decompress(packed, _PIECE_BYTES)  # without further input, too, it may have some left
            self._packed = self._inflater.unconsumed_tail
            if not packed:
                break
        return content
