"""What takes something away from a person asks once more, and pages say what has happened, in Chromium."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from console.auth.sign_in import NOTICES
from db.accounts.api_tokens import add_token, list_tokens
from db.accounts.users import User, find_user
from db.engine import Database
from tests.support.chromium import sign_in
from tests.support.console import PASSWORD, RunningConsole
from tests.support.records import run


def _user(database: Database, name: str) -> User:
    user = find_user(database, name)
    assert user is not None
    return user


@pytest.fixture
def page(console: RunningConsole, chromium: Browser) -> Iterator[Page]:
    """A page of an administrator, who may copy."""
    context = chromium.new_context(base_url=console.url, permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    sign_in(page, console.url, "admin")
    yield page
    context.close()


def test_a_user_is_disabled_by_a_second_press_only(page: Page, database: Database) -> None:
    page.goto("/users")
    row = page.locator("tr", has=page.get_by_label("Role of viewer"))
    row.locator("summary", has_text="Disable").click()
    row.get_by_text("end at once").wait_for()
    assert _user(database, "viewer").disabled_at is None
    row.locator("button.danger").click()
    page.wait_for_selector("text=disabled since")
    assert _user(database, "viewer").disabled_at is not None


def test_a_token_is_revoked_by_a_second_press_only(page: Page, database: Database) -> None:
    admin = _user(database, "admin")
    add_token(database, admin, name="nightly export", scopes=["results"], days=30, actor="test")
    page.goto("/account")
    page.locator("summary", has_text="Revoke").click()
    page.wait_for_selector("text=are refused from now on")
    assert list_tokens(database, admin)[0].revoked_at is None
    page.click("form[action$=revoke] button")
    page.wait_for_selector("text=revoked 20")
    assert list_tokens(database, admin)[0].revoked_at is not None


def test_a_link_that_is_shown_once_is_copied(page: Page) -> None:
    page.goto("/users")
    page.fill("[name=name]", "Grace")
    page.click("text=Make an invitation link")
    page.click("[data-copy]")
    page.wait_for_selector("button:text-is('Copied')")
    assert page.evaluate("navigator.clipboard.readText()") == page.inner_text("#link")


def test_the_page_of_sign_in_says_why_it_is_shown(page: Page, database: Database) -> None:
    page.goto("/worklist")
    page.goto("about:blank")  # the worklist asks for news and, once the session has ended, leads to the page of sign-in by itself
    run(database, "UPDATE sessions SET ended_at = node_now()")
    page.goto("/models?x=1")
    page.wait_for_selector(f".notice:text-is('{NOTICES['ended']}')")
    page.fill("[name=name]", "admin")
    page.fill("[name=password]", PASSWORD)
    page.click("main button")
    page.wait_for_url("**/models?x=1")
    page.click("text=Sign out")
    page.wait_for_selector(f".notice:text-is('{NOTICES['out']}')")
    page.goto("/sign-in?notice=elsewhere")
    assert page.locator(".notice").count() == 0, "no text of an address is shown"


def test_the_account_says_that_the_password_has_changed(page: Page) -> None:
    page.goto("/account")
    page.fill("[name=old]", PASSWORD)
    page.fill("[name=new]", "another long password")
    page.click("text=Change password")
    page.wait_for_selector(".notice:has-text('Your password has changed.')")
