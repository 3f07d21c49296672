"""Replies that the pages of sign-in share: pages, redirects, and the session cookie."""

from typing import Any

from fastapi import Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.templating import Jinja2Templates

from console.auth.guard import Accounts
from db.accounts.sessions import Session


def page(templates: Jinja2Templates, request: Request, template: str, /, *, status_code: int = 200, **context: Any) -> HTMLResponse:
    """Render a page; ``session`` is that of the request, so that the heading shows who is signed in."""
    session: Session | None = getattr(request.state, "session", None)
    shown = session if session is not None and session.confirmed else None
    return templates.TemplateResponse(request, template, {"session": shown, **context}, status_code=status_code)


def redirect(path: str) -> RedirectResponse:
    """Send the browser to a page with GET (303), so that reloading it repeats no form."""
    return RedirectResponse(path, status_code=303)


def set_session_cookie(response: Response, accounts: Accounts, token: str) -> None:
    """Give the browser the token: not readable by scripts, never sent with requests of other sites."""
    response.set_cookie(
        accounts.cookie, token, max_age=int(accounts.limits.max_s), path="/", secure=accounts.secure, httponly=True, samesite="lax"
    )


def delete_session_cookie(response: Response, accounts: Accounts) -> None:
    """Take the token away."""
    response.delete_cookie(accounts.cookie, path="/", secure=accounts.secure, httponly=True, samesite="lax")
