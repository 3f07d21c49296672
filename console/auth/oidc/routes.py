"""Sign-in by OpenID Connect: the way to the provider and back."""

import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode

import structlog
from fastapi import APIRouter, Request, Response
from fastapi.templating import Jinja2Templates
from starlette.exceptions import HTTPException

from console.auth.access import UserRole
from console.auth.guard import Accounts, client_address, safe_path
from console.auth.oidc.identity import ProviderIdentity, ProviderUnavailable, SignInRefused
from console.auth.replies import page, redirect, set_session_cookie
from console.formats import format_error
from console.parameters import SearchText
from core.errors import ConfigurationError
from core.settings.web.console import OidcSection
from db import audit
from db.accounts.provider_users import provider_user
from db.accounts.sessions import open_session
from db.accounts.sign_in_limits import begin_attempt
from db.accounts.users import User

log = structlog.get_logger(__name__)

COOKIE = "dicom-node-oidc"
COOKIE_PATH = "/sign-in/oidc"
VALID_S = 600
RETRY_AFTER_S = "5"
AGAIN = "If it happens again, give the administrator of the console this word: {reason}."
# Reasons of refusals that anybody can cause, without an account at the provider.
OF_ANYBODY = frozenset({"state", "provider", "unreachable", "issuer", "discovery", "keys", "configuration"})


def build_router(accounts: Accounts, templates: Jinja2Templates) -> APIRouter:
    """Return the routes; they answer 404 where no provider is configured."""
    routes = APIRouter(include_in_schema=False)
    database = accounts.database
    provider = None
    if accounts.oidc is not None:
        from console.auth.oidc.provider import OidcProvider  # its libraries are loaded only where a provider is configured

        provider = OidcProvider(accounts.oidc)

    def _refuse(request: Request, reason: str, message: str, refused: SignInRefused | None = None) -> Response:
        address = client_address(request)
        # Counted for each address as failed passwords are: requests of anybody must not fill the audit trail.
        if reason not in OF_ANYBODY or begin_attempt(database, f"\0oidc {address}", address).wait_s == 0:
            details = {"from": address, "reason": reason}
            audit.record_now(database, actor="anonymous", action="sign_in.failed", subject="oidc", details=details)
            if reason == "configuration" and refused is not None:
                log.error("oidc_misconfigured", reason=str(refused.__cause__))
        unavailable = isinstance(refused, ProviderUnavailable)
        status, heading = (503, "Sign-in is not possible now") if unavailable else (403, "Sign-in was refused")
        said = {"heading": heading, "message": message, "hint": AGAIN.format(reason=reason)}
        said |= {"link": "/sign-in", "link_text": "Sign in again"}
        reply = page(templates, request, "message.html", status_code=status, **said)
        if unavailable:
            reply.headers["Retry-After"] = RETRY_AFTER_S
        reply.delete_cookie(COOKIE, path=COOKIE_PATH)
        return reply

    @routes.get("/sign-in/oidc")
    def begin(request: Request, next: SearchText = "/") -> Response:
        """Send the browser to the provider; a cookie keeps what the way back is compared with."""
        if provider is None:
            raise HTTPException(404, "no provider is configured")
        kept = {"state": secrets.token_urlsafe(32), "nonce": secrets.token_urlsafe(32), "verifier": secrets.token_urlsafe(48)}
        try:
            target = provider.authorization_url(**kept)
        except SignInRefused as refused:
            return _refuse(request, refused.reason, str(refused), refused)
        reply = redirect(target)
        value = urlsafe_b64encode(json.dumps({**kept, "next": safe_path(next)}).encode()).decode()
        reply.set_cookie(COOKIE, value, max_age=VALID_S, path=COOKIE_PATH, secure=accounts.secure, httponly=True, samesite="lax")
        return reply

    @routes.get("/sign-in/oidc/callback")
    def come_back(request: Request) -> Response:
        """Check what the provider says, and open a session."""
        if provider is None or accounts.oidc is None:
            raise HTTPException(404, "no provider is configured")
        kept = _read_cookie(request)
        try:
            identity = provider.identify(dict(request.query_params), state=kept["state"], nonce=kept["nonce"], verifier=kept["verifier"])
            user = _user(accounts.oidc, identity)
        except SignInRefused as refused:
            return _refuse(request, refused.reason, str(refused), refused)
        except ConfigurationError as error:
            return _refuse(request, "user", format_error(error))
        agent = request.headers.get("user-agent", "")
        token = open_session(database, user, address=client_address(request), user_agent=agent)
        reply = redirect(safe_path(kept["next"]))
        reply.delete_cookie(COOKIE, path=COOKIE_PATH)
        set_session_cookie(reply, accounts, token)
        return reply

    def _user(section: OidcSection, identity: ProviderIdentity) -> User:
        values = [value.removeprefix(section.role_prefix) for value in identity.roles if value.startswith(section.role_prefix)]
        roles = sorted({value for value in values if value in set(UserRole)})
        if len(roles) != 1:
            message = "The provider gives you no role of this console." if not roles else "The provider gives you several roles."
            raise SignInRefused("role", f"{message} Ask its administrator.")
        return provider_user(database, issuer=section.issuer, subject=identity.subject, name=identity.name, role=roles[0])

    return routes


def _read_cookie(request: Request) -> dict[str, str]:
    """Return what `begin` has kept; empty values where the cookie is missing or damaged."""
    try:
        kept = json.loads(urlsafe_b64decode(request.cookies.get(COOKIE, "")))
    except ValueError:
        kept = {}
    found = kept if isinstance(kept, dict) else {}
    return {name: str(found.get(name, "")) for name in ("state", "nonce", "verifier", "next")}
