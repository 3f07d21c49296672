"""``commitments list``, ``retry`` and ``give-up``."""

import json
from pathlib import Path

import pytest

from db.commitment import source_requests
from db.engine import Database
from deploy.cli.main import run
from tests.support.records import CT, rows, scalar

pytestmark = pytest.mark.services


@pytest.fixture
def config(tmp_path: Path, database_url: str) -> list[str]:
    path = tmp_path / "node.toml"
    path.write_text(f'[database]\nurl = "{database_url}"\n')
    return ["--config", str(path)]


@pytest.fixture
def failed(database: Database) -> str:
    """A request whose report could not be sent; its number."""
    id = source_requests.record_source_request(database, source="PACS", transaction_uid="2.25.7", instances=[(CT, "1.2")], reserve_s=0)
    request = source_requests.claim_source_request(database, lease_s=60)
    assert request is not None
    source_requests.record_unanswered(database, request, why="connection refused")
    return str(id)


def test_a_failed_report_is_listed_given_up_and_sent_again(
    database: Database, config: list[str], failed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["commitments", "list", "--json", *config]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["id"], row["source"], row["instances"], row["note"]) == (int(failed), "PACS", 1, "connection refused")
    assert run(["commitments", "give-up", failed, "--reason", "the modality is gone", *config]) == 0
    assert "1 of 1 given up" in capsys.readouterr().err
    assert run(["commitments", "list", "--json", *config]) == 0
    assert json.loads(capsys.readouterr().out) == []
    asked = rows(database, "SELECT actor LIKE 'cli:%', details ->> 'reason' FROM audit_events WHERE action = 'commitment.given_up_source'")
    assert asked == [(True, "the modality is gone")]
    assert run(["commitments", "retry", failed, *config]) == 0
    assert scalar(database, "SELECT state FROM source_commitment_requests") == "pending"


def test_what_is_not_there_or_not_failed_is_named(
    database: Database, config: list[str], failed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["commitments", "retry", "999", *config]) == 1
    assert "there is no report 999 (see `commitments list`)" in capsys.readouterr().err
    assert run(["commitments", "retry", failed, *config]) == 0
    assert run(["commitments", "give-up", failed, "--reason", "x", *config]) == 1
    assert f"report {failed} is still to be sent" in capsys.readouterr().err
    assert run(["commitments", "give-up", failed, "--reason", " ", *config]) == 2
    assert run(["commitments", "give-up", failed, *config]) == 2
