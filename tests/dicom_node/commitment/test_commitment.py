"""Storage commitment as SCU: destinations are asked to commit to results, and report in several ways."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pynetdicom import build_role, evt

from db.blobs.store import Blobs
from db.commitment import destination_requests
from db.engine import Database
from deploy.local.ports import free_port
from dicom_node.commitment.datasets import PUSH_MODEL, PUSH_MODEL_INSTANCE, encode_report, encode_request
from tests.dicom_node.conftest import MakeSettings, Running
from tests.support import node_toml
from tests.support.orthanc import Orthanc
from tests.support.send_role import QUICK_RETRIES, delivery_states, destination, running_sender, wait_for
from tests.support.series import CT, SR
from tests.support.storage_scu import entity

UNCOMPRESSED = ["1.2.840.10008.1.2.1"]
SOON = {**QUICK_RETRIES, "commitment_linger_s": 1.0, "commitment_answer_s": 60.0}


def job_states(database: Database) -> set[str]:
    with database.begin() as connection:
        return {row[0] for row in connection.exec_driver_sql("SELECT state FROM jobs")}


def identifier(orthanc: Orthanc, uid: str) -> str:
    (found,) = orthanc.post("/tools/lookup", uid.encode())
    return str(found["ID"])


def committing(port: int, **changes: Any) -> dict[str, Any]:
    return destination(port) | {"storage_commitment": True} | changes


def delivered(database: Database) -> bool:
    return delivery_states(database)[0][1] == "committed" and job_states(database) == {"delivered"}


def test_orthanc_commits_on_an_association_of_its_own(
    database: Database, blobs: Blobs, make_settings: MakeSettings, make_report: Callable[..., str], start: Any, orthanc: Orthanc
) -> None:
    """The destination is no source: it may report all the same, and nothing else."""
    make_report("pacs")
    settings = make_settings(destinations=[committing(orthanc.port)], delivery=SOON, sources=[])
    node: Running = start(settings)
    orthanc.knows("node", "DICOMNODE", node.port)
    with running_sender(settings, database, blobs):
        wait_for(lambda: delivered(database))
    with database.begin() as connection:
        actions = [row[0] for row in connection.exec_driver_sql("SELECT action FROM audit_events WHERE actor = 'sender' ORDER BY id")]
    order = [actions.index(action) for action in ("delivery.stored", "commitment.asked", "commitment.answered", "job.delivered")]
    assert order[0] < order[1]
    assert order[2] < order[3]


def test_orthanc_is_restarted_before_it_has_answered(
    database: Database, blobs: Blobs, make_settings: MakeSettings, make_report: Callable[..., str], start: Any, orthanc: Orthanc
) -> None:
    make_report("pacs")
    settings = make_settings(destinations=[committing(orthanc.port)], delivery={**SOON, "commitment_answer_s": 3.0})
    node: Running = start(settings)
    orthanc.knows("node", "DICOMNODE", free_port())  # it accepts the request, and cannot send the report
    with running_sender(settings, database, blobs):
        wait_for(lambda: [row[0] for row in _commitments(database)][:1] == ["requested"])
        orthanc.stop()
        assert (delivery_states(database)[0][1], job_states(database)) == ("stored", {"reported"})
        orthanc.start()
        orthanc.knows("node", "DICOMNODE", node.port)
        wait_for(lambda: delivered(database))
    assert {"unanswered", "answered"} <= {row[0] for row in _commitments(database)}, "requested again under another UID"


def _commitments(database: Database) -> list[tuple[Any, ...]]:
    with database.begin() as connection:
        return [tuple(row) for row in connection.exec_driver_sql("SELECT state, attempts FROM commitment_requests ORDER BY id")]


def test_an_object_that_orthanc_has_lost_is_sent_again(
    database: Database, blobs: Blobs, make_settings: MakeSettings, make_report: Callable[..., str], start: Any, orthanc: Orthanc
) -> None:
    uid = make_report("pacs")
    settings = make_settings(destinations=[committing(orthanc.port)], delivery=SOON)
    node: Running = start(settings)
    with running_sender(settings, database, blobs):
        wait_for(lambda: delivery_states(database)[0][1] == "stored")
        orthanc.delete(f"/instances/{identifier(orthanc, uid)}")  # before it knows the node, and so before it accepts a request
        orthanc.knows("node", "DICOMNODE", node.port)
        wait_for(lambda: delivered(database))
    assert identifier(orthanc, uid)
    with database.begin() as connection:
        assert connection.exec_driver_sql("SELECT resends FROM deliveries").scalar_one() == 1
        assert connection.exec_driver_sql("SELECT count(*) FROM delivery_attempts WHERE result = 'stored'").scalar_one() == 2


def test_a_destination_may_report_and_nothing_else(make_settings: MakeSettings, start: Any) -> None:
    settings = make_settings(sources=[], destinations=[committing(104), destination(105, "other") | {"ae_title": "OTHER"}])
    node: Running = start(settings)
    ae = entity("PACS", {PUSH_MODEL: UNCOMPRESSED, CT: UNCOMPRESSED})
    role = build_role(PUSH_MODEL, scp_role=True)
    association = ae.associate("127.0.0.1", node.port, ae_title="DICOMNODE", ext_neg=[role])
    assert [str(context.abstract_syntax) for context in association.accepted_contexts] == [PUSH_MODEL]
    information, event_type = encode_report("2.25.99", [(CT, "1.2")], [])
    unknown, _ = association.send_n_event_report(information, event_type, PUSH_MODEL, PUSH_MODEL_INSTANCE)
    assert unknown.Status == 0x0115, "no such transaction"
    strange, _ = association.send_n_event_report(information, 7, PUSH_MODEL, PUSH_MODEL_INSTANCE)
    assert strange.Status == 0x0113
    association.release()
    without_role = ae.associate("127.0.0.1", node.port, ae_title="DICOMNODE")
    asked, _ = without_role.send_n_action(encode_request("2.25.1", [(CT, "1.2")]), 1, PUSH_MODEL, PUSH_MODEL_INSTANCE)
    assert asked.Status == 0x0124, "the peer is no source"
    without_role.release()
    for title in ("OTHER", "STRANGER"):
        refused = entity(title, {PUSH_MODEL: UNCOMPRESSED}).associate("127.0.0.1", node.port, ae_title="DICOMNODE")
        assert refused.is_rejected


class Archive:
    """An SCP that stores, and reports on a storage commitment request on the association of the request.

    Attributes
    ----------
    requests
        Transaction UIDs of the accepted requests.
    refuse
        How many requests are refused before one is accepted.
    kills
        A process that is killed when the next request arrives; that request gets no report.
    """

    def __init__(self, *, refuse: int = 0) -> None:
        self.requests: list[str] = []
        self.refuse = refuse
        self.kills: subprocess.Popen[bytes] | None = None
        self._unreported: dict[Any, tuple[str, list[tuple[str, str]]]] = {}  # by association
        ae = entity("PACS", {})
        for sop_class in (SR, PUSH_MODEL):
            ae.add_supported_context(sop_class)
        handlers: list[Any] = [
            (evt.EVT_C_STORE, lambda _event: 0),
            (evt.EVT_N_ACTION, self.accept_request),
            (evt.EVT_PDU_SENT, self.report_after_response),
        ]
        self.server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        self.port = int(self.server.server_address[1])

    def accept_request(self, event: Any) -> tuple[int, None]:
        """N-ACTION."""
        if self.refuse:
            self.refuse -= 1
            return 0x0213, None
        information = event.action_information
        self.requests.append(str(information.TransactionUID))
        if self.kills is not None:
            self.kills.kill()
            self.kills = None
            return 0, None
        items = [(str(item.ReferencedSOPClassUID), str(item.ReferencedSOPInstanceUID)) for item in information.ReferencedSOPSequence]
        self._unreported[event.assoc] = (self.requests[-1], items)
        return 0, None

    def report_after_response(self, event: Any) -> None:
        """Sends the report, in a thread of its own, once the N-ACTION is answered: with the first PDU after it."""
        if unreported := self._unreported.pop(event.assoc, None):
            threading.Thread(target=self._report, args=(event.assoc, *unreported)).start()

    def _report(self, association: Any, transaction_uid: str, items: list[tuple[str, str]]) -> None:
        information, event_type = encode_report(transaction_uid, items, [])
        association.send_n_event_report(information, event_type, PUSH_MODEL, PUSH_MODEL_INSTANCE)


def test_answered_on_the_association_of_the_request_and_batched(
    database: Database, blobs: Blobs, make_settings: MakeSettings, make_report: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No listener runs: the report can only have come this way. The first request is refused, and repeated."""
    for _ in range(3):
        make_report("pacs")
    create_request = destination_requests.create_request

    def create_request_once_all_are_stored(database: Database, name: str) -> bool:
        """One request for all three, however long storing them takes."""
        all_stored = {row[1] for row in delivery_states(database)} == {"stored"}
        return all_stored and create_request(database, name, dwell_s=0)

    monkeypatch.setattr(destination_requests, "create_request", create_request_once_all_are_stored)
    archive = Archive(refuse=1)
    settings = make_settings(destinations=[committing(archive.port)], delivery={**SOON, "commitment_linger_s": 60.0})
    with running_sender(settings, database, blobs):
        wait_for(lambda: [row[1] for row in delivery_states(database)] == ["committed"] * 3)
    archive.server.shutdown()
    assert len(archive.requests) == 1, "what was stored together is requested together"
    assert job_states(database) == {"delivered"}


def test_a_sender_that_is_killed_during_a_request_is_replaced(
    database: Database, database_url: str, make_report: Callable[..., str], tmp_path: Path
) -> None:
    """kill -9 after the archive has accepted the request and before that is recorded; another process repeats it under the same UID."""
    make_report("pacs")
    archive = Archive()
    config = tmp_path / "node.toml"
    config.write_text(f"""
[node]
data_dir = "{tmp_path / "data"}"
[delivery]
lease_s = 3.0
retry_base_s = 0.2
commitment_linger_s = 10.0
{node_toml.pacs(archive.port, ae_title="PACS", storage_commitment=True)}""")
    command = [sys.executable, "-m", "deploy.cli", "send", "--config", str(config)]
    environ = {**os.environ, "DICOM_NODE_DATABASE__URL": database_url}
    with subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL) as first:
        archive.kills = first
        assert first.wait(600) == -signal.SIGKILL
    assert delivery_states(database)[0][1] == "stored"
    with subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL) as second:
        wait_for(lambda: delivered(database))
        second.terminate()
        assert second.wait(600) == 0
    archive.server.shutdown()
    assert len(archive.requests) == 2
    assert len(set(archive.requests)) == 1


def test_a_destination_without_the_service_is_reported_and_the_result_stays_stored(
    database: Database, blobs: Blobs, make_settings: MakeSettings, make_report: Callable[..., str]
) -> None:
    make_report("pacs")
    ae = entity("PACS", {})
    ae.add_supported_context(SR)
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, lambda _event: 0)])
    settings = make_settings(destinations=[committing(int(server.server_address[1]))], delivery=SOON)
    with running_sender(settings, database, blobs):
        wait_for(lambda: "does not offer storage commitment" in delivery_states(database)[0][3])
    assert (delivery_states(database)[0][1], job_states(database)) == ("stored", {"reported"})
    switched_off = make_settings(destinations=[destination(int(server.server_address[1]))], delivery=SOON)
    with running_sender(switched_off, database, blobs):
        wait_for(lambda: job_states(database) == {"delivered"})
    server.shutdown()
