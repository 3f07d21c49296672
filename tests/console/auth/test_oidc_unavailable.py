"""Sign-in by OpenID Connect while the provider does not answer: the other pages of the console do."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import httpx
import pytest

from console.auth.oidc.provider import EXCHANGES
from core.settings.web.console import ConsoleSection, OidcSection
from db.engine import Database
from tests.support.console import Browser, RunningConsole, add_users
from tests.support.oidc_servers.silent import DISCOVERY, TOKEN, run_silent_provider
from tests.support.records import rows

REQUESTS = 60  # more than the 40 threads that answer requests
WITHIN_S = 8.0  # less than console.auth.oidc.provider.TIMEOUT_S, after which a request to the provider ends by itself


@contextmanager
def _console(database: Database, folder: Path, issuer: str, **files: Path) -> Iterator[Browser]:
    given = {"issuer": issuer, "client_id": "console", "redirect_url": "http://127.0.0.1:1/sign-in/oidc/callback"}
    oidc = OidcSection.model_validate(given | files)
    add_users(database)
    with RunningConsole(database, folder, console=ConsoleSection(port=0, oidc=oidc)) as running, running.browser() as browser:
        yield browser


def _flood(pool: ThreadPoolExecutor, browser: Browser, path: str, cookie: str = "") -> list[Future[httpx.Response]]:
    url, headers = str(browser.base_url).rstrip("/") + path, {"Cookie": cookie} if cookie else {}
    return [pool.submit(httpx.get, url, headers=headers, timeout=600, verify=False) for _ in range(REQUESTS)]


def _refused(asked: list[Future[httpx.Response]], count: int) -> None:
    """Wait until `count` requests are answered, each with the page that says to try again."""
    for future in islice(as_completed(asked, timeout=WITHIN_S), count):
        reply = future.result()
        assert (reply.status_code, reply.headers["retry-after"]) == (503, "5")
        assert "Try again in a moment" in reply.text


def test_a_provider_that_does_not_answer_holds_one_thread(database: Database, tmp_path: Path) -> None:
    with (
        run_silent_provider(DISCOVERY) as provider,
        _console(database, tmp_path, provider.issuer) as browser,
        ThreadPoolExecutor(64) as pool,
    ):
        browser.sign_in("viewer")
        asked = _flood(pool, browser, "/sign-in/oidc")
        try:
            _refused(asked, REQUESTS - 1)
            assert browser.get("/healthz", timeout=WITHIN_S).status_code == 200
            assert browser.get("/worklist", timeout=WITHIN_S).status_code == 200
            assert provider.asked == [DISCOVERY], "one thread waits"
        finally:
            provider.release.set()


def test_codes_that_are_not_exchanged_hold_few_threads(database: Database, tmp_path: Path) -> None:
    """Cookie and state of a callback can be made up by anybody."""
    with run_silent_provider(TOKEN) as provider, _console(database, tmp_path, provider.issuer) as browser, ThreadPoolExecutor(64) as pool:
        browser.sign_in("viewer")
        begun = httpx.get(browser.base_url.join("/sign-in/oidc"))
        state = httpx.URL(begun.headers["location"]).params["state"]
        asked = _flood(pool, browser, f"/sign-in/oidc/callback?code=x&state={state}", begun.headers["set-cookie"].partition(";")[0])
        try:
            _refused(asked, REQUESTS - EXCHANGES)
            assert browser.get("/healthz", timeout=WITHIN_S).status_code == 200
            assert browser.get("/worklist", timeout=WITHIN_S).status_code == 200
            assert provider.asked.count(TOKEN) == EXCHANGES
        finally:
            provider.release.set()


def test_a_provider_that_was_not_reached_is_not_asked_again_at_once(database: Database, tmp_path: Path) -> None:
    with run_silent_provider() as provider:
        issuer, port = provider.issuer, provider.server.server_address[1]
    with _console(database, tmp_path, issuer) as browser:
        assert browser.get("/sign-in/oidc").status_code == 503
        with run_silent_provider(port=port) as provider:
            assert browser.get("/sign-in/oidc").status_code == 503
            assert provider.asked == [], "the failure is remembered"


def test_a_secret_that_cannot_be_read_is_a_page_an_audit_event_and_a_log_event(
    database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = tmp_path / "client-secret"
    secret.write_text("secret")
    with run_silent_provider() as provider, _console(database, tmp_path, provider.issuer, client_secret_file=secret) as browser:
        assert "oidc_misconfigured" not in capsys.readouterr().out
        begun = browser.get("/sign-in/oidc")
        secret.unlink()
        state = httpx.URL(begun.headers["location"]).params["state"]
        for path in (f"/sign-in/oidc/callback?code=x&state={state}", "/sign-in/oidc"):
            reply = browser.get(path)
            assert reply.status_code == 503
            assert "cannot be read" in reply.text
            assert str(secret) not in reply.text
        assert f"console.oidc.client_secret_file: {secret} cannot be read" in capsys.readouterr().out
        assert TOKEN not in provider.asked
    found = rows(database, "SELECT details ->> 'reason' FROM audit_events WHERE subject = 'oidc'")
    assert found == [("configuration",), ("configuration",)]


def test_the_start_of_the_console_names_a_file_that_cannot_be_used(
    database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    with _console(database, tmp_path, "http://127.0.0.1:1", ca=tmp_path / "ca.pem") as browser:
        assert f"console.oidc.ca: {tmp_path / 'ca.pem'} cannot be used" in capsys.readouterr().out
        assert browser.get("/sign-in/oidc").status_code == 503
        assert browser.sign_in("viewer").status_code == 303
