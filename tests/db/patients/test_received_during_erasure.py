"""An image that waits for the transaction that deletes its unit is received as new when that has committed."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from core.states import UnitKind
from db.complete.content_conflicts import list_undecided, take_lone_contents
from db.engine import Database
from db.patients.erasure import erase_studies
from db.patients.erasure_plan import plan_erasure
from db.patients.erasure_record import begin_erasure
from db.patients.patient_key import PatientKey
from db.receive.admission import Admission, AdmissionResult, admit_instance
from db.receive.group_commit import GroupAdmitter
from tests.support.node_process import wait_until
from tests.support.records import Sender, blob, header, rows, scalar

WAITS_FOR_LOCK = "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
DELETED = ("instances", "association_units", "units", "series", "studies")


def _alone(database: Database, sender: Sender, number: int) -> Admission:
    head = header(number)
    return admit_instance(
        database, header=head, blob=blob(head.sop_instance_uid), kind=UnitKind.SERIES, association_id=sender.id, source=sender.ae
    )


def _in_a_group(database: Database, sender: Sender, number: int) -> Admission:
    head, admitter = header(number), GroupAdmitter(database)
    try:
        return admitter.admit(
            header=head, blob=blob(head.sop_instance_uid), kind=UnitKind.SERIES, association_id=sender.id, source=sender.ae,
            sync=lambda: None,
        )  # fmt: skip
    finally:
        admitter.close()


@pytest.mark.parametrize("admit", [_alone, _in_a_group], ids=["alone", "in a group"])
@pytest.mark.parametrize("number", [1, 2], ids=["a known image", "a new image"])
def test_an_image_is_new_where_its_unit_is_gone(
    admit: Callable[[Database, Sender, int], Admission], number: int, database: Database
) -> None:
    sender = Sender(database)
    _alone(database, sender, 1)
    before = scalar(database, "SELECT id FROM units")
    with ThreadPoolExecutor(1) as pool:
        with database.begin() as connection:
            connection.execute(text("SELECT id FROM units FOR UPDATE"))
            for table in DELETED:
                connection.execute(text(f"DELETE FROM {table}"))
            waiting = pool.submit(admit, database, sender, number)
            wait_until("it waits", lambda: waiting.done() or bool(scalar(database, WAITS_FOR_LOCK)), every_s=0.05)
            assert not waiting.done()
        found = waiting.result(600)
    assert found.result is AdmissionResult.NEW
    assert found.unit_id != before
    held = "SELECT u.id, u.held, i.state FROM units u JOIN instances i ON i.unit_id = u.id"
    assert rows(database, held) == [(found.unit_id, 1, "current")]
    assert scalar(database, "SELECT count(*) FROM studies") == 1


def test_other_content_of_another_person_is_taken_where_that_of_the_person_is_gone(database: Database) -> None:
    """Without anything to be compared with, it would wait for ever, and never be analysed: its sender got Success."""
    sender = Sender(database)
    sender.send(1, patient_id="P-1")
    other = sender.send(1, study="1.2.9", patient_id="P-2", content="other content")
    assert other.result is AdmissionResult.UNDECIDED
    person = PatientKey("P-1")
    erasure = begin_erasure(database, person, plan_erasure(database, person), actor="cli:ann", reason="asked")
    erase_studies(database, erasure, cancel=True)
    assert list_undecided(database, 10) == []
    assert take_lone_contents(database, 10) == 1
    held = "SELECT i.id, i.state, u.held, u.state FROM instances i JOIN units u ON u.id = i.unit_id"
    assert rows(database, held) == [(other.instance_id, "current", 1, "open")]
    assert take_lone_contents(database, 10) == 0


def test_content_that_is_to_be_compared_is_not_taken_before(database: Database) -> None:
    sender = Sender(database)
    sender.send(1)
    sender.send(1, content="other content")
    assert take_lone_contents(database, 10) == 0
    assert len(list_undecided(database, 10)) == 1
