"""Units that are due, postponed checks, and the count that the source reports."""

from datetime import timedelta

from db.complete import units
from db.engine import Database
from db.receive.associations import close_association
from tests.support.records import Sender, unit_of


def test_units_are_due_until_they_are_postponed(database: Database) -> None:
    sender = Sender(database)
    sender.send(1)
    (unit,) = units.due_units(database, limit=10)
    assert [again.id for again in units.due_units(database, limit=10)] == [unit.id]
    units.postpone_check(database, unit.id, revision=unit.revision, until=database.now() + timedelta(hours=1))
    assert units.due_units(database, limit=10) == []
    assert 3000 < (units.seconds_until_check(database) or 0) <= 3600
    close_association(database, sender.id, "released")
    assert (units.seconds_until_check(database) or 0) <= 0
    assert [again.id for again in units.due_units(database, limit=10)] == [unit.id]


def test_a_postponement_does_not_hide_what_happened_since_the_check(database: Database) -> None:
    sender = Sender(database)
    sender.send(1)
    (unit,) = units.due_units(database, limit=10)
    close_association(database, sender.id, "released")
    units.postpone_check(database, unit.id, revision=unit.revision, until=database.now() + timedelta(hours=1))
    assert len(units.due_units(database, limit=10)) == 1


def test_the_expected_count_and_the_one_before(database: Database) -> None:
    Sender(database).send(1)
    unit = unit_of(database)
    units.record_expected_count(database, unit.id, 3)
    units.record_expected_count(database, unit.id, 4)
    unit = unit_of(database)
    assert (unit.expected, unit.expected_before) == (4, 3)
    assert unit.expected_at is not None
