"""Headers of data sets that are whole: what a sender is answered Success for, it may delete (decision 0054).

Refused is what a cut can have left: a data set that ends within an element, and an image without pixel data. What arrived as a whole and
contradicts itself, such as fewer frames than its header says, is not the concern of this module.
"""

from dataclasses import replace
from pathlib import Path

from pydicom._uid_dict import UID_dictionary

from core.errors import CannotUnderstand
from core.records import InstanceHeader
from imaging.headers.fast_header import read_plain_file
from imaging.headers.instance_header import header_of
from imaging.limits.bounded_inflate import InflatedPieces
from imaging.wire.data_set_end import DataSetWalk, FilePieces, cut_short, is_explicit
from imaging.wire.deflated import deflated_data_set_offset
from imaging.wire.part10 import data_set_offset
from imaging.wire.tolerant_parser import read_with_pixel_location, translate_parse_errors
from imaging.wire.transfer_syntaxes import IMPLICIT_VR_LITTLE_ENDIAN, WITH_CODESTREAM

NO_DELIMITER = "the pixel data lack their sequence delimiter"  # among what was tolerated

_HEAD_BYTES = 4096  # of a file: preamble and file meta information
_UNREADABLE = "a data set that cannot be followed to its end"
# Each instance of these has pixel data (PS3.3 C.7.6.3): the classes that PS3.6 table A-1 calls images, and four others.
_WITH_PIXEL_DATA = frozenset(uid for uid, entry in UID_dictionary.items() if entry[1] == "SOP Class" and "Image Storage" in entry[0]) | {
    "1.2.840.10008.5.1.4.1.1.6.2",  # Enhanced US Volume
    "1.2.840.10008.5.1.4.1.1.30",  # Parametric Map
    "1.2.840.10008.5.1.4.1.1.66.4",  # Segmentation
    "1.2.840.10008.5.1.4.1.1.66.7",  # Label Map Segmentation
}


def read_plain_whole_header(path: Path | str, beginning: bytes, size_bytes: int) -> InstanceHeader | None:
    """The header of a plain, well-formed file; None for a file that `read_whole_header` has to read.

    The file is opened only where more follows its pixel data than their declared length, which is undefined for compressed ones.

    Parameters
    ----------
    beginning, size_bytes
        The first 64 KiB of the file at ``path``, or all of it, and its length.

    Raises
    ------
    CannotUnderstand
        The data set is not whole.
    """
    found = read_plain_file(beginning, size_bytes)
    if found is None:
        return None
    header, plain = found
    if plain.pixels is None:
        _check_pixel_data(header, there=False)
        return header
    offset, length = plain.pixels
    if length is not None and offset + length == size_bytes:
        return header
    with open(path, "rb", buffering=0) as file, translate_parse_errors(_UNREADABLE):
        explicit = header.transfer_syntax_uid != IMPLICIT_VR_LITTLE_ENDIAN
        return _walk_from_pixel_data(FilePieces(file.fileno(), size_bytes), header, offset, length, explicit=explicit, little=True)


def read_whole_header(path: Path) -> InstanceHeader:
    """As `imaging.headers.instance_header.read_header_tolerantly`, of a Part 10 file that is whole.

    Raises
    ------
    CannotUnderstand
        As there, or the data set is not whole.
    OverBudget
        It has more elements, items, fragments or inflated bytes than any real instance.
    """
    notes: list[str] = []
    dataset, pixels = read_with_pixel_location(path, notes=notes)
    header = header_of(dataset, notes)
    with path.open("rb", buffering=0) as file, translate_parse_errors(_UNREADABLE):
        deflated_at = deflated_data_set_offset(file)
        if deflated_at is not None:
            _walk_deflated(InflatedPieces(file.fileno(), deflated_at), header)
            return header
        pieces = FilePieces(file.fileno(), path.stat().st_size)
        try:
            start = data_set_offset(pieces.read(0, _HEAD_BYTES))
        except (ValueError, IndexError) as error:
            raise CannotUnderstand("the DICOM file has no file meta information with a group length (PS3.10 7.1)") from error
        explicit, little = is_explicit(pieces, start), dataset.original_encoding[1] is not False
        if pixels is not None:
            return _walk_from_pixel_data(pieces, header, pixels.offset, pixels.length, explicit=explicit, little=little)
        walk = DataSetWalk(pieces, explicit=explicit, little=little)
        walk.from_element(start)
        _check_pixel_data(header, there=walk.has_pixel_data)
    return header


def _walk_from_pixel_data(
    pieces: FilePieces, header: InstanceHeader, offset: int, length: int | None, *, explicit: bool, little: bool
) -> InstanceHeader:
    walk = DataSetWalk(pieces, explicit=explicit, little=little)
    walk.from_pixel_data(offset, length)
    if not walk.lacks_delimiter:
        return header
    if header.transfer_syntax_uid in WITH_CODESTREAM and walk.has_one_frame_in_each_fragment(offset, header.number_of_frames):
        return replace(header, tolerated=(*header.tolerated, NO_DELIMITER))
    raise cut_short("its pixel data lack their delimiter")


def _walk_deflated(pieces: InflatedPieces, header: InstanceHeader) -> None:
    walk = DataSetWalk(pieces, explicit=is_explicit(pieces, 0), little=True)
    walk.from_element(0)
    if pieces.ends_early:
        raise cut_short("its deflated bytes have no end")
    if walk.lacks_delimiter:
        raise cut_short("its pixel data lack their delimiter")
    _check_pixel_data(header, there=walk.has_pixel_data)


def _check_pixel_data(header: InstanceHeader, *, there: bool) -> None:
    if not there and header.sop_class_uid in _WITH_PIXEL_DATA:
        raise cut_short("the image has no pixel data")
