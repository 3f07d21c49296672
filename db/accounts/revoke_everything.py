"""Ends everybody's access after a restore: what was revoked, used or replaced since the backup would be valid again."""

from sqlalchemy import text

from db import audit
from db.engine import Database

_ENDED = {
    "sessions": text("UPDATE sessions SET ended_at = node_now() WHERE ended_at IS NULL"),
    "sign_in_links": text("UPDATE sign_in_links SET used_at = node_now() WHERE used_at IS NULL"),
    "invitations": text("UPDATE invitations SET used_at = node_now() WHERE used_at IS NULL"),
    "tokens": text("UPDATE api_tokens SET revoked_at = node_now() WHERE revoked_at IS NULL"),
}


def revoke_everything(database: Database, *, actor: str) -> dict[str, int]:
    """End every session, sign-in link, invitation and API token, and return how many of each; one audit event has the numbers.

    Raises
    ------
    StorageError
        The database does not respond.
    """
    with database.begin() as connection:
        ended = {name: connection.execute(statement).rowcount for name, statement in _ENDED.items()}
        audit.record(connection, actor=actor, action="access.revoked", subject="database", details=ended)
    return ended
