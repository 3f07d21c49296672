"""Associations as leased rows, so that a listener that is killed leaves none open for ever."""

from collections.abc import Iterable
from typing import Literal
from uuid import UUID

from sqlalchemy import Connection, text

from db.engine import Database
from db.notify import notify
from db.row_values import clean_text

_OPEN = text("""
    INSERT INTO associations (id, calling_ae, called_ae, address, listener, lease_until)
    VALUES (CAST(:id AS uuid), :calling_ae, :called_ae, :address, :listener, node_now() + make_interval(secs => :lease_s))
""")
_RENEW = text("""
    UPDATE associations SET lease_until = node_now() + make_interval(secs => :lease_s)
    WHERE id = ANY(CAST(:ids AS uuid[])) AND closed_at IS NULL
""")
_CLOSE = text("""
    UPDATE associations SET closed_at = node_now(), end_reason = :reason WHERE id = CAST(:id AS uuid) AND closed_at IS NULL
""")
_REAP = text("""
    UPDATE associations SET closed_at = node_now(), end_reason = 'lost'
    WHERE closed_at IS NULL AND lease_until < (SELECT node_now()) RETURNING id
""")
# Units are locked in the order of their ids, as in every statement that locks several units.
_CHECK_UNITS = text("""
    UPDATE units SET changed_since_check = true, next_check_at = node_now()
    WHERE id IN (SELECT u.id FROM units u JOIN association_units a ON a.unit_id = u.id
                 WHERE a.association_id = ANY(CAST(:ids AS uuid[])) AND u.state = 'open' ORDER BY u.id FOR NO KEY UPDATE OF u)
""")


def open_association(database: Database, *, id: UUID, calling_ae: str, called_ae: str, address: str, listener: str, lease_s: float) -> None:
    """Record an accepted association under a lease of ``lease_s`` seconds."""
    values = {"id": str(id), "calling_ae": clean_text(calling_ae), "called_ae": clean_text(called_ae), "address": address}
    with database.begin() as connection:
        connection.execute(_OPEN, {**values, "listener": listener, "lease_s": lease_s})


def renew_associations(database: Database, ids: Iterable[UUID], lease_s: float) -> None:
    """Renew the leases of open associations for another ``lease_s`` seconds."""
    with database.begin() as connection:
        connection.execute(_RENEW, {"ids": [str(id) for id in ids], "lease_s": lease_s})


def close_association(database: Database, id: UUID, reason: Literal["released", "aborted", "lost"]) -> None:
    """Record the end of an association; its open units are checked for completion now. Without effect if it is closed already."""
    with database.begin() as connection:
        connection.execute(_CLOSE, {"id": str(id), "reason": reason})
        _check_units(connection, [str(id)])


def reap_associations(database: Database) -> int:
    """Close associations whose lease has expired, as lost; return how many."""
    with database.begin() as connection:
        lost = [str(row.id) for row in connection.execute(_REAP)]
        if lost:
            _check_units(connection, lost)
    return len(lost)


def _check_units(connection: Connection, ids: list[str]) -> None:
    """Have the open units of these associations checked for completion now."""
    if connection.execute(_CHECK_UNITS, {"ids": ids}).rowcount:
        notify(connection, "intake")
