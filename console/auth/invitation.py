"""The page behind an invitation: the invited person chooses a password."""

from fastapi import APIRouter, Request, Response
from fastapi.templating import Jinja2Templates

from console.auth.access import MEANINGS
from console.auth.credentials.passwords import hash_password
from console.auth.guard import AccessDenied, Accounts
from console.auth.replies import page, redirect
from console.formats import format_error
from console.parameters import PostedForm
from core.errors import ConfigurationError
from db.accounts.invitations import accept_invitation, find_invitation


def build_router(accounts: Accounts, templates: Jinja2Templates) -> APIRouter:
    """Return the routes of registration."""
    routes = APIRouter(include_in_schema=False)
    database = accounts.database

    @routes.get("/invitations/{token}")
    def invitation_page(request: Request, token: str) -> Response:
        """Show the form, or that the link is no longer valid."""
        found = find_invitation(database, token)
        status = 200 if found is not None else 410
        return page(templates, request, "invitation.html", status_code=status, invitation=found, meanings=MEANINGS)

    @routes.post("/invitations/{token}")
    def register(request: Request, form: PostedForm, token: str) -> Response:
        """Add the user with the chosen password."""
        if not accounts.local_sign_in:
            raise AccessDenied("sign-in with a password is switched off")
        password = str(form.get("password", ""))
        found = find_invitation(database, token)
        try:
            hashed = hash_password(password)
            accept_invitation(database, token, hashed)
        except ConfigurationError as error:
            status, words = (422, format_error(error)) if found is not None else (410, "")
            return page(templates, request, "invitation.html", status_code=status, invitation=found, meanings=MEANINGS, error=words)
        return redirect("/sign-in?notice=registered")

    return routes
