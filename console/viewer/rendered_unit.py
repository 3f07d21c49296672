"""One unit that is being decoded, or lies decoded in the cache: what is known of it, and its pixels."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from console.viewer.earlier_slices import PIXELS
from console.viewer.render_unit import BYTES_OF, PICTURE

POLL_S = 0.002


class RenderedUnit:
    """What a render process has reported. The thread of the process writes it, the requests read it.

    Attributes
    ----------
    meta
        Description of the unit; None until its headers were read.
    failure
        Why it cannot be displayed, in words; "" unless it failed.
    finished
        Everything is decoded.
    want_others
        To be called when a slice is wanted that is not decoded: the render process then does not wait after the first one.
    """

    def __init__(self, folder: Path, meta: dict[str, Any] | None = None) -> None:
        self.folder = folder
        self.meta = meta
        self.failure = ""
        self.finished = meta is not None
        self.want_others: Callable[[], object] = lambda: None
        self._slices: set[int] = set()

    def add_slice(self, z: int) -> None:
        """Note that a slice can be read."""
        self._slices.add(z)

    def has_slices(self, first: int, count: int) -> bool:
        """Return whether these slices can be read."""
        return self.finished or all(z in self._slices for z in range(first, first + count))

    async def wait(self, ready: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until ``ready()`` holds or decoding has failed; False where the time ran out."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        while not (ready() or self.failure):
            if asyncio.get_running_loop().time() > deadline:
                return False
            await asyncio.sleep(POLL_S)
        return True

    async def wait_until_finished(self, timeout_s: float) -> bool:
        """Wait until everything is decoded or decoding has failed; False where the time ran out."""
        return await self.wait(lambda: self.finished, timeout_s)

    def read_slices(self, first: int, count: int) -> bytes:
        """Return the pixels of some slices, int16 little-endian or RGB. Raises OSError where the cache has lost them."""
        assert self.meta is not None
        _, rows, columns = self.meta["shape"]
        size = rows * columns * BYTES_OF[self.meta["values"]]
        with (self.folder / PIXELS).open("rb") as stream:
            content = os.pread(stream.fileno(), size * count, size * first)
        if len(content) != size * count:
            raise OSError("the cache is cut short")
        return content

    @property
    def picture(self) -> Path:
        """The PNG of a photograph."""
        return self.folder / PICTURE
