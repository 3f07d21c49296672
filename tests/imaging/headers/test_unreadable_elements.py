"""Headers with elements that cannot be read (cases found by tests/fuzz)."""

import io
import struct
import time
from itertools import islice

import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from core.errors import CannotUnderstand
from imaging.headers.instance_header import read_header
from imaging.headers.unreadable_elements import MAX_DEPTH, drop_unreadable_elements
from imaging.wire.tolerant_values import TolerantReader
from tests.support.series import encoded, image


@pytest.mark.parametrize(
    "unit", [struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF), struct.pack("<HH2sHL", 0x41, 0x1010, b"UN", 0, 0xFFFFFFFF)]
)
def test_reading_of_values_without_end_is_bounded(unit: bytes) -> None:
    """A megabyte of such values took minutes: pydicom searched for the end of each up to the end of the file."""
    opened = struct.pack("<HH2sHL", 0x0040, 0xA730, b"SQ", 0, 0xFFFFFFFF) if unit.startswith(b"\xfe") else b""
    content = encoded(image(PixelData=None)) + opened + unit * (800_000 // len(unit))
    began = time.process_time()
    with pytest.raises(CannotUnderstand):
        read_header(io.BytesIO(content))
    assert time.process_time() - began < 2.0


def test_undecodable_elements_are_removed_and_noted() -> None:
    broken = Dataset()
    broken.PatientID = "P"
    item = Dataset()
    item.CodeMeaning = "kept"
    item._dict[BaseTag(0x00080100)] = RawDataElement(BaseTag(0x00080100), "FD", 3, b"abc", 0, False, True)
    broken.ProcedureCodeSequence = [item]
    broken._dict[BaseTag(0x00200010)] = RawDataElement(BaseTag(0x00200010), "UV", 5, b"abcde", 0, False, True)
    notes: list[str] = []
    broken._dict[BaseTag(0x00082218)] = RawDataElement(BaseTag(0x00082218), "US", 2, b"ab", 0, False, True)
    left = drop_unreadable_elements(broken, notes)
    assert sorted(element.keyword for element in left.iterall()) == ["CodeMeaning", "PatientID", "ProcedureCodeSequence"]
    assert "an element that cannot be read was left out" in notes


def test_deeply_nested_items_are_removed() -> None:
    deep = Dataset()
    inner = deep
    for _ in range(3 * MAX_DEPTH):
        inner.ContentSequence = [Dataset()]
        inner = inner.ContentSequence[0]
    notes: list[str] = []
    assert len(list(islice(drop_unreadable_elements(deep, notes).iterall(), 100))) == MAX_DEPTH
    assert notes == ["sequences nested too deep were left out"]


def test_a_sequence_in_place_of_a_number_is_no_value() -> None:
    """Its items may hold values that cannot be decoded, which only fails when they are written."""
    item = Dataset()
    item._dict[BaseTag(0x00200010)] = RawDataElement(BaseTag(0x00200010), "UV", 5, b"abcde", 0, False, True)
    odd = Dataset()
    odd.add_new(0x00280010, "SQ", [item])
    notes: list[str] = []
    read = TolerantReader(odd, notes)
    assert (read.integer("Rows"), read.text("Rows"), read.texts("Rows")) == (None, "", ())
    assert notes == ["Rows cannot be read"]
