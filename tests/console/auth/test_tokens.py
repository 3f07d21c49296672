"""API tokens: made once, hashed, limited by scope, role and time, revoked, and every act in the audit trail."""

import re

import httpx
import pytest
from sqlalchemy import text

from console.auth.access import ACCESS, UserRole
from console.auth.scopes import API, Scope, scope_of, scopes_for
from core.errors import ConfigurationError
from db.accounts.api_tokens import add_token, list_tokens
from db.accounts.sign_in_links import is_valid_sign_in_link, make_sign_in_link
from db.accounts.users import User, disable_user, enable_user, find_user, set_password
from db.engine import Database
from tests.support.console import Browser, RunningConsole
from tests.support.records import Sender, rows, run


def _user(database: Database, name: str) -> User:
    user = find_user(database, name)
    assert user is not None
    return user


def _make(browser: Browser, **fields: str | list[str]) -> str:
    browser.open("/account")
    reply = browser.send_form("/account/tokens", "POST", **{"token_name": "nightly export", "days": "30", "scope": ["results"]} | fields)
    found = re.search(r"dcn_[A-Za-z0-9_-]+", reply.text)
    assert found is not None, reply.status_code
    return found[0]


def _get(console: RunningConsole, path: str, token: str) -> httpx.Response:
    return httpx.get(console.url + path, headers={"Authorization": f"Bearer {token}"}, timeout=600)


def test_a_token_is_made_on_the_account_page_used_and_revoked(console: RunningConsole, database: Database) -> None:
    Sender(database).send(1)
    with console.browser("clinician") as browser:
        token = _make(browser)
        assert token not in browser.get("/account").text, "it is shown once"
        reply = _get(console, "/api/v1/studies", token)
        assert [study["patient_id"] for study in reply.json()["items"]] == ["P1"]
        (listed,) = list_tokens(database, _user(database, "clinician"))
        assert listed.last_used_at is not None
        assert browser.send_form(f"/account/tokens/{listed.id}/revoke").status_code == 303
    refused = _get(console, "/api/v1/studies", token)
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert refused.headers["content-type"] == "application/problem+json"
    stored = str(rows(database, "SELECT * FROM api_tokens")) + str(rows(database, "SELECT * FROM audit_events"))
    assert token not in stored
    assert rows(database, "SELECT actor, action FROM audit_events WHERE action LIKE 'token.%' ORDER BY id") == [
        ("user:clinician", "token.made"), ("user:clinician", "token.revoked"), ("anonymous", "token.refused"),
    ]  # fmt: skip
    views = rows(database, "SELECT actor, details ->> 'from' FROM audit_events WHERE action = 'worklist.viewed'")
    assert views == [("user:clinician", f"127.0.0.1, token {listed.id}")]


def test_a_token_opens_its_scopes_only_and_no_page(console: RunningConsole, database: Database) -> None:
    token = add_token(database, _user(database, "admin"), name="t", scopes=["operations"], days=1, actor="test")
    assert _get(console, "/api/v1/jobs", token).status_code == 200
    refused = _get(console, "/api/v1/studies", token)
    assert (refused.status_code, refused.json()["detail"]) == (403, "this token lacks the scope results")
    assert _get(console, "/worklist", token).status_code == 303
    assert _get(console, "/account", token).status_code == 303


def test_a_role_limits_its_tokens_also_when_it_changes_later(console: RunningConsole, database: Database) -> None:
    user = _user(database, "operator")
    token = add_token(database, user, name="t", scopes=["operations", "audit"], days=1, actor="test")
    assert _get(console, "/api/v1/audit/events", token).status_code == 403, "an operator does not read the trail"
    run(database, "UPDATE users SET role = 'viewer' WHERE name = 'operator'")
    assert _get(console, "/api/v1/jobs", token).status_code == 403
    disable_user(database, user.id, actor="test")
    assert _get(console, "/api/v1/jobs", token).status_code == 401


@pytest.mark.parametrize("how", ["password", "disabled"])
def test_a_new_password_and_disabling_end_tokens_and_sign_in_links_for_good(console: RunningConsole, database: Database, how: str) -> None:
    user, other = _user(database, "operator"), _user(database, "admin")
    token, foreign = [add_token(database, of, name="t", scopes=["operations"], days=1, actor="test") for of in (user, other)]
    link, foreign_link = [make_sign_in_link(database, of, actor="test") for of in (user, other)]
    if how == "password":
        set_password(database, user.id, "hash", actor="cli:somebody")
    else:
        disable_user(database, user.id, actor="cli:somebody")
        enable_user(database, user.id, actor="cli:somebody")
    assert _get(console, "/api/v1/jobs", token).status_code == 401
    assert _get(console, "/api/v1/jobs", foreign).status_code == 200
    assert [is_valid_sign_in_link(database, one) for one in (link, foreign_link)] == [False, True]
    assert rows(database, "SELECT actor FROM audit_events WHERE action = 'token.revoked'") == [("cli:somebody",)]


def test_an_expired_token_is_refused_and_reported_once_an_hour(console: RunningConsole, database: Database) -> None:
    token = add_token(database, _user(database, "viewer"), name="t", scopes=["results"], days=1, actor="test")
    run(database, "UPDATE api_tokens SET expires_at = node_now()")
    assert [_get(console, "/api/v1/studies", token).status_code for _ in range(3)] == [401] * 3
    assert rows(database, "SELECT count(*) FROM audit_events WHERE action = 'token.refused'") == [(1,)]


def test_nobody_revokes_the_token_of_another_user(console: RunningConsole, database: Database) -> None:
    add_token(database, _user(database, "clinician"), name="t", scopes=["results"], days=1, actor="test")
    (token,) = list_tokens(database)
    with console.browser("viewer") as browser:
        assert browser.send_form(f"/account/tokens/{token.id}/revoke").status_code == 303
    assert list_tokens(database)[0].valid


@pytest.mark.parametrize("fields", [{"token_name": ""}, {"days": "9999"}, {"days": "x"}, {"scope": ["users"]}, {"scope": []}])
def test_a_token_without_name_scope_or_sensible_duration_is_not_made(
    console: RunningConsole, database: Database, fields: dict[str, str | list[str]]
) -> None:
    given: dict[str, str | list[str]] = {"token_name": "t", "days": "30", "scope": ["results"]}
    with console.browser("viewer") as browser:
        assert browser.send_form("/account/tokens", "POST", **given | fields).status_code == 422
    assert list_tokens(database) == []


def test_a_token_lasts_a_year_at_most(database: Database) -> None:
    with pytest.raises(ConfigurationError, match="1 to 366 days"):
        add_token(database, User(1, "x", "viewer", "", "", database.now(), None), name="t", scopes=["results"], days=1000, actor="test")


def test_every_path_of_the_api_has_a_scope_and_every_scope_is_offered_to_a_role() -> None:
    public = {"/api/v1/status", "/api/v1/openapi.json"}
    assert [path for _, path in ACCESS if path.startswith(API) and path not in public and scope_of(path) is None] == []
    offered = {scope for role in UserRole for scope in scopes_for(role)}
    used = {scope_of(path) for _, path in ACCESS if path.startswith(API)} - {None}
    assert offered == used
    assert set(Scope) >= offered


def test_a_session_reads_the_api_and_writes_with_its_form_token_only(console: RunningConsole, database: Database) -> None:
    with console.browser("admin") as browser:
        browser.open("/account")
        assert browser.get("/api/v1/users").status_code == 200
        body = {"name": "eve", "role": "viewer"}
        assert browser.post("/api/v1/users/invitations", json=body).status_code == 403
        allowed = browser.post("/api/v1/users/invitations", json=body, headers={"X-Form-Token": browser.form_token})
        assert allowed.status_code == 201
    with database.begin() as connection:
        assert connection.execute(text("SELECT count(*) FROM invitations")).scalar_one() == 1
