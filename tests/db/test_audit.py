"""The audit trail: append-only, chained without gaps, and every manipulation found."""

from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from db import audit
from db.engine import Database
from tests.support.records import Sender, claim, complete, finish, plan, report_study, run, scalar
from tests.support.services import as_superuser


def add(database: Database, count: int) -> None:
    """Record some events."""
    for number in range(count):
        audit.record_now(database, actor="admin", action="test.done", subject=f"thing:{number}", details={"n": number, "f": 1e5, "ü": "Ü"})


def test_the_chain_over_a_job_verifies(database: Database) -> None:
    report_study(database)
    assert audit.verify(database).unchained > 0
    while audit.chain(database, limit=2):
        pass
    check = audit.verify(database)
    assert (check.broken, check.unchained) == (None, 0)
    assert check.events == check.chained > 3
    assert len(check.head) == 64


def test_an_empty_trail_verifies(database: Database) -> None:
    check = audit.verify(database)
    assert (check.events, check.head, check.broken) == (0, "", None)


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE audit_events SET details = '{\"n\": 99}' WHERE id = 3",
        "UPDATE audit_events SET actor = 'somebody else' WHERE id = 3",
        "UPDATE audit_events SET at = at + interval '1 microsecond' WHERE id = 3",
        "UPDATE audit_events SET chain_hash = repeat('0', 64) WHERE id = 3",
        "DELETE FROM audit_events WHERE id = 2",
    ],
)
def test_a_change_by_a_superuser_is_found(database: Database, tampering: str) -> None:
    add(database, 5)
    audit.chain(database)
    with as_superuser(database) as owner:
        run(owner, f"ALTER TABLE audit_events DISABLE TRIGGER USER; {tampering}; ALTER TABLE audit_events ENABLE TRIGGER USER")
    check = audit.verify(database)
    assert check.broken == 3
    assert check.reason


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_events SET actor = 'x'",
        "UPDATE audit_events SET chain_seq = 9, chain_hash = 'x', actor = 'x' WHERE chain_seq IS NULL",
        "UPDATE audit_events SET chain_hash = 'x'",
        "UPDATE audit_events SET chain_seq = NULL, chain_hash = NULL",
        "DELETE FROM audit_events",
        "TRUNCATE audit_events",
    ],
)
def test_the_trail_is_append_only(database: Database, statement: str) -> None:
    add(database, 2)
    audit.chain(database, limit=1)
    with pytest.raises(DBAPIError, match="permission denied"):
        run(database, statement)
    with as_superuser(database) as owner, pytest.raises(DBAPIError, match="append-only"):
        run(owner, statement)
    assert audit.verify(database).broken is None


def test_a_transaction_that_commits_late_is_not_skipped(database: Database) -> None:
    with database.begin() as slow:
        audit.record(slow, actor="slow", action="first.begun", subject="thing")
        add(database, 3)
        assert audit.chain(database) == 3
        assert audit.verify(database).unchained == 0
    assert audit.verify(database).unchained == 1
    add(database, 1)
    assert audit.chain(database) == 2
    check = audit.verify(database)
    assert (check.chained, check.unchained, check.broken) == (5, 0, None)
    assert scalar(database, "SELECT chain_seq FROM audit_events WHERE actor = 'slow'") == 4


def test_a_rolled_back_transaction_leaves_no_event(database: Database) -> None:
    with database.begin() as connection:
        audit.record(connection, actor="a", action="b", subject="c")
        connection.rollback()
    assert audit.verify(database).events == 0


def test_one_chainer_at_a_time(database: Database) -> None:
    add(database, 3)
    with database.begin() as other:
        other.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": audit.CHAIN_LOCK})
        assert audit.chain(database) == 0
    assert audit.chain(database) == 3


def test_events_hold_no_patient_identifier(database: Database) -> None:
    Sender(database).send(1, patient_id="PATIENT-77", patient_name="Doe^Jane", issuer_of_patient_id="HOSP")
    Sender(database).send(1, content="other", patient_id="PATIENT-77", patient_name="Doe^Jane", issuer_of_patient_id="HOSP")
    complete(database, plan())
    finish(database, claim(database))
    written = str(list(audit.export(database)))
    for secret in ("PATIENT-77", "Doe", "HOSP", "1.2.3"):
        assert secret not in written
    reference = audit.patient_reference(database.installation()[1], "HOSP", "PATIENT-77")
    assert written.count(reference) == 2


def test_export_since_a_time(database: Database) -> None:
    add(database, 3)
    rows = list(audit.export(database))
    assert [row["subject"] for row in rows] == ["thing:0", "thing:1", "thing:2"]
    assert rows[0]["details"] == {"n": 0, "f": 100000.0, "ü": "Ü"}
    assert list(audit.export(database, since=database.now() + timedelta(seconds=5))) == []
