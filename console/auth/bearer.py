"""API tokens in requests: ``Authorization: Bearer TOKEN`` (RFC 6750) in place of the cookie of a session."""

from fastapi import Request

from console.auth.scopes import API, scope_of
from db.accounts.api_tokens import TokenUse, find_token
from db.accounts.sessions import Session
from db.engine import Database


class TokenRefused(Exception):
    """The token is unknown, expired or revoked, or its user is disabled."""


class ScopeMissing(Exception):
    """The token does not open this part of the API."""


def bearer_token(request: Request) -> str | None:
    """Return the token of a request to the API; None where it brings none."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if request.url.path.startswith(API) and scheme.lower() == "bearer" else None


def token_session(database: Database, request: Request, token: str, address: str) -> Session:
    """Return a session for this one request, and leave the number of the token in ``request.state.token_id``.

    Raises
    ------
    TokenRefused
        The token is not valid.
    ScopeMissing
        The token is valid and has another scope.
    """
    found: TokenUse | None = find_token(database, token, address=address)
    if found is None:
        raise TokenRefused("this token is unknown, expired or revoked")
    needed = scope_of(request.scope["route"].path)
    if needed is None or needed not in found.scopes:
        raise ScopeMissing("no token opens this path" if needed is None else f"this token lacks the scope {needed}")
    request.state.token_id = found.id
    return Session(0, found.user, "", confirmed=True)
