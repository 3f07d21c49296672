"""What the status of a C-STORE answer means, and how an error comment is encoded."""

from io import BytesIO

import pytest
from pynetdicom.dsutils import decode

from dicom_node.contexts import storage_classes, transfer_syntaxes
from dicom_node.receive.store_command import StoreCommand, encode_store_response
from dicom_node.statuses import SendOutcome, classify_status
from imaging.wire.part10 import data_set_offset, encode_head

MEANINGS = {
    SendOutcome.STORED: (0x0000, 0xB000, 0xB006, 0x0111, 0x0001, 0xA770),
    SendOutcome.TRANSIENT: (0xA700, 0xA7FF, 0x0110, 0x0213, 0x0124, 0x4711, 0xA77A),
    SendOutcome.HELD: (0xA771, 0xA774, 0xA779, 0xA900),
    SendOutcome.PERMANENT: (0xC000, 0xCFFF, 0x0122, 0x0117),
}


@pytest.mark.parametrize(("status", "expected"), [(status, outcome) for outcome, statuses in MEANINGS.items() for status in statuses])
def test_what_a_status_means(status: int, expected: SendOutcome) -> None:
    found, words = classify_status(status)
    assert found is expected
    assert words


def test_every_status_has_a_meaning() -> None:
    assert {classify_status(status)[0] for status in range(0x10000)} == set(SendOutcome)


def test_comments_are_short_ascii_and_single_valued() -> None:
    command = StoreCommand(7, "1.2.3", "1.2.3.4", complete=True)
    response = decode(BytesIO(encode_store_response(command, 0xC000, "Überlang \\ " + "x" * 100)), True, True)
    assert len(response.ErrorComment) <= 64
    assert response.ErrorComment.isascii()
    assert "\\" not in response.ErrorComment
    assert "ErrorComment" not in decode(BytesIO(encode_store_response(command, 0)), True, True)


def test_head_is_deterministic_and_well_formed() -> None:
    made = encode_head(sop_class_uid="1.2.3", sop_instance_uid="1.2.34", transfer_syntax_uid="1.2.840.10008.1.2.1")
    assert made == encode_head(sop_class_uid="1.2.3", sop_instance_uid="1.2.34", transfer_syntax_uid="1.2.840.10008.1.2.1")
    assert data_set_offset(made) == len(made)
    assert b"DICOMNODE" not in made
    with pytest.raises(ValueError, match="no Part 10"):
        data_set_offset(b"\0" * 200)


def test_supported_classes_and_transfer_syntaxes() -> None:
    assert len(storage_classes()) > 150
    assert len(set(transfer_syntaxes())) == len(transfer_syntaxes()) > 45
    for uid in ("1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.112"):
        assert uid in transfer_syntaxes()
    assert "1.2.840.10008.5.1.4.1.1.77.1.7" in storage_classes()
