"""Sign-in with password and, where the user has one, a second factor; sign-out."""

from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from fastapi.templating import Jinja2Templates

from console.auth.credentials.passwords import check_password, waiting_message
from console.auth.credentials.second_factor import accept_code
from console.auth.guard import (
    FORM_TOKEN,
    FORM_TOKEN_HEADER,
    AccessDenied,
    Accounts,
    SignedIn,
    client_address,
    require_form_token,
    safe_path,
)
from console.auth.replies import delete_session_cookie, page, redirect, set_session_cookie
from console.parameters import PostedForm, SearchText
from db.accounts.sessions import Session, confirm_session, end_session, open_session
from db.accounts.sign_in_limits import begin_attempt, clear_failures, delete_attempt, record_failure
from db.accounts.users import User, find_user

WRONG = "Name or password is wrong."
WRONG_CODE = "This code is wrong or was used already. Wait for the next one."
NOTICES = {
    "ended": "Your session has ended. Sign in to go on where you were.",
    "registered": "You are registered. Sign in with the password that you have chosen.",
    "out": "You are signed out.",
}
"""Why the page of sign-in is shown, by the word in its address."""


def build_router(accounts: Accounts, templates: Jinja2Templates) -> APIRouter:
    """Return the routes of sign-in and sign-out."""
    routes = APIRouter(include_in_schema=False)
    database = accounts.database

    def _page(request: Request, **context: Any) -> HTMLResponse:
        return page(templates, request, "sign_in.html", oidc=accounts.oidc, **context)

    @routes.get("/sign-in")
    def sign_in_page(request: Request, next: str = "/", notice: SearchText = "") -> Response:
        """Show the form, and why it is shown."""
        return _page(request, next=safe_path(next), notice=NOTICES.get(notice, ""))

    @routes.post("/sign-in")
    def sign_in(request: Request, form: PostedForm) -> Response:
        """Check name and password; on success open a session with a new token."""
        if not accounts.local_sign_in:
            raise AccessDenied("sign-in with a password is switched off")
        name, password = str(form.get("name", "")).strip(), str(form.get("password", ""))
        next_path, address = safe_path(str(form.get("next", "/"))), client_address(request)
        attempt = begin_attempt(database, name, address)
        if attempt.wait_s > 0:
            locked = _page(request, status_code=429, next=next_path, name=name, error=waiting_message(attempt.wait_s))
            return _with_wait(locked, attempt.wait_s)
        user = _user_with_password(name, password)
        if user is None:
            known = find_user(database, name)
            record_failure(database, address, user_id=known.id if known is not None else None)
            return _page(request, status_code=401, next=next_path, name=name, error=WRONG)
        agent = request.headers.get("user-agent", "")
        token = open_session(database, user, address=address, user_agent=agent)
        if user.has_second_factor:  # a right password must not clear what wrong codes have counted
            delete_attempt(database, attempt)
        else:
            clear_failures(database, name)
        reply = redirect(f"/sign-in/code?next={quote(next_path)}" if user.has_second_factor else next_path)
        set_session_cookie(reply, accounts, token)
        return reply

    @routes.get("/sign-in/code")
    def code_page(request: Request, next: str = "/") -> Response:
        """Ask for the code of the second factor."""
        session: Session | None = request.state.session
        if session is None or session.confirmed:
            return redirect("/sign-in" if session is None else "/")
        return page(templates, request, "code.html", next=safe_path(next), form_token=session.form_token)

    @routes.post("/sign-in/code")
    def enter_code(request: Request, form: PostedForm) -> Response:
        """Check the code; on success the session is confirmed and gets a new token."""
        session: Session | None = request.state.session
        if session is None or session.confirmed:
            return redirect("/sign-in" if session is None else "/")
        require_form_token(request.headers.get(FORM_TOKEN_HEADER) or form.get(FORM_TOKEN), session.form_token)
        next_path, address, user = safe_path(str(form.get("next", "/"))), client_address(request), session.user
        attempt = begin_attempt(database, user.name, address)
        context = {"next": next_path, "form_token": session.form_token}
        if attempt.wait_s > 0:
            locked = page(templates, request, "code.html", status_code=429, error=waiting_message(attempt.wait_s), **context)
            return _with_wait(locked, attempt.wait_s)
        if not accept_code(database, user, str(form.get("code", ""))):
            record_failure(database, address, user_id=user.id)
            return page(templates, request, "code.html", status_code=401, error=WRONG_CODE, **context)
        clear_failures(database, user.name)
        token = confirm_session(database, session, address=address)
        reply = redirect(next_path)
        set_session_cookie(reply, accounts, token)
        return reply

    @routes.post("/sign-out")
    def sign_out(session: SignedIn) -> Response:
        """End the session."""
        end_session(database, session.id, session.user)
        reply = redirect("/sign-in?notice=out")
        delete_session_cookie(reply, accounts)
        return reply

    def _user_with_password(name: str, password: str) -> User | None:
        user = find_user(database, name)
        active = user is not None and user.disabled_at is None
        right = check_password(user.password_hash if user is not None and active else None, password)
        return user if right else None

    return routes


def _with_wait(reply: HTMLResponse, wait_s: float) -> HTMLResponse:
    """Say in the header of a reply when the next attempt counts."""
    reply.headers["Retry-After"] = str(int(wait_s) + 1)
    return reply
