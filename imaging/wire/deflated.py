"""Data sets in Deflated Explicit VR Little Endian (PS3.5 A.5): found and inflated within a bound."""

import io
from typing import BinaryIO

from pydicom.dataset import Dataset, FileDataset
from pydicom.filereader import read_dataset as parse_dataset
from pydicom.filereader import read_partial

from core.errors import OverBudget
from imaging.limits.bounded_inflate import HEADER_BYTES, Inflater
from imaging.limits.work_budget import current_budget
from imaging.wire.data_elements import VRS_WITH_LONG_LENGTH
from imaging.wire.notes import add_note
from imaging.wire.tolerant_stream import StopAtPixelData, bound_reading
from imaging.wire.transfer_syntaxes import DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN

_FIRST_BYTES = 1 << 20  # inflated first: a header rarely needs more, and its pixels stay deflated
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


def parse_deflated(stream: BinaryIO, data_set_offset: int, *, pixels: bool, notes: list[str], max_inflated_bytes: int) -> Dataset:
    """Inflate and parse. Without pixels only as much is inflated as the header needs.

    Raises
    ------
    OverBudget
        The header inflates to more than 16 MiB, or all of it to more than ``max_inflated_bytes``.
    """
    meta = read_partial(io.BytesIO(stream.read(data_set_offset)), force=True)
    inflater = Inflater(stream.read())
    dataset, end = _parse_header(inflater, min(HEADER_BYTES, max_inflated_bytes))
    if pixels and end is not None:
        inflater.inflate_to(max_inflated_bytes)
        if not inflater.is_whole:
            raise _over_budget(max_inflated_bytes)
        rest = io.BytesIO(inflater.content)
        rest.seek(end)
        dataset.update(parse_dataset(bound_reading(rest), False, True))
    if inflater.ends_early:
        add_note(notes, "the deflated data set ends early")
    result = FileDataset(io.BytesIO(inflater.content), dataset, meta.preamble, meta.file_meta, False, True)
    result.set_original_encoding(False, True, dataset._character_set)
    return result


def _parse_header(inflater: Inflater, max_bytes: int) -> tuple[Dataset, int | None]:
    """The elements in front of the pixel data, and where these start; None where there are none."""
    for bound in (min(_FIRST_BYTES, max_bytes), max_bytes):
        inflater.inflate_to(bound)
        buffer = io.BytesIO(inflater.content)
        stop = StopAtPixelData(buffer, read_pixels=False)
        try:
            dataset = parse_dataset(bound_reading(buffer), False, True, stop_when=stop)
        except EOFError:
            if inflater.is_whole:
                raise
            continue
        if stop.location is not None:
            return dataset, buffer.tell()
        if inflater.is_whole:
            return dataset, None
    raise _over_budget(max_bytes, " before its pixel data")


def _over_budget(max_bytes: int, where: str = "") -> OverBudget:
    return current_budget().refuse(f"more than {max_bytes} inflated bytes{where}")
