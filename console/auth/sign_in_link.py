"""Sign-in with a link that was made on the command line. A button uses the link, because programs that preview links open them."""

from fastapi import APIRouter, Request, Response
from fastapi.templating import Jinja2Templates

from console.auth.guard import Accounts, client_address
from console.auth.replies import page, redirect, set_session_cookie
from db.accounts.sessions import open_session
from db.accounts.sign_in_links import is_valid_sign_in_link, use_sign_in_link


def build_router(accounts: Accounts, templates: Jinja2Templates) -> APIRouter:
    """Return the routes of sign-in with a link."""
    routes = APIRouter(include_in_schema=False)
    database = accounts.database

    @routes.get("/sign-in/link/{token}")
    def link_page(request: Request, token: str) -> Response:
        """Show the button, or that the link was used or is too old. Reading the page does not use the link up."""
        valid = is_valid_sign_in_link(database, token)
        return page(templates, request, "sign_in_link.html", status_code=200 if valid else 410, valid=valid)

    @routes.post("/sign-in/link/{token}")
    def sign_in(request: Request, token: str) -> Response:
        """Use the link up and open a session; a second factor is still asked for."""
        user = use_sign_in_link(database, token)
        if user is None:
            return page(templates, request, "sign_in_link.html", status_code=410, valid=False)
        agent = request.headers.get("user-agent", "")
        session = open_session(database, user, address=client_address(request), user_agent=agent)
        reply = redirect("/sign-in/code" if user.has_second_factor else "/worklist")
        set_session_cookie(reply, accounts, session)
        return reply

    return routes
