"""The page that describes the API for people, from the same document that programs read; like that it needs no sign-in."""

import re
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.templating import Jinja2Templates
from markupsafe import Markup, escape

from console.api_reference.operations import ApiOperation, operations_by_scope
from console.auth.guard import Accounts
from console.auth.replies import page
from console.auth.scopes import MEANING

_CODE = re.compile(r"`([^`]*)`")


def text_with_code(text: str) -> Markup:
    """Return a text as HTML; what stands between backticks is code."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))


def build_router(accounts: Accounts, templates: Jinja2Templates, document: Callable[[], dict[str, Any]]) -> APIRouter:
    """Return the route of the page. ``document`` makes the OpenAPI document, which takes a while: it is read once."""
    routes = APIRouter(include_in_schema=False)
    kept: dict[str, list[ApiOperation]] = {}

    @routes.get("/api")
    def api_page(request: Request) -> Response:
        """Show every operation of the API by the scope that it needs."""
        if not kept:
            kept.update(operations_by_scope(document()))
        return page(templates, request, "api.html", groups=kept, meanings=MEANING, url=accounts.public_url, with_code=text_with_code)

    return routes
