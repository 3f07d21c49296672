"""Who may associate; what kind of unit; whether a data set is what the command says."""

import pytest

from core.errors import IdentityMismatch
from core.policy.admission import (
    CALLED_NOT_RECOGNIZED,
    CALLING_NOT_RECOGNIZED,
    LOCAL_LIMIT_EXCEEDED,
    Rejection,
    Reporter,
    Standing,
    check_identity,
    judge_association,
    standing,
    unit_kind,
)
from core.records import InstanceHeader
from core.settings.sources import Source
from core.states import UnitKind

SOURCES = (
    Source(ae_title="PACS", host="10.0.0.0/8"),
    Source(ae_title="PACS", host="192.168.1.7"),
    Source(ae_title="SKIN", host="2001:db8::/32"),
)
CT = "1.2.840.10008.5.1.4.1.1.2"


def judge(calling: str, called: str, address: str, open_now: int = 0) -> Rejection | None:
    return judge_association(
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
def test_closed_by_default(calling: str, called: str, address: str, expected: tuple[int, int, int] | None) -> None:
    rejection = judge(calling, called, address)
    assert (None if rejection is None else (rejection.result, rejection.source, rejection.reason)) == expected


def test_the_limit_is_transient_and_only_for_those_who_may() -> None:
    assert judge("PACS", "DICOMNODE", "10.1.2.3", open_now=1) is None
    rejection = judge("PACS", "DICOMNODE", "10.1.2.3", open_now=2)
    assert rejection is not None
    assert (rejection.result, rejection.source, rejection.reason) == (2, 3, LOCAL_LIMIT_EXCEEDED)
    stranger = judge("X", "DICOMNODE", "10.1.2.3", open_now=2)
    assert stranger is not None
    assert stranger.reason == CALLING_NOT_RECOGNIZED


@pytest.mark.parametrize(
    ("calling", "address", "expected"),
    [
        ("ARCHIVE", "10.9.9.9", Standing(False, True)),
        ("ARCHIVE", "::ffff:10.9.9.9", Standing(False, True)),
        ("ARCHIVE", "10.9.9.8", Standing(False, False)),
        ("PACS", "10.1.2.3", Standing(True, True)),  # a source under the title of a destination: from wherever it may send
        ("PACS", "11.1.2.3", Standing(False, False)),
        ("SKIN", "2001:db8::5", Standing(True, False)),
        ("STRANGER", "10.9.9.9", Standing(False, False)),
    ],
)
def test_a_destination_may_come_with_answers(calling: str, address: str, expected: Standing) -> None:
    reporters = (Reporter("ARCHIVE", frozenset({"10.9.9.9"})), Reporter("PACS", frozenset({"10.8.8.8"})))
    assert standing(calling_ae=calling, address=address, sources=SOURCES, reporters=reporters) == expected
    rejection = judge_association(
        calling_ae=calling,
        called_ae="DICOMNODE",
        address=address,
        our_ae="DICOMNODE",
        sources=SOURCES,
        open_now=0,
        limit=1,
        reporters=reporters,
    )
    assert (rejection is None) == (expected.sends or expected.reports)


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


def test_identity() -> None:
    header = InstanceHeader(CT, "1.2.3", "1", "2", "1.2.840.10008.1.2.1")
    check_identity(sop_class_uid=CT, sop_instance_uid="1.2.3\0", abstract_syntax=CT, header=header)
    for changes in ({"sop_class_uid": "9"}, {"sop_instance_uid": "1.2.4"}, {"abstract_syntax": "9"}):
        values = {"sop_class_uid": CT, "sop_instance_uid": "1.2.3", "abstract_syntax": CT, **changes}
        with pytest.raises(IdentityMismatch, match="differ") as caught:
            check_identity(**values, header=header)
        assert caught.value.status == 0xA900
        assert "1.2" not in str(caught.value)
