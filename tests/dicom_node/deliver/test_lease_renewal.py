"""The leases of deliveries are renewed while their objects are sent, also within the sending of one object."""

import threading
from collections.abc import Callable

import pytest

from db.blobs.store import Blobs
from db.engine import Database
from dicom_node.deliver import lease_renewal
from tests.dicom_node.conftest import MakeSettings
from tests.support.records import scalar
from tests.support.send_role import QUICK_RETRIES, delivery_states, destination, running_sender, wait_for
from tests.support.storage_scp import Pacs, running


def test_leases_are_renewed_while_one_object_is_sent(
    database: Database, blobs: Blobs, make_settings: MakeSettings, make_report: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_renewal, "RENEWALS", 1000)  # every 0.12 s
    for _ in range(2):
        make_report("pacs")
    leases = "SELECT min(lease_until) FROM deliveries WHERE state = 'sending'"
    answer = threading.Event()
    with (
        running(Pacs(answers_after=answer)) as pacs,
        running_sender(make_settings(destinations=[destination(pacs.port)], delivery=QUICK_RETRIES), database, blobs),
    ):
        wait_for(lambda: pacs.calls == 1)
        before = scalar(database, leases)
        wait_for(lambda: scalar(database, leases) > before)  # type: ignore[operator]
        assert pacs.calls == 1, "it is the first object"
        answer.set()
        wait_for(lambda: [row[1] for row in delivery_states(database)] == ["stored"] * 2)
