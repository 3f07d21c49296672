"""How an image was compressed with loss: every image that is made from lossy ones states it (General Image module, PS3.3 C.7.6.1)."""

import os
from pathlib import Path

from pydicom.dataset import Dataset

from imaging.headers.instance_header import BEGINNING_BYTES
from imaging.pixels.lossy_compression import found_compression
from imaging.wire.fast_scan import NOT_PLAIN_ERRORS, read_raw_values
from imaging.wire.fast_values import plain_text
from imaging.wire.notes import warnings_as_notes
from imaging.wire.tolerant_parser import read_with_pixel_location, translate_parse_errors
from imaging.wire.tolerant_values import TolerantReader
from imaging.wire.transfer_syntaxes import MAY_BE_LOSSY
from workers.encode.source_images.attributes import copy_element

_KEYWORDS = ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod")
_TAG, _LOSSY = 0x00282110, "01"


def read_lossy_compression(path: Path) -> Dataset:
    """The attributes of lossy compression of a file, as its header or else its codestream states them; empty without loss."""
    if _plainly_without_loss(path):
        return Dataset()
    dataset, location = read_with_pixel_location(path)
    with translate_parse_errors("a header that cannot be read"), warnings_as_notes([]):
        return stated_compression(dataset, []) or found_compression(path, dataset, location)


def _plainly_without_loss(path: Path) -> bool:
    """Whether a plain file says so, in a transfer syntax without loss. Read without pydicom: a series has hundreds of files."""
    with open(path, "rb", buffering=0) as file:
        beginning, size_bytes = file.read(BEGINNING_BYTES), os.fstat(file.fileno()).st_size
    try:
        plain = read_raw_values(beginning, size_bytes, {_TAG: b"CS"})
        return plain_text(b"CS", plain.values.get(_TAG, b"")) != _LOSSY and plain.syntax.decode() not in MAY_BE_LOSSY
    except NOT_PLAIN_ERRORS:
        return False


def stated_compression(dataset: Dataset, dropped: list[str]) -> Dataset:
    """The attributes that a header states; an empty data set where it states no loss."""
    lossy = Dataset()
    for keyword in _KEYWORDS if TolerantReader(dataset, []).text(_KEYWORDS[0]) == _LOSSY else ():
        copy_element(dataset, keyword, lossy, dropped)
    return lossy
