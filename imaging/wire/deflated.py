"""Data sets in Deflated Explicit VR Little Endian (PS3.5 A.5): found and inflated within a bound."""

import io
import zlib
from typing import BinaryIO

from pydicom.dataset import Dataset, FileDataset
from pydicom.filereader import read_dataset as parse_dataset
from pydicom.filereader import read_partial

from core.errors import CannotUnderstand
from imaging.wire.data_elements import VRS_WITH_LONG_LENGTH
from imaging.wire.notes import add_note
from imaging.wire.tolerant_stream import StopAtPixelData, bound_reading
from imaging.wire.transfer_syntaxes import DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN

MAX_INFLATED_BYTES = 512 << 20
_HEADER_BYTES = 4 << 20  # inflated first: a header rarely needs more, and its pixels stay deflated
_LONG_VRS = frozenset(vr.encode() for vr in VRS_WITH_LONG_LENGTH)


def deflated_data_set_offset(stream: BinaryIO) -> int | None:
    """Where the deflated data set starts; None if the file meta information names another transfer syntax.

    The stream is read from its start and left there.
    """
    head = stream.read(4096)
    stream.seek(0)
    at = 132 if head[128:132] == b"DICM" else 0
    deflated = False
    while head[at : at + 2] == b"\x02\x00" and at + 12 <= len(head):
        if head[at + 4 : at + 6] in _LONG_VRS:
            start, size = at + 12, int.from_bytes(head[at + 8 : at + 12], "little")
        else:
            start, size = at + 8, int.from_bytes(head[at + 6 : at + 8], "little")
        if head[at + 2 : at + 4] == b"\x10\x00":
            deflated = head[start : start + size].rstrip(b"\0 ") == DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN.encode()
        at = start + size
    return at if deflated else None


def parse_deflated(stream: BinaryIO, data_set_offset: int, stop: StopAtPixelData, notes: list[str], max_inflated_bytes: int) -> Dataset:
    """Inflate and parse. Without pixels only as much is inflated as the header needs.

    Raises
    ------
    CannotUnderstand
        The data set inflates to more than ``max_inflated_bytes``.
    """
    meta = read_partial(io.BytesIO(stream.read(data_set_offset)), force=True)
    packed = stream.read()
    for bound in (min(_HEADER_BYTES, max_inflated_bytes), max_inflated_bytes):
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        plain = inflater.decompress(packed, bound)
        if not inflater.eof and not inflater.unconsumed_tail:
            add_note(notes, "the deflated data set ends early")
        whole = inflater.eof or not inflater.unconsumed_tail
        if not whole and bound == max_inflated_bytes:
            raise CannotUnderstand(
                f"a deflated data set inflates to more than {max_inflated_bytes} bytes", hint="send it with another transfer syntax"
            )
        if not whole and stop.read_pixels:
            continue
        buffer = io.BytesIO(plain)
        try:
            dataset = parse_dataset(bound_reading(buffer), False, True, stop_when=stop)
        except EOFError:
            if whole:
                raise
            continue
        if whole or stop.location is not None:
            break
    result = FileDataset(buffer, dataset, meta.preamble, meta.file_meta, False, True)
    result.set_original_encoding(False, True, dataset._character_set)
    return result
