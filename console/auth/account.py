"""The user's own account: password, second factor, open sessions and API tokens."""

import segno
from fastapi import APIRouter, Request, Response
from fastapi.templating import Jinja2Templates

from console.auth.access import UserRole
from console.auth.credentials.password_again import RefusedPassword, refused_password
from console.auth.credentials.passwords import hash_password
from console.auth.credentials.second_factor import enrolment_uri, is_secret, matching_step, new_secret
from console.auth.guard import Accounts, SignedIn, client_address
from console.auth.replies import page, redirect
from console.auth.scopes import scopes_for
from console.formats import format_error
from console.parameters import PostedForm, RowId, SearchText
from core.clock import system_clock
from core.errors import ConfigurationError
from db.accounts.api_tokens import add_token, list_tokens, revoke_token
from db.accounts.sessions import Session, end_session, list_sessions
from db.accounts.users import remove_second_factor, set_password, set_second_factor

DURATIONS = (7, 30, 90, 365)
"""Days for which a token may be made on the page."""
NOTICES = {
    "password": "Your password has changed. Your other sessions, sign-in links and API tokens have ended.",
    "factor": "From now on, signing in asks for a code of your authenticator.",
    "removed": "The second factor is removed: the password alone signs in.",
}
"""What a form of the page has changed, by the word in the address that it leads to."""


def build_router(accounts: Accounts, templates: Jinja2Templates) -> APIRouter:
    """Return the routes of the account page."""
    routes = APIRouter(include_in_schema=False)
    database = accounts.database

    def _page(request: Request, session: Session, *, secret: str = "", status: int = 200, **context: str) -> Response:
        sessions = list_sessions(database, session.user, accounts.limits)
        secret = secret or new_secret()
        uri = enrolment_uri(secret, session.user.name, accounts.ae_title)
        tokens = {"tokens": list_tokens(database, session.user), "scopes": scopes_for(UserRole(session.user.role)), "durations": DURATIONS}
        # without inline style, which the content security policy forbids
        picture = segno.make(uri, error="m").svg_inline(scale=4, border=2, svgclass="qr", lineclass=None, omitsize=True)
        shown = {"sessions": sessions, "secret": secret, "uri": uri, "picture": picture, **tokens, **context}
        return page(templates, request, "account.html", status_code=status, **shown)

    def _refused_password(request: Request, session: Session, password: str) -> RefusedPassword | None:
        return refused_password(database, session.user, password, client_address(request))

    @routes.get("/account")
    def account(request: Request, session: SignedIn, notice: SearchText = "") -> Response:
        """Show the account, and what a form has changed."""
        return _page(request, session, notice=NOTICES.get(notice, ""))

    @routes.get("/account/session")
    def session_open(session: SignedIn) -> Response:
        """Say for how many seconds the session lasts, without use and in any case.

        The guard takes the request for use of the session where the header of `activity.js` says so.
        """
        left = {"X-Idle-Left": str(int(session.idle_left_s)), "X-Age-Left": str(int(session.age_left_s))}
        return Response(status_code=204, headers=left)

    @routes.post("/account/password")
    def change_password(request: Request, form: PostedForm, session: SignedIn) -> Response:
        """Set a new password; every other session of the user ends."""
        old, new = str(form.get("old", "")), str(form.get("new", ""))
        refused = _refused_password(request, session, old)
        if refused is not None:
            return _page(request, session, status=refused.status, password_error=refused.message)
        try:
            hashed = hash_password(new)
        except ConfigurationError as error:
            return _page(request, session, status=422, password_error=format_error(error))
        set_password(database, session.user.id, hashed, actor=f"user:{session.user.name}", keep_session=session.id)
        return redirect("/account?notice=password")

    @routes.post("/account/second-factor")
    def enrol(request: Request, form: PostedForm, session: SignedIn) -> Response:
        """Store the secret after a code of it was entered: a wrong secret would lock the user out."""
        secret, code = str(form.get("secret", "")), str(form.get("code", ""))
        if session.user.has_second_factor:  # removing it asks for the password, and so must replacing it
            message = "There is a second factor. Remove it first."
            return _page(request, session, status=422, code_error=message)
        secret = secret if is_secret(secret) else ""
        if not secret or matching_step(secret, code, system_clock().timestamp()) is None:
            message = "This code does not belong to the secret. Check the clock of your device and enter the next code."
            return _page(request, session, secret=secret, status=422, code_error=message)
        set_second_factor(database, session.user.id, secret, actor=f"user:{session.user.name}")
        return redirect("/account?notice=factor")

    @routes.post("/account/second-factor/remove")
    def remove(request: Request, form: PostedForm, session: SignedIn) -> Response:
        """Remove the second factor; the password is asked for."""
        refused = _refused_password(request, session, str(form.get("password", "")))
        if refused is not None:
            return _page(request, session, status=refused.status, code_error=refused.message)
        try:
            remove_second_factor(database, session.user.id, actor=f"user:{session.user.name}")
        except ConfigurationError:
            return _page(request, session, status=422, code_error="There is no second factor.")
        return redirect("/account?notice=removed")

    @routes.post("/account/sessions/{session_id}/end")
    def end(session_id: RowId, session: SignedIn) -> Response:
        """End one of the user's own sessions; a foreign or unknown one is left as it is."""
        end_session(database, session_id, session.user)
        return redirect("/account")

    @routes.post("/account/tokens")
    def make_token(request: Request, form: PostedForm, session: SignedIn) -> Response:
        """Make an API token with scopes of the user's role; it is shown once."""
        name, days = str(form.get("token_name", "")).strip(), str(form.get("days", ""))
        offered = scopes_for(UserRole(session.user.role))
        chosen = [str(scope) for scope in form.getlist("scope") if scope in offered]
        actor = f"user:{session.user.name}"
        try:
            if days not in map(str, DURATIONS):
                raise ConfigurationError("choose for how long the token is valid")
            token = add_token(database, session.user, name=name, scopes=chosen, days=int(days), actor=actor)
        except ConfigurationError as error:
            return _page(request, session, status=422, token_error=format_error(error))
        return _page(request, session, token=token)

    @routes.post("/account/tokens/{token_id}/revoke")
    def revoke(token_id: RowId, session: SignedIn) -> Response:
        """Revoke one of the user's own tokens; a foreign or unknown one is left as it is."""
        revoke_token(database, token_id, user=session.user, actor=f"user:{session.user.name}")
        return redirect("/account#tokens")

    return routes
