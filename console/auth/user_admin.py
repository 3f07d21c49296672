"""Users, for administrators: invite, change role, disable, enable, remove a lost second factor."""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.templating import Jinja2Templates

from console.auth.access import MEANINGS, UserRole
from console.auth.guard import Accounts, SignedIn
from console.auth.replies import page, redirect
from console.formats import format_error
from console.parameters import PostedForm, RowId
from core.errors import ConfigurationError
from db.accounts.invitations import invite_user
from db.accounts.sessions import Session
from db.accounts.users import LONGEST_NAME, disable_user, enable_user, find_user, list_users, remove_second_factor, set_role


def build_router(accounts: Accounts, templates: Jinja2Templates) -> APIRouter:
    """Return the routes of the users page."""
    routes = APIRouter(include_in_schema=False)
    database = accounts.database

    def _page(request: Request, *, status: int = 200, **context: str) -> Response:
        shown: dict[str, Any] = {"users": list_users(database), "roles": list(UserRole), "meanings": MEANINGS, **context}
        return page(templates, request, "users.html", status_code=status, **shown)

    @routes.get("/users")
    def users(request: Request) -> Response:
        """List the users."""
        return _page(request)

    @routes.post("/users/invite")
    def invite(request: Request, form: PostedForm, session: SignedIn) -> Response:
        """Make a link with which a person registers; it is shown once."""
        name, role = str(form.get("name", "")).strip(), str(form.get("role", ""))
        problem = _problem_of(name, role)
        if problem is None and find_user(database, name) is not None:
            problem = f"There is a user {name} already."
        if problem is not None:
            return _page(request, status=422, error=problem or "", name=name)
        token = invite_user(database, name=name, role=role, actor=f"user:{session.user.name}")
        link = f"{accounts.public_url}/invitations/{token}"
        return _page(request, link=link, invited=name)

    @routes.post("/users/{user_id}/role")
    def change_role(request: Request, form: PostedForm, user_id: RowId, session: SignedIn) -> Response:
        """Give a user another role."""
        role = str(form.get("role", ""))
        if role not in set(UserRole):
            return _page(request, status=422, error=f"There is no role {role}.")
        return _changed(request, lambda actor: set_role(database, user_id, role, actor=actor), session)

    @routes.post("/users/{user_id}/disable")
    def disable(request: Request, user_id: RowId, session: SignedIn) -> Response:
        """Disable a user; the user's sessions end."""
        return _changed(request, lambda actor: disable_user(database, user_id, actor=actor), session)

    @routes.post("/users/{user_id}/enable")
    def enable(request: Request, user_id: RowId, session: SignedIn) -> Response:
        """Let a user sign in again."""
        return _changed(request, lambda actor: enable_user(database, user_id, actor=actor), session)

    @routes.post("/users/{user_id}/second-factor/remove")
    def remove_factor(request: Request, user_id: RowId, session: SignedIn) -> Response:
        """Remove the lost second factor of another user; that of the own account is removed with the password, on the account page."""
        if user_id == session.user.id:
            return _page(request, status=409, error="Remove your own second factor on the account page, which asks for the password.")
        return _changed(request, lambda actor: remove_second_factor(database, user_id, actor=actor), session)

    def _changed(request: Request, change: Callable[[str], None], session: Session) -> Response:
        try:
            change(f"user:{session.user.name}")
        except ConfigurationError as error:
            return _page(request, status=409, error=format_error(error))
        return redirect("/users")

    return routes


def _problem_of(name: str, role: str) -> str | None:
    """Return what is wrong with an invitation, in words for the person who invites."""
    if not 1 <= len(name) <= LONGEST_NAME or not name.isprintable():
        return f"A name has 1 to {LONGEST_NAME} printable characters."
    return None if role in set(UserRole) else f"There is no role {role}."
