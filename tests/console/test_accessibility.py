"""Every page of the console in Chromium: axe-core finds no barrier, no page or table scrolls sideways; wide and narrow, light and dark."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from console.auth.access import ACCESS, PUBLIC
from console.auth.credentials.second_factor import new_secret
from core.errors import StorageError
from db.accounts.users import find_user, set_second_factor
from db.engine import Database
from tests.support.axe_core import fetch_axe
from tests.support.chromium import TIMEOUT_MS
from tests.support.console import PASSWORD, RunningConsole
from tests.support.filled_console import fill_node, use_console
from tests.support.services import fresh_database

WIDE, NARROW = 1440, 360
STREAM = "/worklist/events"  # never ends
_AXE = """async (rules) => (await axe.run(document, { resultTypes: ["violations"], ...rules })).violations.map((one) =>
    `${one.id} (${one.impact}): ` + one.nodes.map((node) => `${node.html.slice(0, 140)} ${node.any[0]?.message ?? ""}`).join("; "))"""
_CONTRAST = {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}
_OVERFLOW = """() => [
    ...(document.documentElement.scrollWidth <= innerWidth ? [] : [...document.querySelectorAll("body *")].filter(
        (one) => one.getBoundingClientRect().right > innerWidth + 1).slice(0, 5)),
    ...[...document.querySelectorAll(".scroll:has(> table)")].filter((one) => one.scrollWidth > one.clientWidth + 1),
].map((one) => one.outerHTML.slice(0, 120))"""


def axe() -> Path:
    """Return the script of axe-core. If it cannot be had, the test fails in CI and is skipped elsewhere."""
    try:
        return fetch_axe()
    except StorageError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def opened(
    postgres_url: str, database_template: str, tmp_path_factory: pytest.TempPathFactory, chromium: Browser
) -> Iterator[tuple[BrowserContext, BrowserContext, dict[str, str]]]:
    """Two contexts of Chromium with axe-core on one console, nobody signed in and the administrator; values of parameters of paths."""
    script = axe()
    folder = tmp_path_factory.mktemp("accessibility")
    with fresh_database(postgres_url, database_template) as url:
        database = Database.open(url)
        values = fill_node(database, folder)
        with RunningConsole(database, folder) as console, console.browser() as client:
            values |= use_console(client, database)
            viewer = find_user(database, "viewer")
            assert viewer is not None
            set_second_factor(database, viewer.id, new_secret(), actor="test")
            contexts = [chromium.new_context(base_url=console.url, reduced_motion="reduce") for _ in range(2)]
            for context in contexts:
                context.set_default_timeout(TIMEOUT_MS)
                context.add_init_script(path=script)
            page = contexts[1].new_page()
            page.goto("/sign-in")
            page.fill("[name=name]", "admin")
            page.fill("[name=password]", PASSWORD)
            page.click("main button")
            page.wait_for_selector(".who .role")
            page.close()
            yield contexts[0], contexts[1], values
            for context in contexts:
                context.close()
        database.dispose()


def _paths(values: dict[str, str], *, public: bool) -> list[str]:
    """Return the path of every GET route that a browser may show as a page."""
    found = []
    for (method, pattern), roles in ACCESS.items():
        if (
            method == "GET"
            and (roles == PUBLIC) == public
            and not pattern.startswith("/api/")
            and "{ticket}" not in pattern
            and pattern != STREAM
        ):
            found.append(pattern.format_map(values))
    return found


def _barriers(page: Page) -> list[str]:
    """Run axe-core on the page that is open, in two widths, one of them light and the other dark.

    The rules on colours run in both schemes at the width that shows everything, the others once in each width: light and dark pages
    differ in their colours only, and wide and narrow pages in their arrangement only.
    """
    found: list[str] = []

    def run(width: int, scheme: Any, rules: dict[str, Any]) -> None:
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme=scheme)
        found.extend(f"{width} px, {scheme}: {line}" for line in page.evaluate(_AXE, rules))

    run(WIDE, "light", {})
    run(WIDE, "dark", _CONTRAST)
    run(NARROW, "dark", {})
    found.extend(f"{NARROW} px: wider than the screen: {line}" for line in page.evaluate(_OVERFLOW))
    return found


def _check(context: BrowserContext, paths: list[str]) -> tuple[list[str], list[str]]:
    """Return the paths that are pages, and what is wrong with them."""
    page = context.new_page()
    pages: list[str] = []
    found: list[str] = []
    for path in paths:
        reply = context.request.get(path, max_redirects=0, headers={"Sec-Fetch-Dest": "document"})
        if not reply.headers.get("content-type", "").startswith("text/html") or not reply.text().startswith("<!doctype html>"):
            continue
        pages.append(path)
        page.goto(path, wait_until="load")
        found.extend(f"{path}, {line}" for line in _barriers(page))
    page.close()
    return pages, found


def test_pages_without_sign_in_have_no_barrier(opened: tuple[BrowserContext, BrowserContext, dict[str, str]]) -> None:
    nobody, _, values = opened
    pages, found = _check(nobody, _paths(values, public=True))
    assert {"/status", "/sign-in", f"/invitations/{values['token']}"} <= set(pages)
    page = nobody.new_page()
    page.goto("/sign-in")
    page.fill("[name=name]", "viewer")
    page.fill("[name=password]", PASSWORD)
    page.click("main button")
    page.wait_for_selector("[name=code]")
    found += [f"the second factor, {line}" for line in _barriers(page)]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_model_views_and_proof_of_a_study_are_one_click_away(
    opened: tuple[BrowserContext, BrowserContext, dict[str, str]], width: int
) -> None:
    _, administrator, values = opened
    page = administrator.new_page()
    page.set_viewport_size({"width": width, "height": 800})
    page.goto("/worklist")
    page.click(f'a.line[href="/studies/{values["study_id"]}"]')
    page.wait_for_selector(".finding h4")
    for name, begins in (("Model", "Made by"), ("Proof of delivery", "Objects and proof of delivery"), ("Last viewed", "Viewed by")):
        page.click(f'.patient-head div:has(> dt:text-is("{name}")) a')
        target = page.locator(":target")
        assert target.inner_text().startswith(begins)
        assert target.evaluate(
            "(one) => Math.round(one.getBoundingClientRect().top) >= 0 && one.getBoundingClientRect().top < innerHeight"
        ), name
    page.click("text=Show in the images >> nth=0")
    page.wait_for_url("**/viewer/*")
    page.close()


def test_pages_of_people_have_no_barrier(opened: tuple[BrowserContext, BrowserContext, dict[str, str]]) -> None:
    _, administrator, values = opened
    pages, found = _check(
        administrator,
        [
            *_paths(values, public=False),
            "/worklist?text=nothing",
            "/studies/1",
            "/studies/5",
            "/audit/patient?patient_id=P-1001",
            "/patients?patient_id=P-1001",
            "/operations/results/send?destination=pacs&since=2020-01-01T00:00",
            "/operations/results/run?since=2020-01-01T00:00",
            "/studies/999999",
            "/no-such-page",
        ],
    )
    assert len(pages) >= 15, pages
    assert not found, "\n" + "\n".join(found)
