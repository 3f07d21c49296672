"""What revision 0006 adds, by subject. Frozen: later changes are later revisions."""

from db.schema.operations import alerts, retention, tallies

STATEMENTS = (*retention.STATEMENTS, *alerts.STATEMENTS, *tallies.STATEMENTS)
