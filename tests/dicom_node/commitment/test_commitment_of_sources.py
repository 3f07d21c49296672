"""Storage commitment as SCP: sources request commitment of what they have sent, and get a correct report."""

import threading
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pynetdicom import evt

from core.settings.settings import Settings
from db.blobs.store import Blobs
from db.engine import Database
from dicom_node.commitment.datasets import PUSH_MODEL, PUSH_MODEL_INSTANCE, decode_report, encode_request
from dicom_node.conduct import conductor
from tests.dicom_node.conftest import MakeSettings, Running
from tests.support.orthanc import Orthanc
from tests.support.send_role import QUICK_RETRIES, running_sender, wait_for
from tests.support.series import CT, SR, image, series
from tests.support.storage_scu import entity, send

UNCOMPRESSED = ["1.2.840.10008.1.2.1"]
SOON = {**QUICK_RETRIES, "commitment_linger_s": 1.0, "commitment_answer_s": 60.0}


def _request_by(orthanc: Orthanc, uids: list[str]) -> str:
    """Orthanc requests commitment of the node; the path of its report."""
    instances = [{"SOPClassUID": CT, "SOPInstanceUID": uid} for uid in uids]
    answer = orthanc.post("/modalities/node/storage-commitment", {"DicomInstances": instances})
    return str(answer["Path"])


def test_orthanc_requests_commitment_and_gets_a_correct_report(
    database: Database, blobs: Blobs, make_settings: MakeSettings, start: Any, orthanc: Orthanc
) -> None:
    address = {"ae_title": "PACS", "host": "127.0.0.1", "port": orthanc.port}
    settings = make_settings(sources=[{"ae_title": "PACS", "host": "127.0.0.1", "commitment": address}], delivery=SOON)
    node: Running = start(settings)
    orthanc.knows("node", "DICOMNODE", node.port)
    held = [image(number=number) for number in (1, 2)]
    assert send(node.port, *held) == [0, 0]
    uids = [str(one.SOPInstanceUID) for one in held]
    whole = _request_by(orthanc, uids)
    partly = _request_by(orthanc, [*uids, "1.2.3.999"])
    assert orthanc.get(whole)["Status"] == "Pending", "stored before the report: the role that sends it does not run yet"
    with running_sender(settings, database, blobs):
        wait_for(lambda: orthanc.get(whole)["Status"] == "Success")
        wait_for(lambda: orthanc.get(partly)["Status"] == "Failure")
        (failure,) = orthanc.get(partly)["Failures"]
        assert (failure["SOPInstanceUID"], failure["FailureReason"]) == ("1.2.3.999", 0x0112)
        assert len(orthanc.get(partly)["Success"]) == 2
        with database.begin() as connection:
            digest = connection.exec_driver_sql("SELECT sha256 FROM instances ORDER BY id LIMIT 1").scalar_one()
        blobs.remove(digest)
        lost = _request_by(orthanc, uids)
        wait_for(lambda: orthanc.get(lost)["Status"] == "Failure")
        assert [(one["SOPInstanceUID"], one["FailureReason"]) for one in orthanc.get(lost)["Failures"]] == [(uids[0], 0x0110)]
        away = _request_by(orthanc, uids[1:])
    orthanc.stop()  # it forgets its requests: the report that is still to be sent is refused, and fails
    orthanc.start()
    orthanc.knows("node", "DICOMNODE", node.port)
    with running_sender(settings, database, blobs):
        again = _request_by(orthanc, uids[1:])
        wait_for(lambda: orthanc.get(again)["Status"] == "Success")
    assert away != again


def test_a_source_without_an_address_gets_the_report_on_its_own_association(node: Running) -> None:
    held = image()
    assert send(node.port, held) == [0]
    ae = entity("PACS", {PUSH_MODEL: UNCOMPRESSED})
    reports: list[Any] = []
    answered: list[Any] = []  # nothing else may be sent before a report is answered

    def on_report(event: Any) -> tuple[int, None]:
        reports.append((event.event_type, decode_report(event.event_information)))
        return 0x0000, None

    def on_pdu_sent(_event: Any) -> None:
        if len(reports) > len(answered):  # the first PDU after a report is its answer
            answered.append(reports[-1])

    handlers: list[Any] = [(evt.EVT_N_EVENT_REPORT, on_report), (evt.EVT_PDU_SENT, on_pdu_sent)]
    association = ae.associate("127.0.0.1", node.port, ae_title="DICOMNODE", evt_handlers=handlers)
    pairs = [(CT, str(held.SOPInstanceUID)), (SR, str(held.SOPInstanceUID) + ".1"), (CT, "1.2.3.4")]
    status, _ = association.send_n_action(encode_request("2.25.55", pairs), 1, PUSH_MODEL, PUSH_MODEL_INSTANCE)
    assert status.Status == 0
    wait_for(lambda: len(answered) == 1)
    ((kind, said),) = reports
    assert (kind, said.transaction_uid, said.committed) == (2, "2.25.55", (str(held.SOPInstanceUID),))
    assert set(said.failed.values()) == {0x0112}
    wrong_class, _ = association.send_n_action(
        encode_request("2.25.56", [(SR, str(held.SOPInstanceUID))]), 1, PUSH_MODEL, PUSH_MODEL_INSTANCE
    )
    assert wrong_class.Status == 0
    wait_for(lambda: len(answered) == 2)
    assert dict(reports[1][1].failed) == {str(held.SOPInstanceUID): 0x0119}
    association.release()
    assert _answered(node) == 2


@pytest.mark.parametrize(
    ("action", "instance", "information", "status"),
    [
        (2, PUSH_MODEL_INSTANCE, encode_request("2.25.1", [(CT, "1.2")]), 0x0123),
        (1, "1.2.3", encode_request("2.25.1", [(CT, "1.2")]), 0x0112),
        (1, PUSH_MODEL_INSTANCE, encode_request("", [(CT, "1.2")]), 0x0120),
        (1, PUSH_MODEL_INSTANCE, encode_request("2.25.1", []), 0x0115),
    ],
)
def test_an_invalid_request_is_refused(node: Running, action: int, instance: str, information: Dataset, status: int) -> None:
    association = entity("PACS", {PUSH_MODEL: UNCOMPRESSED}).associate("127.0.0.1", node.port, ae_title="DICOMNODE")
    answer, _ = association.send_n_action(information, action, PUSH_MODEL, instance)
    association.release()
    assert answer.Status == status
    with node.database.begin() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM source_commitment_requests").scalar_one() == 0


def test_a_request_that_lists_all_instances_completes_the_series(
    database: Database, blobs: Blobs, make_settings: MakeSettings, start: Any
) -> None:
    late: dict[str, float] = {"settle_s": 300.0, "quiet_s": 300.0}
    settings: Settings = make_settings(completion=late)
    node: Running = start(settings)
    slices = list(series(5))
    assert send(node.port, *slices) == [0] * 5
    stop = threading.Event()
    thread = threading.Thread(target=conductor.run, args=(settings, database, blobs, stop))
    thread.start()
    received, answered = threading.Event(), threading.Event()

    def on_report(_event: Any) -> tuple[int, None]:
        received.set()
        return 0x0000, None

    def on_pdu_sent(_event: Any) -> None:
        if received.is_set():
            answered.set()

    try:
        handlers: list[Any] = [(evt.EVT_N_EVENT_REPORT, on_report), (evt.EVT_PDU_SENT, on_pdu_sent)]
        ae = entity("PACS", {PUSH_MODEL: UNCOMPRESSED})
        association = ae.associate("127.0.0.1", node.port, ae_title="DICOMNODE", evt_handlers=handlers)
        pairs = [(CT, str(one.SOPInstanceUID)) for one in slices]
        status, _ = association.send_n_action(encode_request("2.25.77", pairs), 1, PUSH_MODEL, PUSH_MODEL_INSTANCE)
        assert answered.wait(600)  # a release while the report is being sent would make both ends wait for each other
        association.release()
        assert status.Status == 0
        wait_for(lambda: _rule(database) == "commitment_request")
    finally:
        stop.set()
        thread.join(600)


def test_a_release_right_after_the_request_is_answered(start: Any, make_settings: MakeSettings) -> None:
    """The report may be sent at the same time: both ends would wait for each other until `receive.dimse_timeout_s`."""
    node: Running = start(make_settings(receive={"dimse_timeout_s": 3600.0, "network_timeout_s": 3600.0}))
    ae = entity("PACS", {PUSH_MODEL: UNCOMPRESSED})
    ae.acse_timeout = 240
    for number in range(20):  # the report arrives before the release, while it is being served, or after it
        association = ae.associate("127.0.0.1", node.port, ae_title="DICOMNODE")
        association.send_n_action(encode_request(f"2.25.{number}", [(CT, "1.2.3")]), 1, PUSH_MODEL, PUSH_MODEL_INSTANCE)
        association.release()
        assert association.is_released


def test_a_release_waits_until_the_report_that_is_being_served_is_answered(node: Running) -> None:
    """Otherwise the answer would follow the A-RELEASE-RQ, which ends the upper layer of pynetdicom, and the release times out."""
    releasing: list[threading.Thread] = []

    def on_report(event: Any) -> tuple[int, None]:
        releasing.append(threading.Thread(target=event.assoc.release))
        releasing[0].start()
        releasing[0].join(0.5)  # a release that does not wait sends its request in this time
        return 0x0000, None

    ae = entity("PACS", {PUSH_MODEL: UNCOMPRESSED})
    ae.acse_timeout = 30
    handlers: list[Any] = [(evt.EVT_N_EVENT_REPORT, on_report)]
    association = ae.associate("127.0.0.1", node.port, ae_title="DICOMNODE", evt_handlers=handlers)
    association.send_n_action(encode_request("2.25.1", [(CT, "1.2.3")]), 1, PUSH_MODEL, PUSH_MODEL_INSTANCE)
    wait_for(lambda: association.is_released or association.is_aborted)
    assert association.is_released
    releasing[0].join(600)
    wait_for(lambda: _answered(node) == 1)


def test_the_thread_of_a_report_leaves_the_mark_of_the_reactor(node: Running) -> None:
    """pynetdicom's thread clears it at its end, also while the reactor waits: a release then waited without end."""
    requested, stopped = threading.Event(), []

    def on_report(event: Any) -> tuple[int, None]:
        assert requested.wait(600)  # the end of the request lets the reactor go on
        event.assoc._reactor_checkpoint.clear()
        wait_for(lambda: event.assoc._reactor_checkpoint._condition._waiters)
        stopped.append(True)
        return 0x0000, None

    handlers: list[Any] = [(evt.EVT_N_EVENT_REPORT, on_report)]
    association = entity("PACS", {PUSH_MODEL: UNCOMPRESSED}).associate("127.0.0.1", node.port, ae_title="DICOMNODE", evt_handlers=handlers)
    association.send_n_action(encode_request("2.25.1", [(CT, "1.2.3")]), 1, PUSH_MODEL, PUSH_MODEL_INSTANCE)
    requested.set()
    wait_for(lambda: _answered(node) == 1)
    releasing = threading.Thread(target=association.release, daemon=True)
    releasing.start()
    releasing.join(60)
    assert (stopped, association.is_released) == ([True], True)


def _answered(node: Running) -> int:
    """Number of requests whose report the source has answered."""
    with node.database.begin() as connection:
        number = connection.exec_driver_sql("SELECT count(*) FROM source_commitment_requests WHERE state = 'answered'").scalar_one()
    return int(number)


def _rule(database: Database) -> str | None:
    with database.begin() as connection:
        found = connection.exec_driver_sql("SELECT evidence ->> 'rule' FROM units").scalar_one()
    return None if found is None else str(found)
