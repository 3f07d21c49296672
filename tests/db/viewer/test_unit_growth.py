"""The present images of a unit on which a viewer is open: read in one transaction, with the audit event."""

from db import audit
from db.engine import Database
from db.viewer.unit_growth import open_grown_unit
from tests.support.large_database import record_statements
from tests.support.records import Sender, claim, complete, finish, plan

VIEWER = {"viewer": "user:clinician", "address": "127.0.0.1"}


def test_the_unit_is_read_once_with_its_study(database: Database) -> None:
    sender = Sender(database)
    sender.send(1)
    complete(database, plan())
    job = claim(database)
    finish(database, job)
    sender.send(2)
    with record_statements(database) as executed:
        found = open_grown_unit(database, job.unit_id, job_id=job.id, **VIEWER)
    assert found is not None
    assert (len(found.images.hashes), found.covers_shown, found.replaced) == (2, True, [])
    assert len([statement for statement, _ in executed if "FROM units u JOIN series" in statement]) == 1
    (event,) = [event for event in audit.export(database) if event["action"] == "viewer.opened"]
    assert (event["subject"], event["details"]["job"], event["details"]["images"]) == ("study:1", job.id, 2)


def test_a_result_whose_image_was_replaced_is_not_covered_and_no_view_is_recorded(database: Database) -> None:
    sender = Sender(database)
    sender.send(1)
    complete(database, plan())
    job = claim(database)
    finish(database, job)
    with database.begin() as connection:
        connection.exec_driver_sql("UPDATE instances SET state = 'superseded'")
    sender.send(2)
    found = open_grown_unit(database, job.unit_id, job_id=job.id, **VIEWER)
    assert found is not None
    assert (found.covers_shown, len(found.replaced)) == (False, 1)
    assert not [event for event in audit.export(database) if event["action"] == "viewer.opened"]


def test_a_unit_that_there_is_not(database: Database) -> None:
    assert open_grown_unit(database, 1, job_id=None, **VIEWER) is None
