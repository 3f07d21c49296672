"""Pages of refused requests: they say what to do, and know who is signed in."""

import re

import pytest

from console.dashboard import routes as dashboard
from tests.support.console import RunningConsole


def test_an_address_without_a_page_still_shows_who_is_signed_in(console: RunningConsole) -> None:
    with console.browser() as browser:
        unknown = browser.open("/no-such-page")
        assert unknown.status_code == 404
        assert "/sign-out" not in unknown.text
        browser.sign_in("viewer")
        unknown = browser.open("/no-such-page")
        assert unknown.status_code == 404
        assert "/sign-out" in unknown.text
        assert "/worklist" in unknown.text
        assert "retention has deleted" in browser.get("/studies/4711").text


def test_a_role_that_may_not_open_a_page_is_told_who_can_change_that(console: RunningConsole) -> None:
    with console.browser("viewer") as browser:
        refused = browser.get("/operations")
    assert refused.status_code == 403
    assert "An administrator sets the roles" in refused.text


def test_a_failure_of_the_console_is_a_page_with_the_usual_headers(console: RunningConsole, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a fault of the program: patient 4711")

    with console.browser("viewer") as browser:
        monkeypatch.setattr(dashboard, "page", fail)
        failed = browser.get("/dashboard")
        assert failed.status_code == 500
        assert "The console failed" in failed.text
        assert 'href="/status">Status of the node<' in failed.text
        assert re.search(r"this time: \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\.", failed.text), "by which the log is searched"
        assert "4711" not in failed.text
        assert failed.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in failed.headers["content-security-policy"]


def test_a_script_of_a_page_is_told_that_the_session_has_ended_and_gets_no_page_of_sign_in(console: RunningConsole) -> None:
    with console.browser() as browser:
        for name, value in (("HX-Request", "true"), ("X-Fragment", "verdicts"), ("Sec-Fetch-Dest", "empty")):
            reply = browser.get("/worklist", headers={name: value})
            assert (reply.status_code, reply.headers.get("hx-refresh"), "<form" in reply.text) == (401, "true", False), name
        piece = browser.post("/uploads/1/files/1", headers={"X-Form-Token": "ended"}, content=b"x")
        assert piece.status_code == 401, "the browser would follow to the page of sign-in, and take its 200 for that of the piece"
        assert browser.get("/worklist", headers={"Sec-Fetch-Dest": "document"}).headers["location"] == "/sign-in?next=/worklist"


def test_whatever_is_refused_is_a_page_where_a_person_opens_it_and_data_for_a_script(console: RunningConsole) -> None:
    wrong = "/audit/views/export?view=v_jobs&column=nothing&operator=is&value=1"
    opens = {"Accept": "text/html,application/xhtml+xml"}
    with console.browser("auditor") as browser:
        page = browser.get(wrong, headers=opens)
        assert (page.status_code, page.headers["content-type"]) == (422, "text/html; charset=utf-8")
        assert "<h1>This request cannot be used</h1>" in page.text
        assert browser.get(wrong).json()["detail"]
        form = {"form_token": browser.form_token, "query": "x" * 300_000}
        large = browser.post("/worklist/views", data=form, headers={**opens, "Origin": str(browser.base_url).rstrip("/")})
        assert (large.status_code, "<h1>Too large</h1>" in large.text, "256.0 KiB" in large.text) == (413, True, True)
        assert "Send fewer or smaller files at once." in large.text
