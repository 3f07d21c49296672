"""The check before every route: who asks, whether the role may, and whether a form comes from a page of this console."""

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import quote, urlsplit

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool

from console.auth.access import ACCESS, PUBLIC, UserRole
from console.auth.bearer import bearer_token, token_session
from core.settings.web.console import OidcSection
from db.accounts.sessions import Session, SessionLimits, find_session
from db.engine import Database

WRITING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
FORM_TOKEN = "form_token"
FORM_TOKEN_HEADER = "X-Form-Token"
ACTIVITY_HEADER = "X-Activity"
"""Of `activity.js`: yes where a person uses the page that sends it."""


@dataclass(frozen=True, slots=True)
class Accounts:
    """What the pages of sign-in need.

    Attributes
    ----------
    limits
        Of sessions.
    secure
        Whether cookies are for HTTPS only.
    public_url
        The address with which links begin (`console.server.address.public_address`).
    """

    database: Database
    limits: SessionLimits
    secure: bool
    ae_title: str
    oidc: OidcSection | None = None
    public_url: str = ""

    @property
    def local_sign_in(self) -> bool:
        """Whether users may sign in with a password of the console."""
        return self.oidc is None or self.oidc.local_sign_in

    @property
    def cookie(self) -> str:
        """Name of the session cookie; with ``__Host-`` browsers accept it only from this host over HTTPS (RFC 6265bis 4.1.3.2)."""
        return "__Host-dicom-node" if self.secure else "dicom-node"


class SignInNeeded(Exception):
    """Nobody is signed in; ``next`` is the path to come back to."""

    def __init__(self, next: str) -> None:
        super().__init__("sign in first")
        self.next = next


class AccessDenied(Exception):
    """The request is refused; the text is shown to the user. ``of_role``: another role may open the page."""

    of_role = False


class RoleDenied(AccessDenied):
    """The user's role may not open the page."""

    of_role = True


def safe_path(path: str) -> str:
    """Return ``path`` if it is a path of this console, else ``/``: never an address elsewhere (open redirect)."""
    try:
        parts = urlsplit(path)
    except ValueError:  # as "//[", which is no address at all
        return "/"
    local = path.startswith("/") and not path.startswith("//") and not (parts.scheme or parts.netloc)
    own = local and "\\" not in path and path.isprintable()
    return path if own else "/"


def _origin_host(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


def client_address(request: Request) -> str:
    """Return the address of the browser, or of the proxy before it."""
    return request.client.host if request.client is not None else "unknown"


def check_origin(request: Request, public_url: str) -> None:
    """Refuse a writing request that another site's page sent. A page of this console has the host of the request, or ``public_url``.

    Raises
    ------
    AccessDenied
        ``Origin``, or where a browser sends none ``Sec-Fetch-Site``, is not this console.
    """
    origin = request.headers.get("origin")
    if origin is None:
        if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            raise AccessDenied("this form came from another site")
    elif origin != public_url and _origin_host(origin) != request.headers.get("host"):
        raise AccessDenied("this form came from another site")


def require_form_token(given: object, expected: str) -> None:
    """Refuse a form that does not repeat the token of the session, in a field or, where the body is no form, in a header.

    Raises
    ------
    AccessDenied
        The token is missing or wrong.
    """
    if given != expected:
        raise AccessDenied("this form is too old, or came from another site: go back, reload the page and try again")


def is_of_a_person(request: Request) -> bool:
    """Whether a person did something: opened a page, sent a form or a file, or uses a page (`activity.js`).

    Pages read lists and states again by themselves; that must not keep the session of an unattended workstation. Every browser asks for
    HTML where it opens a page, and for anything in requests of scripts, also without HTTPS.
    """
    headers = request.headers
    return request.method in WRITING or "text/html" in headers.get("accept", "") or headers.get(ACTIVITY_HEADER) == "yes"


async def browser_session(accounts: Accounts, request: Request) -> Session | None:
    """Return the session of the cookie; None where there is no cookie, or the session has ended."""
    token = request.cookies.get(accounts.cookie)
    if token is None:
        return None
    return await run_in_threadpool(find_session, accounts.database, token, accounts.limits, used=is_of_a_person(request))


def build_guard(accounts: Accounts):  # type: ignore[no-untyped-def]  # FastAPI reads the inner signature
    """Return the dependency that the application runs before every route. It leaves the session in ``request.state.session``."""

    async def guard(request: Request) -> None:
        """Look the route up in `ACCESS` and refuse users whose role is not listed."""
        path = request.scope["route"].path
        method = "GET" if request.method == "HEAD" else request.method
        allowed = ACCESS[method, path]
        if method in WRITING:
            check_origin(request, accounts.public_url)
        token = bearer_token(request) if allowed != PUBLIC else None
        request.state.session = await browser_session(accounts, request) if token is None else await _token_session(request, token)
        if allowed == PUBLIC:
            return
        session: Session | None = request.state.session
        if session is None or not session.confirmed:
            asked = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            raise SignInNeeded(quote(asked, safe="/") if method == "GET" else "/")
        if UserRole(session.user.role) not in allowed:
            raise RoleDenied(f"the role {session.user.role} may not open this page")
        if method in WRITING and token is None:  # other sites cannot make a browser send a token
            require_form_token(request.headers.get(FORM_TOKEN_HEADER) or (await request.form()).get(FORM_TOKEN), session.form_token)

    async def _token_session(request: Request, token: str) -> Session:
        return await run_in_threadpool(token_session, accounts.database, request, token, client_address(request))

    return guard


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who makes a request, for the audit trail: ``actor`` as ``user:NAME``, ``address`` with the number of the token if there is one."""

    actor: str
    address: str


def _viewer(request: Request) -> Viewer:
    token = getattr(request.state, "token_id", None)
    address = client_address(request)
    return Viewer(f"user:{_signed_in(request).user.name}", address if token is None else f"{address}, token {token}")


def _signed_in(request: Request) -> Session:
    session: Session = request.state.session
    return session


SignedIn = Annotated[Session, Depends(_signed_in)]
"""The session of a route that needs sign-in."""

AsViewer = Annotated[Viewer, Depends(_viewer)]
"""The user of a route that needs sign-in, as the audit trail names people."""
