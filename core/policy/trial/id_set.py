"""A set of row numbers that takes about a bit for each, where most numbers of a range are in it."""

_CHUNK = 4096  # numbers that share one bytearray


class IdSet:
    """Row numbers, 0 and above. Studies or units of a trial may be a million: as Python integers in a set they would take 60 MB."""

    def __init__(self) -> None:
        self._chunks: dict[int, bytearray] = {}
        self._size = 0

    def add(self, number: int) -> None:
        """Add a number; without effect where it is in the set."""
        chunk, within = divmod(number, _CHUNK)
        byte, bit = divmod(within, 8)
        bits = self._chunks.setdefault(chunk, bytearray(_CHUNK // 8))
        if not bits[byte] >> bit & 1:
            bits[byte] |= 1 << bit
            self._size += 1

    def __contains__(self, number: int) -> bool:
        chunk, within = divmod(number, _CHUNK)
        byte, bit = divmod(within, 8)
        return chunk in self._chunks and bool(self._chunks[chunk][byte] >> bit & 1)

    def __len__(self) -> int:
        return self._size
