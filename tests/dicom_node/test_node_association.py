"""The mark of a waiting reactor, at both ends of an association."""

import threading
from collections.abc import Callable

import pytest
from pynetdicom import AE
from pynetdicom.association import MODE_ACCEPTOR, MODE_REQUESTOR, Association

from dicom_node.receive.accepted_association import AcceptedAssociation
from dicom_node.requested_association import RequestedAssociation


def _requested() -> Association:
    association = Association(AE("PACS"), MODE_REQUESTOR)
    RequestedAssociation.prepare(association)
    return association


@pytest.mark.parametrize("make", [_requested, lambda: AcceptedAssociation(AE("NODE"), MODE_ACCEPTOR)], ids=["requested", "accepted"])
def test_only_the_thread_of_the_association_changes_the_mark(make: Callable[[], Association], monkeypatch: pytest.MonkeyPatch) -> None:
    association = make()
    association._is_paused = True
    assert not association._is_paused
    with monkeypatch.context() as within:
        within.setattr(threading, "current_thread", lambda: association)
        association._is_paused = True
    association._is_paused = False
    assert association._is_paused, "as the thread of a report does at its end"


def test_nothing_waits_for_an_association_that_has_ended() -> None:
    association = _requested()
    association._kill = True
    assert association._is_paused
