"""The query page of auditors: rows of the views ``v_*`` by simple conditions, with what every column means, and as CSV."""

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response
from fastapi.templating import Jinja2Templates
from starlette.exceptions import HTTPException

from console.audit.downloads import download, format_cell
from console.auth.guard import Accounts, AsViewer
from console.auth.replies import page
from console.parameters import NO_NUL, SearchText
from core.errors import ConfigurationError
from db.audit_views import MOST_CONDITIONS, OPERATORS, SHOWN, ViewCondition, describe_views, query_view

FIRST = "v_findings"
Parts = Annotated[list[Annotated[str, Query(max_length=200, pattern=NO_NUL)]], Query(max_length=MOST_CONDITIONS)]


def _conditions(column: list[str], operator: list[str], value: list[str]) -> list[ViewCondition]:
    """Return the conditions of the form; lines without a column are left out."""
    return [ViewCondition(*parts) for parts in zip(column, operator, (text.strip() for text in value), strict=False) if parts[0]]


def build_router(accounts: Accounts, templates: Jinja2Templates) -> APIRouter:
    """Return the routes of the query page."""
    routes = APIRouter(include_in_schema=False)
    database = accounts.database

    @routes.get("/audit/views")
    def views(
        request: Request, viewer: AsViewer, view: SearchText = FIRST, column: Parts = [], operator: Parts = [], value: Parts = [],  # noqa: B006
    ) -> Response:  # fmt: skip
        """Show the newest rows that pass every condition."""
        described = describe_views(database)
        if view not in described:
            raise HTTPException(404, "there is no such view")
        conditions, rows, error = _conditions(column, operator, value), [], ""
        try:
            found = query_view(database, view, conditions, limit=SHOWN + 1, actor=viewer.actor, address=viewer.address)
            rows = [[format_cell(cell) for cell in row] for row in found]
        except ConfigurationError as problem:
            error = f"{str(problem)[:1].upper()}{str(problem)[1:]}."
        kept = [("view", view)]
        for condition in conditions:
            kept += [("column", condition.column), ("operator", condition.operator), ("value", condition.value)]
        context: dict[str, Any] = {
            "views": described,
            "view": described[view],
            "conditions": [*conditions, ViewCondition("", "is")][:MOST_CONDITIONS],
            "operators": list(OPERATORS),
            "rows": rows[:SHOWN],
            "more": len(rows) > SHOWN,
            "query": urlencode(kept),
            "error": error,
        }
        return page(templates, request, "views.html", status_code=422 if error else 200, **context)

    @routes.get("/audit/views/export")
    def export(
        viewer: AsViewer, view: SearchText = FIRST, column: Parts = [], operator: Parts = [], value: Parts = [],  # noqa: B006
    ) -> Response:  # fmt: skip
        """Send every row that passes, as CSV."""
        described = describe_views(database).get(view)
        if described is None:
            raise HTTPException(404, "there is no such view")
        conditions = _conditions(column, operator, value)
        rows = query_view(database, view, conditions, limit=None, actor=viewer.actor, address=viewer.address)
        return download(view, [entry.name for entry in described.columns], rows, as_json=False)

    return routes
