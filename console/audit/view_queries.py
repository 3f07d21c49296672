"""The query page of auditors: rows of the views ``v_*`` by simple conditions, with what every column means, and as CSV."""

from collections.abc import Sequence
from datetime import datetime
from itertools import chain
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response
from fastapi.templating import Jinja2Templates
from markupsafe import Markup, escape
from starlette.exceptions import HTTPException

from console.audit.downloads import download
from console.auth.guard import Accounts, AsViewer
from console.auth.replies import page
from console.formats import format_error
from console.parameters import NO_NUL, SearchText
from core.csv_cells import format_csv_cell
from core.errors import ConfigurationError
from db.audit_views import (
    MOST_CONDITIONS,
    MOST_EXPORTED,
    MOST_SKIPPED,
    OPERATORS,
    PAGE_ROWS,
    SHOWN,
    ViewColumn,
    ViewCondition,
    describe_views,
    query_view,
    record_shown,
)

FIRST = "v_findings"
LONG, MOST_SHOWN, MOST_HINT = 40, 120, 600  # characters of a cell
LONG_VALUES = ("_uid", "_digest", "sha256", "_key", "_hash", "previous_hash")
Parts = Annotated[list[Annotated[str, Query(max_length=200, pattern=NO_NUL)]], Query(max_length=MOST_CONDITIONS)]

Skip = Annotated[int, Query(ge=0, le=MOST_SKIPPED)]


def _reading_order(columns: Sequence[ViewColumn]) -> list[int]:
    """Return the places of the columns as a page shows them: UIDs, digests and structured values, which are long, behind the others."""
    return sorted(range(len(columns)), key=lambda place: columns[place].type == "jsonb" or columns[place].name.endswith(LONG_VALUES))


def _table_body(rows: Sequence[Any], columns: Sequence[ViewColumn], places: Sequence[int]) -> Markup:
    """Return the rows as HTML. A page has thousands of cells, and a template needs several times as long for each."""
    shown = [_column(columns[place].name, [row[place] for row in rows]) for place in places]
    return Markup("".join(f"<tr>{''.join(cells)}</tr>" for cells in zip(*shown, strict=True)))


def _column(name: str, values: Sequence[Any]) -> list[str]:
    """Return the cells of the column ``name``, in which texts and times often follow each other unchanged."""
    cells, last, cell = [], None, _cell(name, None)
    for value in values:
        if value is not last and not (type(value) is type(last) and isinstance(value, str | datetime) and value == last):
            last, cell = value, _cell(name, value)
        cells.append(cell)
    return cells


def _cell(name: str, value: Any) -> str:
    """Return one cell with the name of its column, which a narrow page shows beside it.

    Where it does not show or may not show everything, the text appears over it.
    """
    text = format_csv_cell(value)
    if len(text) <= LONG:
        return f'<td data-label="{name}">{escape(text)}</td>'
    return f'<td data-label="{name}" title="{escape(_cut(text, MOST_HINT))}">{escape(_cut(text, MOST_SHOWN))}</td>'


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _page_address(kept: list[tuple[str, str]], skip: int) -> str:
    return f"/audit/views?{urlencode([*kept, ('skip', str(max(0, skip)))])}"


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
        skip: Skip = 0,
    ) -> Response:  # fmt: skip
        """Show a page of the rows that pass every condition, the newest first."""
        described = describe_views(database)
        if view not in described:
            raise HTTPException(404, "there is no such view")
        conditions, found, error = _conditions(column, operator, value), [], ""
        places = _reading_order(described[view].columns)
        try:
            found = list(query_view(database, view, conditions, limit=PAGE_ROWS, skip=skip, actor=viewer.actor, address=viewer.address))
            record_shown(database, view, found[:SHOWN], actor=viewer.actor, address=viewer.address)
        except ConfigurationError as problem:
            error = format_error(problem)
        more, rows = len(found) > SHOWN, found[:SHOWN]
        kept = [("view", view)]
        for condition in conditions:
            kept += [("column", condition.column), ("operator", condition.operator), ("value", condition.value)]
        context: dict[str, Any] = {
            "views": described,
            "view": described[view],
            "shown": [described[view].columns[place] for place in places],
            "conditions": [*conditions, ViewCondition("", "is")][:MOST_CONDITIONS],
            "operators": list(OPERATORS),
            "body": _table_body(rows, described[view].columns, places),
            "first": skip + 1,
            "last": skip + len(rows),
            "earlier": _page_address(kept, skip - SHOWN) if skip else "",
            "later": _page_address(kept, skip + SHOWN) if more and skip + SHOWN <= MOST_SKIPPED else "",
            "more": more,
            "most_exported": MOST_EXPORTED,
            "query": urlencode(kept),
            "error": error,
        }
        return page(templates, request, "views.html", status_code=422 if error else 200, **context)

    @routes.get("/audit/views/export")
    def export(
        viewer: AsViewer, view: SearchText = FIRST, column: Parts = [], operator: Parts = [], value: Parts = [],  # noqa: B006
    ) -> Response:  # fmt: skip
        """Send the rows that pass, as CSV: all of them, up to a limit that the last line then names."""
        described = describe_views(database).get(view)
        if described is None:
            raise HTTPException(404, "there is no such view")
        conditions = _conditions(column, operator, value)
        rows = query_view(database, view, conditions, limit=MOST_EXPORTED + 1, actor=viewer.actor, address=viewer.address)
        try:
            rows = chain([first for first in [next(rows, None)] if first is not None], rows)
        except ConfigurationError as problem:  # before the answer has begun
            raise HTTPException(422, str(problem)) from problem
        return download(view, [entry.name for entry in described.columns], rows, as_json=False, most=MOST_EXPORTED)

    return routes
