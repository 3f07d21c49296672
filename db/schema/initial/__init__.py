"""The tables of the first revision, by what they hold. Frozen: later changes are later revisions."""

from db.schema.initial import audit, receive, results, roles, work

STATEMENTS = (*roles.BASE, *receive.STATEMENTS, *work.STATEMENTS, *results.STATEMENTS, *audit.STATEMENTS, *roles.STATEMENTS)
