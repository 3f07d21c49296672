"""Inflating within a bound. A deflated data set of a megabyte may inflate to a gigabyte (PS3.5 A.5, RFC 1951)."""

import zlib

from core.errors import OverBudget

HEADER_BYTES = 16 << 20  # in front of the pixel data
# With pixel data. 100 MB take a second, and a deflated instance is held in memory as a whole.
MAX_INFLATED_BYTES = 256 << 20


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
        raise OverBudget(f"a deflated data set inflates to more than {max_bytes} bytes", hint="send it with another transfer syntax")
    return inflater.content
