"""The pixel data of one CT file, read when they are first asked for."""

import threading
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from imaging.pixels.decode import decode_pixel_data
from imaging.pixels.lossy_compression import is_lossy
from imaging.pixels.pixel_spec import PixelSpec, pixel_data
from imaging.wire.tolerant_parser import read_with_pixel_location
from imaging.wire.tolerant_stream import PixelLocation


class PixelSource:
    """Stored values of a file's frames. Single frames are decoded at each call; a multi-frame image is decoded once and kept."""

    def __init__(self, path: Path, spec: PixelSpec, location: PixelLocation | None) -> None:
        """``location``: of the pixel data; None: the file is parsed again to find them."""
        self.path = path
        self.spec = spec
        self._location = location
        self._lock = threading.Lock()
        self._frames: NDArray[np.generic] | None = None

    def _read(self) -> bytes:
        if self._location is not None:
            with self.path.open("rb") as stream:
                return self._location.read(stream)
        return pixel_data(read_with_pixel_location(self.path, pixels=True)[0])

    def is_lossy(self) -> bool:
        """Whether the codestream says that the pixels were compressed with loss."""
        return is_lossy(self.path, self.spec, self._location)

    def frame(self, number: int) -> NDArray[np.generic]:
        """(Y, X) stored values of a frame, counted from 1. Raises `PixelError`."""
        if self.spec.frames == 1:
            return cast(NDArray[np.generic], decode_pixel_data(self.spec, self._read())[0])
        with self._lock:
            if self._frames is None:
                self._frames = decode_pixel_data(self.spec, self._read())
            frame: NDArray[np.generic] = self._frames[number - 1]
        return frame
