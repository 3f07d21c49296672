"""One multi-frame image whose frames are read and decoded when they are asked for, as 8-bit RGB."""

from dataclasses import replace
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from core.errors import PixelError
from imaging.frames.frame_places import frame_places
from imaging.frames.held_file import HeldFile
from imaging.pixels.codestream import read_codestream
from imaging.pixels.colour import to_rgb
from imaging.pixels.decode import decode_frame
from imaging.pixels.grey import to_grey_rgb
from imaging.pixels.grey_attributes import GreyAttributes, Window, common_window, grey_attributes
from imaging.pixels.pixel_spec import pixel_spec
from imaging.wire.notes import add_note, warnings_as_notes
from imaging.wire.tolerant_parser import read_with_pixel_location, translate_parse_errors
from imaging.wire.tolerant_values import TolerantReader
from imaging.wire.transfer_syntaxes import NATIVE

MAX_FRAME_BYTES = 256 << 20
_UNLIMITED = 1 << 62  # the frames are never decoded together


class FrameFile:
    """A file with frames of one size.

    Attributes
    ----------
    path
        Where it lies.
    header
        The data set without its pixel data.
    spec
        Description of the pixel data; ``spec.frames`` is the number of frames.
    is_colour
        Whether the frames have colours: three samples, or a palette.
    tile_groups
        Begin and end, in the file, of the functional groups of the tiles of a whole slide, which the header lacks.
    notes
        What was wrong and tolerated, in words.
    """

    def __init__(self, path: Path) -> None:
        """Read the header and find the frames.

        Raises
        ------
        PixelError
            No pixel data, frames that are too large, or frames that cannot be found.
        CannotUnderstand
            The file is not DICOM.
        """
        self.path = path
        self.notes: list[str] = []
        self._lock = Lock()
        self._file = HeldFile(path)
        self.header, location = read_with_pixel_location(path, notes=self.notes)
        if location is None:
            raise PixelError("the instance holds no pixel data that can be read frame by frame", hint="send it uncompressed or as JPEG")
        self.spec = pixel_spec(self.header, vr=location.vr, max_bytes=_UNLIMITED)
        self._one = replace(self.spec, frames=1, extended_offsets=None)
        if self._one.decoded_bytes > MAX_FRAME_BYTES:
            raise PixelError(f"one frame would take {self._one.decoded_bytes} bytes, more than the {MAX_FRAME_BYTES} allowed")
        self.tile_groups = location.tile_groups
        self._places = frame_places(self._file, self.spec, location)
        with translate_parse_errors("a header that cannot be read"), warnings_as_notes(self.notes):
            read = TolerantReader(self.header, self.notes)
            self.sop_class_uid, self.sop_instance_uid = read.text("SOPClassUID"), read.text("SOPInstanceUID")
            self.image_type = tuple(part.upper() for part in read.texts("ImageType"))
            self.instance_number = read.integer("InstanceNumber") or 0
            self.laterality = (read.text("ImageLaterality") or read.text("Laterality")).upper()
        self.is_colour = self.spec.samples == 3 or self.spec.photometric == "PALETTE COLOR"
        self._grey: list[GreyAttributes] = []
        self._default_window: Window | None = None
        if not self.is_colour:
            with translate_parse_errors("a header that cannot be read"), warnings_as_notes(self.notes):
                self._grey = grey_attributes(self.header, self.spec.frames)
                self._default_window = common_window(self._grey, self._one)

    def content(self, begin: int, end: int) -> bytes:
        """The bytes of the file from ``begin`` to ``end``."""
        return self._file.read(begin, end - begin)

    def rgb(self, number: int) -> NDArray[np.uint8]:
        """(Y, X, 3) uint8 of a frame, counted from 1: colours as stored, grey values as the window of the frame shows them.

        An ICC profile is not applied, as readers of whole slides do not apply it either. Raises `PixelError`.
        """
        data = b"".join(self._file.read(offset, length) for offset, length in self._places[number - 1])
        stored, notes = decode_frame(self._one, data), list[str]()
        if self.is_colour:
            stream = None if self.spec.transfer_syntax_uid in NATIVE else read_codestream(data)
            shown = to_rgb(self.header, self._one, stored, stream, notes)
        else:
            shown = to_grey_rgb(self._grey[number - 1], self._one, stored, notes, self._default_window)
        if notes:
            with self._lock:
                for note in notes:
                    add_note(self.notes, note)
        return shown
