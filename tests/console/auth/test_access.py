"""Every route against every role: the table in `console.auth.access` decides, and a route that it lacks fails here."""

import re

import pytest

from console.auth.access import ACCESS, PUBLIC, UserRole
from db.engine import Database
from tests.support.console import RunningConsole
from tests.support.console_routes import console_routes

_LINK = re.compile(r"\{(?:[^}]*id|kind|verb)\}")


def test_every_route_is_in_the_table_and_no_other(database: Database) -> None:
    assert console_routes(database) == ACCESS.keys() - {("GET", "/api/v1/openapi.json")}


@pytest.mark.parametrize("role", list(UserRole))
def test_a_role_opens_what_the_table_allows_and_is_refused_everything_else(console: RunningConsole, role: UserRole) -> None:
    with console.browser(role) as browser:
        for (method, template), allowed in ACCESS.items():
            if template in ("/sign-out", "/account/sessions/{session_id}/end", "/worklist/events") or allowed == PUBLIC:
                continue
            path = _LINK.sub("999999", template)
            reply = browser.get(path) if method == "GET" else browser.send_form(path, method)
            refused = reply.status_code == 403
            assert refused == (role not in allowed), f"{method} {path} as {role}: {reply.status_code}"


def test_without_sign_in_only_public_routes_answer(console: RunningConsole) -> None:
    with console.browser() as browser:
        for (method, template), allowed in ACCESS.items():
            path = _LINK.sub("999999", template).replace("{token}", "unknown")
            reply = browser.get(path) if method == "GET" else browser.send_form(path, method)
            to_sign_in = reply.status_code == 303 and reply.headers["location"].startswith("/sign-in")
            if allowed != PUBLIC:
                assert reply.status_code == 401 if path.startswith("/api/") else to_sign_in, f"{method} {path}: {reply.status_code}"
            elif template not in ("/", "/sign-in/code"):
                assert not to_sign_in, f"{method} {path}"
