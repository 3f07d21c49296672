"""Admission of associations, kinds of units, and the check of a data set against its command."""

import pytest

from core.errors import IdentityMismatch
from core.policy.admission import (
    CALLED_NOT_RECOGNIZED,
    CALLING_NOT_RECOGNIZED,
    LOCAL_LIMIT_EXCEEDED,
    CallerRights,
    Rejection,
    ReportingPeer,
    caller_rights,
    check_association,
    check_identity,
    unit_kind,
)
from core.records import InstanceHeader
from core.settings.peers.sources import Source
from core.states import UnitKind

SOURCES = (
    Source(ae_title="PACS", host="10.0.0.0/8"),
    Source(ae_title="PACS", host="192.168.1.7"),
    Source(ae_title="SKIN", host="2001:db8::/32"),
)
CT = "1.2.840.10008.5.1.4.1.1.2"


def check(calling: str, called: str, address: str, open_now: int = 0) -> Rejection | None:
    return check_association(
        calling_ae=calling, called_ae=called, address=address, our_ae="DICOMNODE", sources=SOURCES, open_now=open_now, limit=2
    )


@pytest.mark.parametrize(
    ("calling", "called", "address", "expected"),
    [
        ("PACS", "DICOMNODE", "10.1.2.3", None),
        ("PACS ", " DICOMNODE", "192.168.1.7", None),
        ("PACS", "DICOMNODE", "::ffff:10.1.2.3", None),
        ("SKIN", "DICOMNODE", "2001:db8::5%eth0", None),
        ("PACS", "DICOMNODE", "192.168.1.8", (1, 1, CALLING_NOT_RECOGNIZED)),
        ("SKIN", "DICOMNODE", "10.1.2.3", (1, 1, CALLING_NOT_RECOGNIZED)),
        ("pacs", "DICOMNODE", "10.1.2.3", (1, 1, CALLING_NOT_RECOGNIZED)),
        ("", "DICOMNODE", "10.1.2.3", (1, 1, CALLING_NOT_RECOGNIZED)),
        ("PACS", "OTHER", "10.1.2.3", (1, 1, CALLED_NOT_RECOGNIZED)),
        ("STRANGER", "", "1.1.1.1", (1, 1, CALLED_NOT_RECOGNIZED)),
    ],
)
def test_only_configured_peers_are_accepted(calling: str, called: str, address: str, expected: tuple[int, int, int] | None) -> None:
    rejection = check(calling, called, address)
    assert (None if rejection is None else (rejection.result, rejection.source, rejection.reason)) == expected


def test_over_the_limit_a_known_peer_is_rejected_as_transient() -> None:
    assert check("PACS", "DICOMNODE", "10.1.2.3", open_now=1) is None
    rejection = check("PACS", "DICOMNODE", "10.1.2.3", open_now=2)
    assert rejection is not None
    assert (rejection.result, rejection.source, rejection.reason) == (2, 3, LOCAL_LIMIT_EXCEEDED)
    unknown = check("X", "DICOMNODE", "10.1.2.3", open_now=2)
    assert unknown is not None
    assert unknown.reason == CALLING_NOT_RECOGNIZED


@pytest.mark.parametrize(
    ("calling", "address", "expected"),
    [
        ("ARCHIVE", "10.9.9.9", CallerRights(False, True)),
        ("ARCHIVE", "::ffff:10.9.9.9", CallerRights(False, True)),
        ("ARCHIVE", "10.9.9.8", CallerRights(False, False)),
        (
            "PACS",
            "10.1.2.3",
            CallerRights(True, True),
        ),  # a source with that title
        ("PACS", "11.1.2.3", CallerRights(False, False)),
        ("SKIN", "2001:db8::5", CallerRights(True, False)),
        ("STRANGER", "10.9.9.9", CallerRights(False, False)),
    ],
)
def test_a_destination_may_report_storage_commitment(calling: str, address: str, expected: CallerRights) -> None:
    reporters = (ReportingPeer("ARCHIVE", frozenset({"10.9.9.9"})), ReportingPeer("PACS", frozenset({"10.8.8.8"})))
    assert caller_rights(calling_ae=calling, address=address, sources=SOURCES, reporters=reporters) == expected
    rejection = check_association(
        calling_ae=calling,
        called_ae="DICOMNODE",
        address=address,
        our_ae="DICOMNODE",
        sources=SOURCES,
        open_now=0,
        limit=1,
        reporters=reporters,
    )
    assert (rejection is None) == (expected.may_store or expected.may_report)


@pytest.mark.parametrize(
    ("sop_class", "kind"),
    [
        ("1.2.840.10008.5.1.4.1.1.77.1.7", UnitKind.IMAGE),
        ("1.2.840.10008.5.1.4.1.1.77.1.4", UnitKind.IMAGE),
        ("1.2.840.10008.5.1.4.1.1.77.1.5.1", UnitKind.IMAGE),
        ("1.2.840.10008.5.1.4.1.1.77.1.6", UnitKind.SERIES),
        (CT, UnitKind.SERIES),
        ("1.2.840.10008.5.1.4.1.1.2.1", UnitKind.SERIES),
        ("", UnitKind.SERIES),
    ],
)
def test_unit_kind(sop_class: str, kind: UnitKind) -> None:
    assert unit_kind(sop_class) is kind


def test_a_data_set_that_is_not_what_its_command_says_is_refused() -> None:
    header = InstanceHeader(CT, "1.2.3", "1", "2", "1.2.840.10008.1.2.1")
    check_identity(sop_class_uid=CT, sop_instance_uid="1.2.3\0", abstract_syntax=CT, header=header)
    for changes in ({"sop_class_uid": "9"}, {"sop_instance_uid": "1.2.4"}, {"abstract_syntax": "9"}):
        values = {"sop_class_uid": CT, "sop_instance_uid": "1.2.3", "abstract_syntax": CT, **changes}
        with pytest.raises(IdentityMismatch, match="differ") as caught:
            check_identity(**values, header=header)
        assert caught.value.status == 0xA900
        assert "1.2" not in str(caught.value)
