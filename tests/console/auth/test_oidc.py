"""Sign-in by OpenID Connect, at a real provider and at one whose ID tokens are wrong."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from core.settings.web.console import ConsoleSection, OidcSection
from db.accounts.sign_in_limits import MOST_PER_NAME
from db.accounts.sign_in_links import make_sign_in_link
from db.accounts.users import find_user
from db.engine import Database
from tests.support.console import Browser, RunningConsole, add_users
from tests.support.oidc_servers import OidcServer, run_server
from tests.support.records import rows, scalar

CALLBACK = "http://127.0.0.1:1/sign-in/oidc/callback"  # nothing listens there: the test brings the answer to the console itself


@pytest.fixture(scope="module")
def provider() -> Iterator[OidcServer]:
    with run_server("provider.mjs") as server:
        yield server


@pytest.fixture(scope="module")
def misbehaving() -> Iterator[OidcServer]:
    with run_server("misbehaving.mjs") as server:
        yield server


@contextmanager
def _console(database: Database, folder: Path, issuer: str, **more: object) -> Iterator[Browser]:
    secret = folder / "client-secret"
    secret.write_text("a+secret%20of the:console\n")
    given = {"issuer": issuer, "client_id": "console", "client_secret_file": secret, "redirect_url": CALLBACK, "label": "Example hospital"}
    section = ConsoleSection(port=0, oidc=OidcSection.model_validate(given | more))
    add_users(database)
    with RunningConsole(database, folder, console=section) as running, running.browser() as browser:
        yield browser


def _at_provider(url: str, login: str) -> str:
    """Sign in at the provider's own pages, consent, and return the address to which it sends the browser back."""
    with httpx.Client(timeout=600) as client:
        reply = client.get(url)
        for _ in range(12):
            if reply.status_code == 200:
                form = re.search(r'<form[^>]*action="([^"]+)"', reply.text)
                prompt = re.search(r'name="prompt" value="([a-z]+)"', reply.text)
                assert form is not None, reply.text
                assert prompt is not None, reply.text
                reply = client.post(reply.url.join(form[1]), data={"prompt": prompt[1], "login": login, "password": "any"})
                continue
            target = str(reply.url.join(reply.headers["location"]))
            if target.startswith(CALLBACK):
                return target
            reply = client.get(target)
    raise AssertionError("the provider never came back")


def _come_back(browser: Browser, address: str) -> httpx.Response:
    return browser.get(str(httpx.URL(address).copy_with(scheme="http", host=browser.base_url.host, port=browser.base_url.port)))


def test_a_person_signs_in_at_a_real_provider_and_gets_the_role_of_the_claim(
    database: Database, tmp_path: Path, provider: OidcServer
) -> None:
    claims = {"role_claim": "groups", "role_prefix": "dicom-node-"}
    with _console(database, tmp_path, provider.issuer, **claims) as browser:
        assert "Sign in with Example hospital" in browser.open("/sign-in").text
        begun = browser.get("/sign-in/oidc?next=/account")
        assert "code_challenge_method=S256" in begun.headers["location"]
        reply = _come_back(browser, _at_provider(begun.headers["location"], "ada:clinician"))
        assert (reply.status_code, reply.headers["location"]) == (303, "/account"), reply.text
        page = browser.open("/account").text
        assert "ada" in page
        assert "clinician" in page
        assert "Change password" not in page
        browser.send_form("/sign-out")
        assert browser.sign_in("ada", "the password of no user").status_code == 401, "there is no password"
        assert browser.sign_in("viewer").status_code == 303, "local sign-in stays"
    user = find_user(database, "ada")
    assert user is not None
    assert user.role == "clinician"
    acts = rows(database, "SELECT action FROM audit_events WHERE actor IN ('oidc', 'user:ada') ORDER BY id")
    assert acts == [("user.added",), ("session.opened",), ("session.ended",)]


def test_an_answer_counts_once_and_in_its_own_browser_only(database: Database, tmp_path: Path, provider: OidcServer) -> None:
    claims = {"role_claim": "groups", "role_prefix": "dicom-node-", "local_sign_in": False}
    with _console(database, tmp_path, provider.issuer, **claims) as browser:
        address = _at_provider(browser.get("/sign-in/oidc").headers["location"], "ada:viewer")
        with Browser(base_url=browser.base_url, timeout=600) as other:
            assert _come_back(other, address).status_code == 403, "no cookie of this sign-in"
        assert _come_back(browser, address).status_code == 303
        assert _come_back(browser, address).status_code == 403, "the cookie is used up"
        assert "password" not in browser.get("/sign-in").text.lower()
        assert browser.send_form("/sign-in", name="viewer", password="any").status_code == 403, "local sign-in is off"
        viewer = find_user(database, "viewer")
        assert viewer is not None
        link = make_sign_in_link(database, viewer, actor="test")
        assert browser.send_form(f"/sign-in/link/{link}").status_code == 303, "the way in while the provider is unreachable"


FAULTS = {
    "issuer": "issuer", "audience": "audience", "nonce": "nonce", "no nonce": "nonce", "expired": "expired", "future": "issued",
    "alg none": "signature", "hmac": "signature", "signature": "signature", "no token": "token", "no role": "role",
    "two roles": "role", "no name": "name",
}  # fmt: skip


def test_every_fault_of_an_id_token_is_refused_with_a_page_and_an_audit_event(
    database: Database, tmp_path: Path, misbehaving: OidcServer
) -> None:
    with _console(database, tmp_path, misbehaving.issuer) as browser:

        def sign_in(fault: str) -> httpx.Response:
            misbehaving.command(fault)
            reply = httpx.get(browser.get("/sign-in/oidc").headers["location"], timeout=600)
            return _come_back(browser, reply.headers["location"])

        for fault in FAULTS:
            refused = sign_in(fault)
            assert refused.status_code == 403, fault
            for shown in ("Sign-in was refused", f"this word: {FAULTS[fault]}.", 'href="/sign-in">Sign in again<'):
                assert shown in refused.text, (fault, shown)
            assert browser.get("/account").status_code == 303, fault
        assert sign_in("none").status_code == 303, "the same provider without a fault"
        assert sign_in("two roles").status_code == 403
    reasons = [row[0] for row in rows(database, "SELECT details ->> 'reason' FROM audit_events WHERE subject = 'oidc' ORDER BY id")]
    assert reasons == [*FAULTS.values(), "role"]


def test_requests_of_anybody_do_not_fill_the_audit_trail(database: Database, tmp_path: Path) -> None:
    with _console(database, tmp_path, "http://127.0.0.1:1") as browser:
        for path, status in [("/sign-in/oidc/callback?state=x&code=y", 403)] * 10 + [("/sign-in/oidc", 503)] * 10:
            assert browser.get(path).status_code == status
        assert scalar(database, "SELECT count(*) FROM audit_events WHERE subject = 'oidc'") == MOST_PER_NAME
        assert browser.sign_in("viewer").status_code == 303


def test_a_name_that_a_local_user_has_is_not_taken_over(database: Database, tmp_path: Path, provider: OidcServer) -> None:
    claims = {"role_claim": "groups", "role_prefix": "dicom-node-"}
    with _console(database, tmp_path, provider.issuer, **claims) as browser:
        reply = _come_back(browser, _at_provider(browser.get("/sign-in/oidc").headers["location"], "admin:admin"))
        assert reply.status_code == 403
        assert browser.get("/account").status_code == 303


def test_a_provider_that_does_not_answer_or_names_another_issuer(database: Database, tmp_path: Path, provider: OidcServer) -> None:
    with _console(database, tmp_path, provider.issuer + "/") as browser:
        assert "another issuer" in browser.get("/sign-in/oidc").text
    with RunningConsole(database, tmp_path) as running, running.browser() as browser:
        assert browser.get("/sign-in/oidc").status_code == 404, "none is configured"


@pytest.mark.parametrize(("name", "value"), [("issuer", "http://example.org"), ("redirect_url", "ftp://x"), ("scopes", "profile")])
def test_unsafe_settings_are_refused(name: str, value: str) -> None:
    given = {"issuer": "https://example.org", "client_id": "console", "redirect_url": "https://node.example.org/sign-in/oidc/callback"}
    OidcSection.model_validate(given)
    with pytest.raises(ValueError, match=name):
        OidcSection.model_validate(given | {name: value})
