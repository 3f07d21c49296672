"""A report to a source ends after its attempts, whatever makes it fail: an answer, an error that nobody foresaw, the end of the process."""

from collections.abc import Callable
from typing import Any

import pytest

from core.settings.settings import Settings
from db.blobs.store import Blobs
from db.commitment import source_requests
from db.commitment.failed_reports import list_failed_reports, retry_reports
from db.engine import Database
from deploy.local.ports import free_port
from dicom_node.commitment import report_sender
from tests.dicom_node.conftest import MakeSettings
from tests.support.records import CT, Sender, run, scalar
from tests.support.send_role import QUICK_RETRIES, running_sender, wait_for

ATTEMPTS = 3


@pytest.fixture
def settings(make_settings: MakeSettings) -> Settings:
    """A source to whose address nobody listens."""
    address = {"ae_title": "PACS", "host": "127.0.0.1", "port": free_port()}
    source = {"ae_title": "PACS", "host": "127.0.0.1", "commitment": address}
    return make_settings(sources=[source], delivery=QUICK_RETRIES | {"max_attempts": ATTEMPTS})


@pytest.fixture
def requested(database: Database) -> int:
    """A request for one instance that is indexed; its number."""
    Sender(database).send(1)
    return source_requests.record_source_request(
        database, source="PACS", transaction_uid="2.25.7", instances=[(CT, "1.2.3.4.1")], reserve_s=0
    )


def _unforeseen(_database: Database, monkeypatch: pytest.MonkeyPatch) -> str:
    def fail(*_: Any) -> None:
        raise KeyError("Doe^Jane")

    monkeypatch.setattr(report_sender, "check_instances", fail)
    return "failed after 3 attempts: failed unexpectedly (KeyError); the log of the role send says where"


def _unreachable(_database: Database, _monkeypatch: pytest.MonkeyPatch) -> str:
    return "failed after 3 attempts: "


def _altered(database: Database, _monkeypatch: pytest.MonkeyPatch) -> str:
    run(database, "UPDATE instances SET sha256 = 'altered'")
    return "failed after 3 attempts: a blob is named by 64 lower-case hex digits"


def _ended_process(database: Database, _monkeypatch: pytest.MonkeyPatch) -> str:
    for _ in range(ATTEMPTS):
        assert source_requests.claim_source_request(database, lease_s=-1) is not None
    return "3 attempts were begun, and the last did not end"


@pytest.mark.parametrize("cause", [_unforeseen, _unreachable, _altered, _ended_process])
def test_a_report_ends_after_its_attempts_and_a_person_sees_it(
    database: Database, blobs: Blobs, settings: Settings, requested: int, monkeypatch: pytest.MonkeyPatch,
    cause: Callable[[Database, pytest.MonkeyPatch], str],
) -> None:  # fmt: skip
    reason = cause(database, monkeypatch)
    with running_sender(settings, database, blobs):
        wait_for(lambda: scalar(database, "SELECT state FROM source_commitment_requests") == "failed")
        (found,) = list_failed_reports(database, limit=10)
        assert found.note.startswith(reason)
        assert "Doe" not in found.note
        assert found.attempts >= ATTEMPTS
        assert retry_reports(database, [requested], "cli:ann") == [requested]
        wait_for(lambda: len(list_failed_reports(database, limit=10)) == 1)
