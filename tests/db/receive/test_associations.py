"""Associations: leased, renewed, closed once, and lost when the lease expires."""

from db.engine import Database
from db.receive.associations import close_association, reap_associations, renew_associations
from tests.support.records import Sender, unit_of


def test_associations_are_leased(database: Database) -> None:
    expired = Sender(database, lease_s=-1.0)
    expired.send(1)
    renewed = Sender(database)
    renewed.send(2)
    renew_associations(database, [renewed.id], 60.0)
    assert reap_associations(database) == 1
    assert reap_associations(database) == 0
    assert {a.id: (a.open, a.broken) for a in unit_of(database).associations} == {expired.id: (False, True), renewed.id: (True, False)}
    close_association(database, renewed.id, "released")
    close_association(database, renewed.id, "aborted")  # closed already
    assert [(a.open, a.broken) for a in unit_of(database).associations if a.id == renewed.id] == [(False, False)]
