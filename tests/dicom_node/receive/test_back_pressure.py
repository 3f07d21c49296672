"""Receiving pauses before disk or queue are full, and resumes by itself; senders get the reason; begin and end are one event each."""

import socket
import struct
from collections.abc import Callable

import pytest

from core.settings.settings import Settings
from db import counters
from db.blobs.store import Blobs
from db.engine import Database
from db.operations import alerts
from dicom_node.receive.back_pressure import BackPressure
from imaging.wire.part10 import data_set_offset
from tests.dicom_node.conftest import MakeSettings, Running
from tests.fuzz.raw_association import AC, RELEASE, RELEASE_RP, RJ, associate_rq, context
from tests.support.node_process import wait_until
from tests.support.records import Sender, complete, rows
from tests.support.series import encoded, image
from tests.support.storage_scu import associated, send, store_bytes

pytestmark = pytest.mark.services
CT, EXPLICIT, ECHO, COMMITMENT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.1", "1.2.840.10008.1.20.1"
Start = Callable[[Settings], Running]
EVENTS = "SELECT action, subject FROM audit_events WHERE action LIKE 'receive.%' ORDER BY id"


def _refused(port: int, *contexts: str) -> tuple[int, int, int] | None:
    """Result, source and reason of the rejection (PS3.8 9.3.4); None where the association was accepted, and is released.

    Uses a plain socket: on a loaded machine pynetdicom's requestor loses about one answer in a hundred.
    """
    proposed = [context(2 * number + 1, syntax.encode(), [EXPLICIT.encode()]) for number, syntax in enumerate(contexts)]
    with socket.create_connection(("127.0.0.1", port), timeout=600) as connection, connection.makefile("rb") as answers:
        connection.sendall(associate_rq(proposed))
        kind, length = struct.unpack(">BxL", answers.read(6))
        body = answers.read(length)
        if kind == RJ:
            return body[1], body[2], body[3]
        assert kind == AC
        connection.sendall(RELEASE)
        assert answers.read(1)[0] == RELEASE_RP
        return None


def _queue(database: Database, *studies: int) -> None:
    source = Sender(database)
    for number in studies:
        source.send(1, study=f"1.2.9.{number}", series=f"1.2.9.{number}.1")


def test_a_long_queue_pauses_receiving(start: Start, make_settings: MakeSettings, database: Database) -> None:
    node = start(make_settings(receive={"min_free_bytes": 0, "max_waiting": 10}))
    slices = [image(number=number) for number in (1, 2, 3)]
    with associated(node.port, {CT: [EXPLICIT]}) as early:
        _queue(database, *range(11))
        wait_until("the change", lambda: _refused(node.port, CT) is not None)
        assert _refused(node.port, CT, ECHO) == (2, 3, 2)
        assert _refused(node.port, ECHO) is None  # C-ECHO still works
        assert _refused(node.port, CT, COMMITMENT) is None  # committed instances may be deleted, which frees the disk
        for one in slices:
            content = encoded(one)
            answer = store_bytes(early, content[data_set_offset(content) :], sop_class=CT, sop_instance=str(one.SOPInstanceUID))
            assert (answer.Status, answer.ErrorComment) == (0xA700, "out of resources: too many units wait to be analysed")
    assert list(node.blobs.root.rglob("*.dcm")) == []
    assert rows(database, EVENTS) == [("receive.paused.began", "alert:queue")]
    (alert,) = alerts.current_alerts(database)
    assert (alert.kind, alert.subject, alert.details) == ("receive.paused", "queue", {"measured": 11, "limit": 10})
    for number in range(2):  # 9 of 10: below the limit less a tenth
        complete(database, study=f"1.2.9.{number}", reason="nobody takes it")
    wait_until("the change", lambda: _refused(node.port, CT) is None)
    assert send(node.port, *slices) == [0, 0, 0]
    assert rows(database, EVENTS) == [("receive.paused.began", "alert:queue"), ("receive.paused.ended", "alert:queue")]
    assert alerts.current_alerts(database) == ()

    def counted() -> bool:
        with database.begin() as connection:
            return counters.read(connection)["received"] == {("stored",): 3, ("out_of_resources",): 3}

    wait_until("the counters", counted)


def test_a_full_disk_pauses_receiving_until_there_is_some_space(
    make_settings: MakeSettings, database: Database, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make_settings(receive={"min_free_bytes": 1000})
    one, other = BackPressure(settings, database, blobs), BackPressure(settings, database, blobs)  # two listeners of one node
    for free, closed in ((5000, ""), (999, "the disk is nearly full"), (1050, "the disk is nearly full"), (1100, "")):
        monkeypatch.setattr(Blobs, "free_bytes", lambda _, free=free: free)
        for listener in (one, other, one):
            listener.measure()
        assert (one.pause_reason, other.pause_reason) == (closed, closed)
    assert rows(database, EVENTS) == [("receive.paused.began", "alert:disk"), ("receive.paused.ended", "alert:disk")]


def test_changed_settings_that_want_no_alerts_post_none(
    make_settings: MakeSettings, database: Database, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make_settings(receive={"min_free_bytes": 1000}, webhook={"url": "https://hooks.example/node", "events": ["failure"]})
    back_pressure = BackPressure(settings, database, blobs)
    back_pressure.apply(settings)
    monkeypatch.setattr(Blobs, "free_bytes", lambda _: 999)
    back_pressure.measure()
    assert rows(database, EVENTS) == [("receive.paused.began", "alert:disk")]
    assert rows(database, "SELECT event, subject FROM notifications") == []


def test_without_a_database_the_disk_is_still_measured(make_settings: MakeSettings, blobs: Blobs) -> None:
    gone = Database.open("postgresql://nobody@127.0.0.1:1/none")
    back_pressure = BackPressure(make_settings(receive={"min_free_bytes": 1 << 62}), gone, blobs)
    back_pressure.start()
    wait_until("the change", lambda: back_pressure.pause_reason == "the disk is nearly full")
    back_pressure.stop()
    gone.dispose()
