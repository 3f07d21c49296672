"""Ends what a user, or somebody with the user's secrets, has access with: sessions, sign-in links and API tokens."""

from sqlalchemy import Connection, text

from db import audit

_SESSIONS = text("UPDATE sessions SET ended_at = node_now() WHERE user_id = :id AND ended_at IS NULL AND id <> :but")
_LINKS = text("UPDATE sign_in_links SET used_at = node_now() WHERE user_id = :id AND used_at IS NULL")
_TOKENS = text(
    "UPDATE api_tokens SET revoked_at = node_now() WHERE user_id = :id AND revoked_at IS NULL AND expires_at > node_now() RETURNING id"
)


def end_access(connection: Connection, user_id: int, *, actor: str, keep_session: int = 0) -> None:
    """End every session but ``keep_session``, every sign-in link and every API token of a user; each token is an audit event."""
    connection.execute(_SESSIONS, {"id": user_id, "but": keep_session})
    connection.execute(_LINKS, {"id": user_id})
    for id in sorted(connection.execute(_TOKENS, {"id": user_id}).scalars()):
        audit.record(connection, actor=actor, action="token.revoked", subject=f"token:{id}")
