"""The routes of the console, also those of routers that other routers include."""

from collections.abc import Iterable, Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from console.app import create_app
from console.auth.guard import Accounts
from console.current_settings import CurrentSettings
from console.health import NodeReadiness, NodeSnapshot
from core.settings.settings import Settings
from db.accounts.sessions import SessionLimits
from db.engine import Database


def console_routes(database: Database) -> set[tuple[str, str]]:
    """Return (method, path) of every route."""
    accounts = Accounts(database, SessionLimits(1, 1), secure=False, ae_title="T")
    application: FastAPI = create_app(lambda: NodeSnapshot(NodeReadiness(()), None, None), accounts, CurrentSettings(Settings()))
    included = [route for route in application.routes if hasattr(route, "original_router")]
    return {(method, route.path) for route in _flat(included) for method in route.methods or ()}


def _flat(routes: Iterable[Any]) -> Iterator[APIRoute]:
    for route in routes:
        router = getattr(route, "original_router", None)
        if router is not None:
            yield from _flat(router.routes)
        else:
            assert isinstance(route, APIRoute), route
            yield route
