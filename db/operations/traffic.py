"""Who sends to the node: associations that are open, and requests that were refused, with the reason."""

from dataclasses import dataclass
from datetime import datetime

from db.listings.reader import Reader

RECENT_EVENTS = 5000  # refusals that are counted at most, so that a scan of the network does not make the page slow

_OPEN = """
    SELECT a.calling_ae, a.address, a.opened_at,
           (SELECT count(*) FROM association_units u WHERE u.association_id = a.id) AS units
    FROM associations a WHERE a.closed_at IS NULL ORDER BY a.opened_at LIMIT %(limit)s
"""
_REFUSED = """
    SELECT details ->> 'calling_ae' AS calling_ae, details ->> 'address' AS address, details ->> 'reason' AS reason,
           count(*) + coalesce(sum((details ->> 'repeated')::bigint), 0) AS times, max(at) AS last_at
    FROM (SELECT details, at FROM audit_events WHERE action IN ('association.refused', 'association.deferred')
          ORDER BY id DESC LIMIT %(recent)s) AS refusals
    WHERE at > node_now() - interval '7 days'
    GROUP BY 1, 2, 3 ORDER BY last_at DESC LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True)
class OpenAssociation:
    """An association that is open now. ``units``: units of which it has sent instances."""

    calling_ae: str
    address: str
    opened_at: datetime
    units: int


@dataclass(frozen=True, slots=True)
class RefusedAssociation:
    """Association requests of one peer that were refused for one reason in the last seven days."""

    calling_ae: str
    address: str
    reason: str
    times: int
    last_at: datetime


def open_associations(reader: Reader, limit: int) -> list[OpenAssociation]:
    """Return the open associations, the oldest first."""
    return [OpenAssociation(**row) for row in reader.read(_OPEN, {"limit": limit})]


def refused_associations(reader: Reader, limit: int) -> list[RefusedAssociation]:
    """Return refused association requests of the last seven days by peer and reason, the latest first."""
    rows = reader.read(_REFUSED, {"recent": RECENT_EVENTS, "limit": limit})
    return [RefusedAssociation(**{**row, "times": int(row["times"])}) for row in rows]
