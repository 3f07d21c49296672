"""Definitions of data elements agree with pydicom's, and encoded elements are those that pydicom reads."""

import io

import pytest
from pydicom import dcmread
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32, STANDARD_VR

from imaging.wire.data_elements import (
    MAX_SHORT_LENGTH,
    VRS_WITH_LONG_LENGTH,
    VRS_WITH_SHORT_LENGTH,
    encode_element,
    encode_item,
    encode_uid,
    pad_to_even,
)
from imaging.wire.part10 import data_set_offset, encode_head
from imaging.wire.transfer_syntaxes import EXPLICIT_VR_LITTLE_ENDIAN


def test_length_fields_are_those_of_the_standard() -> None:
    long = {str(vr) for vr in EXPLICIT_VR_LENGTH_32}
    assert long == VRS_WITH_LONG_LENGTH
    assert {str(vr) for vr in STANDARD_VR} - long == VRS_WITH_SHORT_LENGTH


def test_encoded_elements_are_read_by_pydicom() -> None:
    head = encode_head(sop_class_uid="1.2.3", sop_instance_uid="1.2.34", transfer_syntax_uid=EXPLICIT_VR_LITTLE_ENDIAN)
    item = encode_item(encode_element(0x00080100, "SH", pad_to_even(b"T-1")))
    elements = encode_element(0x00080018, "UI", encode_uid("1.2.34")) + encode_element(0x00081032, "SQ", item)
    dataset = dcmread(io.BytesIO(head + elements))
    assert data_set_offset(head + elements) == len(head)
    assert (dataset.file_meta.MediaStorageSOPClassUID, dataset.SOPInstanceUID) == ("1.2.3", "1.2.34")
    assert dataset.ProcedureCodeSequence[0].CodeValue == "T-1"


def test_a_value_longer_than_its_length_field_is_refused() -> None:
    assert len(encode_element(0x00104000, "LT", b" " * MAX_SHORT_LENGTH)) == 8 + MAX_SHORT_LENGTH
    with pytest.raises(ValueError, match="65536 bytes"):
        encode_element(0x00104000, "LT", b" " * 65536)
