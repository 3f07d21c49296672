"""What answers mean, and that comments fit."""

from io import BytesIO

import pytest
from pynetdicom.dsutils import decode

from dicom_node.contexts import storage_classes, transfer_syntaxes
from dicom_node.receive.store_command import StoreCommand, store_response
from dicom_node.statuses import Verdict, verdict
from imaging.wire.part10 import data_set_offset, encode_head


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (0x0000, Verdict.STORED), (0xB000, Verdict.STORED), (0xB006, Verdict.STORED), (0x0111, Verdict.STORED), (0x0001, Verdict.STORED),
        (0xA700, Verdict.TRANSIENT), (0xA7FF, Verdict.TRANSIENT), (0x0110, Verdict.TRANSIENT), (0x0213, Verdict.TRANSIENT),
        (0x0124, Verdict.TRANSIENT), (0x4711, Verdict.TRANSIENT),
        (0xA770, Verdict.STORED), (0xA771, Verdict.HELD), (0xA774, Verdict.HELD), (0xA779, Verdict.HELD), (0xA77A, Verdict.TRANSIENT),
        (0xA900, Verdict.HELD), (0xC000, Verdict.PERMANENT), (0xCFFF, Verdict.PERMANENT), (0x0122, Verdict.PERMANENT),
        (0x0117, Verdict.PERMANENT),
    ],
)  # fmt: skip
def test_verdicts(status: int, expected: Verdict) -> None:
    found, words = verdict(status)
    assert found is expected
    assert words


def test_every_status_has_a_verdict() -> None:
    assert {verdict(status)[0] for status in range(0x10000)} == set(Verdict)


def test_comments_are_short_plain_and_single_valued() -> None:
    command = StoreCommand(7, "1.2.3", "1.2.3.4", complete=True)
    response = decode(BytesIO(store_response(command, 0xC000, "Überlang \\ " + "x" * 100)), True, True)
    assert len(response.ErrorComment) <= 64
    assert response.ErrorComment.isascii()
    assert "\\" not in response.ErrorComment
    assert "ErrorComment" not in decode(BytesIO(store_response(command, 0)), True, True)


def test_head_is_deterministic_and_well_formed() -> None:
    made = encode_head(sop_class_uid="1.2.3", sop_instance_uid="1.2.34", transfer_syntax_uid="1.2.840.10008.1.2.1")
    assert made == encode_head(sop_class_uid="1.2.3", sop_instance_uid="1.2.34", transfer_syntax_uid="1.2.840.10008.1.2.1")
    assert data_set_offset(made) == len(made)
    assert b"DICOMNODE" not in made
    with pytest.raises(ValueError, match="no Part 10"):
        data_set_offset(b"\0" * 200)


def test_what_is_offered() -> None:
    assert len(storage_classes()) > 150
    assert len(set(transfer_syntaxes())) == len(transfer_syntaxes()) > 45
    for uid in ("1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.112"):
        assert uid in transfer_syntaxes()
    assert "1.2.840.10008.5.1.4.1.1.77.1.7" in storage_classes()
