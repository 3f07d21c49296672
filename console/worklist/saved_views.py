"""Saving and deleting the user's own named views of the worklist."""

from urllib.parse import parse_qsl, urlencode

from fastapi import APIRouter, Request, Response
from fastapi.templating import Jinja2Templates

from console.auth.guard import Accounts, SignedIn
from console.auth.replies import page, redirect
from console.parameters import PostedForm, RowId
from console.worklist.routes import FIELDS
from db.accounts.saved_views import MOST, delete_view, save_view

KEPT = frozenset((*FIELDS, "since", "until"))
LONGEST_NAME = 60
LONGEST_QUERY = 1000


def filters_alone(query: str) -> str:
    """Return the filters of a query of the worklist, without empty ones and without anything else."""
    return urlencode(
        [(name, value) for name, value in parse_qsl(query[: 4 * LONGEST_QUERY]) if name in KEPT and value and "\0" not in value]
    )


def build_router(accounts: Accounts, templates: Jinja2Templates) -> APIRouter:
    """Return the routes of saved views."""
    routes = APIRouter(include_in_schema=False)

    @routes.post("/worklist/views")
    def save(request: Request, form: PostedForm, session: SignedIn) -> Response:
        """Save the filters under a name; a view of that name is replaced."""
        name, query = str(form.get("name", "")).strip(), filters_alone(str(form.get("query", "")))
        problem = ""
        if not 1 <= len(name) <= LONGEST_NAME or not name.isprintable():
            problem = f"Give the view a name of 1 to {LONGEST_NAME} characters."
        elif len(query) > LONGEST_QUERY:
            problem = "These filters are too long to be saved."
        elif not save_view(accounts.database, session.user.id, name, query):
            problem = f"You have {MOST} saved views already: delete one first."
        if problem:
            return page(templates, request, "message.html", status_code=422, heading="The view was not saved", message=problem)
        return redirect(f"/worklist?{query}")

    @routes.post("/worklist/views/{view_id}/delete")
    def delete(view_id: RowId, session: SignedIn) -> Response:
        """Delete a view of the user."""
        delete_view(accounts.database, session.user.id, view_id)
        return redirect("/worklist")

    return routes
