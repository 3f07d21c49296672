"""The viewer over a connection that breaks: it asks again, and says what is missing where nothing helps."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route

from tests.console.viewer.conftest import ViewerNode
from tests.support.records import Sender, scalar


def _break(page: Page, pattern: str, times: int, act: Callable[[Route], None]) -> list[str]:
    """Answer the first ``times`` requests by ``act``; return the requests that came."""
    asked: list[str] = []

    def answer(route: Route) -> None:
        asked.append(route.request.url)
        if len(asked) <= times:
            act(route)
        else:
            route.continue_()

    page.route(pattern, answer)
    return asked


@pytest.mark.parametrize("part", ["meta", "overlays", "verdicts"])
def test_what_could_not_be_read_for_a_moment_is_asked_for_again(page: Page, node: ViewerNode, part: str) -> None:
    asked = _break(page, f"**/{part}", 1, lambda route: route.abort())
    page.goto(f"{node.console.url}/viewer/{node.series}")
    page.wait_for_selector("body[data-loaded].with-heat")
    page.wait_for_selector("#verdict-box [data-verdicts]")
    assert page.locator("#news").is_hidden()
    if part != "meta":  # which the page has already where the images are decoded
        assert len(asked) > 1


def test_outlines_that_are_missing_are_not_taken_for_none(page: Page, node: ViewerNode) -> None:
    _break(page, "**/overlays", 99, lambda route: route.fulfill(status=500, body="{}"))
    page.goto(f"{node.console.url}/viewer/{node.series}")
    page.wait_for_selector("#news:not([hidden])")
    assert "The outlines and the heat map are missing." in page.inner_text("#news")
    assert "The outlines and the heat map are missing." in page.inner_text("#status")


def test_a_verdict_panel_that_is_missing_is_named(page: Page, node: ViewerNode) -> None:
    _break(page, "**/results/*/verdicts", 99, lambda route: route.fulfill(status=500, body="{}"))
    page.goto(f"{node.console.url}/viewer/{node.series}")
    page.wait_for_selector("#verdict-box .error")
    assert "The verdict panel is missing." in page.inner_text("#verdict-box")


def test_a_photograph_that_cannot_be_read_is_said_so(page: Page, node: ViewerNode) -> None:
    _break(page, "**/picture", 99, lambda route: route.abort())
    page.goto(f"{node.console.url}/viewer/{node.photograph}")
    page.wait_for_selector("#message h2:has-text('The photograph cannot be displayed')")
    assert "The node does not answer." in page.inner_text("#message")


def test_where_no_image_can_be_displayed_head_and_findings_stay_in_their_places(page: Page, node: ViewerNode) -> None:
    Sender(node.database).send(1, study="1.2.8900", series="1.2.8900.1")
    unit = scalar(
        node.database, "SELECT u.id FROM units u JOIN series se ON se.id = u.series_id WHERE se.series_instance_uid = '1.2.8900.1'"
    )
    page.goto(f"{node.console.url}/viewer/{unit}")
    page.wait_for_selector("#message:not(.busy):not([hidden]) >> text=missing")
    head = page.locator("header.top").bounding_box()
    assert head is not None
    assert (head["x"], head["y"], head["width"]) == (0, 0, 1280)
    assert page.evaluate("getComputedStyle(document.getElementById('findings')).textAlign") == "start"
