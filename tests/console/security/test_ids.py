"""Every number in every URL, for every role: own, foreign and missing ones (IDOR), and forms of other sites (CSRF) for every route."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from console.auth.access import ACCESS, PUBLIC, UserRole
from db.accounts.api_tokens import add_token
from db.accounts.saved_views import save_view
from db.accounts.users import add_user, find_user
from db.engine import Database
from tests.support.console import PASSWORD_HASH, Browser, RunningConsole, add_users
from tests.support.console_routes import console_routes
from tests.support.records import Sender, claim, complete, finish, plan, rows, run, scalar

MISSING = "799999"
WRONG = ("0", "9223372036854775808", "1e3", "..%2f1", "%00")
OWNED = {"upload_id", "file_id", "view_id", "session_id", "token_id"}
"""Numbers of things that belong to one user. Everything else is open to every user whose role may open the page."""
NUMBERS = OWNED | {"study_id", "object_id", "job_id", "unit_id", "user_id", "delivery_id", "report_id"}
NUMBERS |= {"command_id", "item_id", "notification_id"}
OTHERS = {"ticket": "0" * 32 + ".0." + "0" * 32, "token": "unknown", "name": "lung_nodule_ct", "first": "0", "count": "1"}
DECODED = re.compile(r"^/(viewer|objects)/")  # pages that start a render process have tests of their own
SEQUENCES = ("studies", "units", "jobs", "reports", "deliveries", "uploads", "upload_files", "saved_views", "sessions", "api_tokens")


@pytest.fixture(scope="module")
def database(module_database: Database) -> Database:
    """One reported study, and a user "victim" who owns one of everything; numbers are large, so that they are found in answers."""
    for number, table in enumerate(SEQUENCES):
        run(module_database, f"ALTER SEQUENCE {table}_id_seq RESTART WITH {700_001 + 5_000 * number}")
    Sender(module_database).send(1, patient_name="Secretname^Jane")
    complete(module_database, plan())
    finish(module_database, claim(module_database))
    add_users(module_database)
    add_user(module_database, name="victim", role=UserRole.CLINICIAN, password_hash=PASSWORD_HASH, actor="test")
    return module_database


@pytest.fixture(scope="module")
def console(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningConsole]:
    with RunningConsole(database, tmp_path_factory.mktemp("data")) as running:
        yield running


@pytest.fixture(scope="module")
def foreign(console: RunningConsole, database: Database) -> Iterator[dict[str, str]]:
    """Numbers of what the victim owns, and of the study."""
    user = find_user(database, "victim")
    assert user is not None
    with console.browser("victim") as browser:
        upload = _announce(browser)
        save_view(database, user.id, "mine", "")
        add_token(database, user, name="mine", scopes=["results"], days=1, actor="victim")
        own = {name: scalar(database, f"SELECT max(id) FROM {table} WHERE user_id = {user.id}")
               for name, table in (("view_id", "saved_views"), ("token_id", "api_tokens"), ("session_id", "sessions"))}  # fmt: skip
        shared = {f"{name}_id": scalar(database, f"SELECT max(id) FROM {table}")
                  for name, table in (("study", "studies"), ("unit", "units"), ("job", "jobs"), ("object", "reports"),
                                      ("delivery", "deliveries"))}  # fmt: skip
        yield {name: str(id) for name, id in {**own, **shared, **upload, "user_id": user.id}.items()}


def _announce(browser: Browser) -> dict[str, object]:
    headers = {"Origin": str(browser.base_url).rstrip("/"), "X-Form-Token": browser.form_token}
    begun = browser.post("/upload", json={"files": [{"name": "a.jpg", "size": 5}], "statement": {}}, headers=headers).json()
    return {"upload_id": begun["id"], "file_id": begun["files"][0]["id"]}


def _with_numbers() -> list[tuple[str, str]]:
    return [(method, path) for method, path in ACCESS if NUMBERS & set(re.findall(r"\{(\w+)\}", path))]


def _path(template: str, numbers: dict[str, str]) -> str:
    missing = dict.fromkeys(("command_id", "item_id", "report_id", "notification_id"), MISSING)
    return template.format_map(OTHERS | missing | numbers)


def _ask(browser: Browser, method: str, path: str) -> httpx.Response:
    if method == "GET":
        return browser.get(path)
    if path.startswith("/api/"):
        headers = {"Origin": str(browser.base_url).rstrip("/"), "X-Form-Token": browser.form_token}
        return browser.request(method, path, json={"reason": "test", "role": "viewer"}, headers=headers)
    return browser.send_form(path, method)


def _answer(reply: httpx.Response, numbers: set[str]) -> tuple[int, str, str]:
    """Return what an answer says, without the numbers that were asked for."""
    pattern = re.compile("|".join(sorted(numbers)))
    return reply.status_code, pattern.sub("N", reply.text), pattern.sub("N", reply.headers.get("location", ""))


def _state(database: Database, foreign: dict[str, str]) -> list[tuple[object, ...]]:
    queries = (
        f"SELECT state FROM upload_files WHERE id = {foreign['file_id']}",
        f"SELECT name FROM saved_views WHERE id = {foreign['view_id']}",
        f"SELECT ended_at FROM sessions WHERE id = {foreign['session_id']}",
        f"SELECT revoked_at FROM api_tokens WHERE id = {foreign['token_id']}",
        f"SELECT role, disabled_at FROM users WHERE id = {foreign['user_id']}",
        "SELECT state, outcome FROM jobs",
        "SELECT state FROM deliveries",
    )
    return [row for query in queries for row in rows(database, query)]


def test_every_parameter_of_a_path_is_known_to_this_test(database: Database) -> None:
    assert {name for _, path in console_routes(database) for name in re.findall(r"\{(\w+)\}", path)} == NUMBERS | set(OTHERS)


@pytest.mark.parametrize("role", list(UserRole))
def test_a_foreign_number_is_answered_as_a_missing_one_and_changes_nothing(
    console: RunningConsole, database: Database, foreign: dict[str, str], role: UserRole
) -> None:
    missing = dict.fromkeys(NUMBERS, MISSING)
    before = _state(database, foreign)
    with console.browser(role) as browser:
        for method, template in _with_numbers():
            names = NUMBERS & set(re.findall(r"\{(\w+)\}", template))
            allowed = role in ACCESS[method, template]
            if allowed and not names & OWNED and (method != "GET" or DECODED.match(template)):
                continue  # it may act on these rows
            replies = [_ask(browser, method, _path(template, numbers)) for numbers in (foreign, missing)]
            if allowed and not names & OWNED:
                found, absent = replies
                assert absent.status_code in (200, 404), template  # the state of a missing study is empty
                assert found.status_code in (200, 404), template
                continue
            answers = [_answer(reply, {MISSING, *foreign.values()}) for reply in replies]
            assert answers[0] == answers[1], f"{method} {template}"
            assert "Secretname" not in replies[0].text, f"{method} {template}"
            assert (replies[0].status_code == 403) == (not allowed), f"{method} {template}: {replies[0].status_code}"
    assert _state(database, foreign) == before


def test_what_is_no_number_of_a_row_is_answered_as_a_missing_one(console: RunningConsole) -> None:
    with console.browser("admin") as browser:
        for method, template in _with_numbers():
            for wrong in WRONG:
                reply = _ask(browser, method, _path(template, dict.fromkeys(NUMBERS, wrong)))
                assert reply.status_code in (404, 405, 422), f"{method} {template} {wrong!r}: {reply.status_code}"
                assert "Traceback" not in reply.text


def test_the_owner_reaches_what_is_hers(console: RunningConsole, foreign: dict[str, str]) -> None:
    with console.browser("victim") as browser:
        for template in ("/uploads/{upload_id}", "/uploads/{upload_id}/files/{file_id}", "/api/v1/predict/{upload_id}"):
            assert browser.get(_path(template, foreign)).status_code in (200, 202), template


def test_no_route_writes_for_a_form_of_another_site(console: RunningConsole, database: Database, foreign: dict[str, str]) -> None:
    before = _state(database, foreign)
    events = scalar(database, "SELECT count(*) FROM audit_events")
    with console.browser("admin") as browser:
        events = scalar(database, "SELECT count(*) FROM audit_events")
        origin = str(browser.base_url).rstrip("/")
        for (method, template), allowed in ACCESS.items():
            if method == "GET" or allowed == PUBLIC:
                continue
            path, token = _path(template, foreign), browser.form_token
            for headers in (
                {"Origin": origin},
                {"Origin": origin, "X-Form-Token": "guessed"},
                {"Origin": "https://evil.example", "X-Form-Token": token},
                {"Origin": "null", "X-Form-Token": token},
                {"Sec-Fetch-Site": "cross-site", "X-Form-Token": token},
            ):
                assert browser.request(method, path, headers=headers, data={"role": "viewer"}).status_code == 403, (method, path, headers)
        assert browser.get("/account").status_code == 200, "still signed in"
    assert _state(database, foreign) == before
    assert scalar(database, "SELECT count(*) FROM audit_events") == events, "nothing was done"


def test_a_row_number_never_names_a_file(console: RunningConsole, tmp_path: Path) -> None:
    with console.browser("admin") as browser:
        for path in ("/objects/..%2f..%2fetc%2fpasswd", "/api/v1/objects/..%2f..%2fetc%2fpasswd", "/uploads/1/files/..%2f1",
                     "/models/..%2f..%2fetc%2fpasswd", "/models/%2e%2e"):  # fmt: skip
            reply = browser.get(path)
            assert reply.status_code in (404, 422), path
            assert "root:" not in reply.text
