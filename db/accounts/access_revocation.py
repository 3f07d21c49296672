"""Ends what users, or those who have their secrets, have access with: sessions, sign-in links, invitations and API tokens."""

from sqlalchemy import Connection, text

from db import audit
from db.engine import Database

_SESSIONS = text("UPDATE sessions SET ended_at = node_now() WHERE user_id = :id AND ended_at IS NULL AND id <> :but")
_LINKS = text("UPDATE sign_in_links SET used_at = node_now() WHERE user_id = :id AND used_at IS NULL")
_TOKENS = text(
    "UPDATE api_tokens SET revoked_at = node_now() WHERE user_id = :id AND revoked_at IS NULL AND expires_at > node_now() RETURNING id"
)
_OF_ALL = {
    "sessions": text("UPDATE sessions SET ended_at = node_now() WHERE ended_at IS NULL"),
    "sign_in_links": text("UPDATE sign_in_links SET used_at = node_now() WHERE used_at IS NULL"),
    "invitations": text("UPDATE invitations SET used_at = node_now() WHERE used_at IS NULL"),
    "tokens": text("UPDATE api_tokens SET revoked_at = node_now() WHERE revoked_at IS NULL"),
}


def end_access(connection: Connection, user_id: int, *, actor: str, keep_session: int = 0) -> None:
    """End every session but ``keep_session``, every sign-in link and every API token of a user; each token is an audit event."""
    connection.execute(_SESSIONS, {"id": user_id, "but": keep_session})
    connection.execute(_LINKS, {"id": user_id})
    for id in sorted(connection.execute(_TOKENS, {"id": user_id}).scalars()):
        audit.record(connection, actor=actor, action="token.revoked", subject=f"token:{id}")


def end_access_of_all(database: Database, *, actor: str) -> dict[str, int]:
    """End every session, sign-in link, invitation and API token, and return how many of each; one audit event has the numbers.

    After a restore, what was revoked, used or replaced since the backup would be valid again.

    Raises
    ------
    StorageError
        The database does not respond.
    """
    with database.begin() as connection:
        ended = {name: connection.execute(statement).rowcount for name, statement in _OF_ALL.items()}
        audit.record(connection, actor=actor, action="access.revoked", subject="database", details=ended)
    return ended
