"""Usual attacks on sign-in and forms: each is refused, and leaves nothing changed."""

import re
from concurrent.futures import ThreadPoolExecutor
from html import unescape

import httpx
import pytest

from db.accounts.users import find_user
from db.engine import Database
from tests.support.console import PASSWORD, RunningConsole


def test_a_form_without_or_with_a_foreign_token_changes_nothing(console: RunningConsole, database: Database) -> None:
    with console.browser("viewer") as browser, console.browser("clinician") as other:
        browser.form_token = ""
        assert browser.send_form("/account/password", old=PASSWORD, new="changed by an attacker").status_code == 403
        browser.form_token = other.form_token
        assert browser.send_form("/account/password", old=PASSWORD, new="changed by an attacker").status_code == 403
    with console.browser() as browser:
        assert browser.sign_in("viewer", PASSWORD).status_code == 303


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}])
def test_a_form_of_another_site_is_refused(console: RunningConsole, headers: dict[str, str]) -> None:
    with console.browser("viewer") as browser:
        data = {"form_token": browser.form_token}
        assert browser.post("/sign-out", data=data, headers=headers).status_code == 403
        assert browser.post("/sign-in", data={"name": "viewer", "password": PASSWORD}, headers=headers).status_code == 403
        assert browser.get("/account").status_code == 200


def test_a_session_that_an_attacker_chose_is_not_taken_over(console: RunningConsole) -> None:
    with console.browser() as browser:
        browser.cookies.set("dicom-node", "chosen-by-the-attacker", domain="127.0.0.1")
        browser.sign_in("viewer")
    with console.browser() as attacker:
        attacker.cookies.set("dicom-node", "chosen-by-the-attacker", domain="127.0.0.1")
        assert attacker.get("/account").status_code == 303


@pytest.mark.parametrize(
    "next", ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)", "/%0d%0aSet-Cookie:x"]
)
def test_sign_in_leads_to_no_other_site(console: RunningConsole, next: str) -> None:
    with console.browser() as browser:
        reply = browser.send_form("/sign-in", name="viewer", password=PASSWORD, next=next)
        assert reply.status_code == 303
        target = httpx.URL(console.url).join(reply.headers["location"])
        assert (target.host, target.port) == (httpx.URL(console.url).host, httpx.URL(console.url).port)
        assert [value.split("=")[0] for value in reply.headers.get_list("set-cookie")] == ["dicom-node"], "no header is added"


def test_guesses_at_the_same_moment_are_no_way_around_the_limit(console: RunningConsole) -> None:
    def guess(number: int) -> int:
        with console.browser() as attacker:
            return attacker.sign_in("clinician", f"guess {number}").status_code

    with ThreadPoolExecutor(12) as attackers:
        statuses = list(attackers.map(guess, range(24)))
    assert (statuses.count(401), statuses.count(429)) == (5, 19)


def test_what_is_no_address_no_name_and_no_number_is_refused(console: RunningConsole) -> None:
    with console.browser() as browser:
        assert 'name="next" value="/"' in browser.get("/sign-in", params={"next": "//["}).text
        assert browser.post("/sign-in", data={"name": "viewer"}, headers={"Origin": "http://["}).status_code == 403
        assert browser.sign_in("clinician\0").status_code == 401
        browser.sign_in("clinician")
        assert browser.send_form("/account/second-factor", secret="!" * 32, code="123456").status_code == 422
        assert browser.send_form("/account/tokens", token_name="x", scope="results", days="9" * 5000).status_code == 422
        origin = {"Origin": console.url, "X-Form-Token": browser.form_token}
        upload = browser.post("/upload", json={"files": [{"name": "a.jpg", "size": 10}]}, headers=origin).json()
        path = f"/uploads/{upload['id']}/files/{upload['files'][0]['id']}"
        for offset in (b"\xb2", b"9" * 5000):
            headers = httpx.Headers(
                [(b"Upload-Offset", offset), *httpx.Headers(origin).raw, (b"Content-Type", b"application/octet-stream")]
            )
            assert browser.post(path, content=b"x", headers=headers).status_code == 422


def test_the_whole_address_that_was_asked_for_is_opened_after_sign_in(console: RunningConsole) -> None:
    asked = "/worklist?state=failed&text=a%26b"
    with console.browser() as browser:
        page = browser.get(asked, follow_redirects=True).text
        found = re.search(r'name="next" value="([^"]+)"', page)
        assert found is not None
        assert browser.sign_in("viewer", next=unescape(found[1])).headers["location"] == asked


def test_markup_in_a_name_is_shown_as_text(console: RunningConsole, database: Database) -> None:
    name = "<script>alert(1)</script>"
    with console.browser("admin") as browser:
        browser.open("/users")
        page = browser.send_form("/users/invite", name=name, role="viewer")
        assert page.status_code == 200
        assert name not in page.text
        assert "&lt;script&gt;" in page.text
        assert browser.send_form("/users/invite", name="line\nbreak", role="viewer").status_code == 422
        assert browser.send_form("/users/invite", name="eve", role="root").status_code == 422
    assert find_user(database, "eve") is None


@pytest.mark.parametrize("path", ["/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2f..%2fetc/passwd", "/static//etc/passwd"])
def test_static_files_end_at_their_folder(console: RunningConsole, path: str) -> None:
    with console.browser() as browser:
        assert browser.get(path).status_code == 404


def test_pages_are_not_cached_or_framed_and_run_no_foreign_script(console: RunningConsole) -> None:
    with console.browser("admin") as browser:
        reply = browser.get("/users")
    policy = reply.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert reply.headers["cache-control"] == "no-store"
    assert "server" not in reply.headers
    assert "style=" not in reply.text
    assert "onclick" not in reply.text
