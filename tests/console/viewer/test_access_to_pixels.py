"""Who may read pixels: only a session that has opened the viewer on them, and each opening is one audit event."""

import pytest
from sqlalchemy import text

from tests.console.viewer.conftest import ViewerNode, open_viewer
from tests.support.console import Browser
from tests.support.node_process import wait_until
from tests.support.records import scalar


def _openings(node: ViewerNode) -> list[tuple[str, dict[str, object]]]:
    with node.database.begin() as connection:
        found = connection.execute(text("SELECT actor, details FROM audit_events WHERE action = 'viewer.opened' ORDER BY id"))
        return [(row.actor, row.details) for row in found]


def test_the_images_of_a_result_are_decoded_when_its_study_is_shown_which_is_no_view_of_them(node: ViewerNode, browser: Browser) -> None:
    study = scalar(node.database, f"SELECT se.study_id FROM units u JOIN series se ON se.id = u.series_id WHERE u.id = {node.series}")
    assert browser.get(f"/studies/{study}").status_code == 200
    decoded = node.data_dir / "viewer-cache"
    wait_until("the decoded images", lambda: [*decoded.glob(f"unit-{node.series}-*/meta-2.json")] if decoded.exists() else [])
    assert _openings(node) == []
    data = open_viewer(browser, f"/viewer/{node.series}?finding=2")
    assert data["meta"] is not None, "the page has the description, and its scripts ask for the first slice at once"
    assert data["meta"]["images"][data["first"]][0] == data["findings"][1]["image"]


def test_one_opening_is_one_audit_event_however_much_is_scrolled(node: ViewerNode, browser: Browser) -> None:
    before = len(_openings(node))
    base = open_viewer(browser, f"/viewer/{node.series}")["base"]
    for first in range(0, 20, 4):
        assert browser.get(f"{base}/slices/{first}/4").status_code == 200
    actor, details = _openings(node)[-1]
    assert len(_openings(node)) == before + 1
    assert (actor, details["unit"], details["from"]) == ("user:clinician", node.series, "127.0.0.1")


def test_a_ticket_is_of_no_use_to_another_session_or_for_another_unit(node: ViewerNode, browser: Browser) -> None:
    base = open_viewer(browser, f"/viewer/{node.series}")["base"]
    ticket = base.rsplit("/", 1)[1]
    assert browser.get(f"{base}/slices/0/1").status_code == 200
    assert browser.get(f"/viewer/{node.photograph}/{ticket}/meta").status_code == 404
    assert browser.get(f"/viewer/{node.photograph}/{ticket}/picture").status_code == 404
    photograph = open_viewer(browser, f"/viewer/{node.photograph}")["base"]
    assert browser.get(f"{photograph}/first").status_code == 404, "a photograph has no slices"
    with node.console.browser() as other:
        assert other.get(f"{base}/slices/0/1").status_code == 303, "to the sign-in page"
        other.sign_in("admin")
        for part in ("meta", "first", "slices/0/1", "picture", "overlays"):
            assert other.get(f"{base}/{part}").status_code == 404


@pytest.mark.parametrize(
    "part", ["slices/-1/1", "slices/40/1", "slices/0/0", "slices/0/17", "slices/39/2", "slices/0/x", "picture", "../1/meta"]
)
def test_what_is_not_there_is_not_served(node: ViewerNode, browser: Browser, part: str) -> None:
    base = open_viewer(browser, f"/viewer/{node.series}")["base"]
    assert browser.get(f"{base}/{part}").status_code in (404, 422)


@pytest.mark.parametrize(
    "ticket", ["x", "0" * 32 + ".1." + "0" * 32, "..%2f..%2fetc", "%2e%2e", "0" * 32 + "." + "9" * 40 + "." + "0" * 32]
)
def test_a_ticket_that_was_not_signed_is_refused(node: ViewerNode, browser: Browser, ticket: str) -> None:
    assert browser.get(f"/viewer/{node.series}/{ticket}/meta").status_code == 404


@pytest.mark.parametrize("path", ["/viewer/999999", "/viewer/{series}?job=999999", "/viewer/{photograph}?job=1"])
def test_a_result_is_shown_on_its_own_unit_only(node: ViewerNode, browser: Browser, path: str) -> None:
    before = len(_openings(node))
    assert browser.get(path.format(series=node.series, photograph=node.photograph)).status_code == 404
    assert len(_openings(node)) == before


def test_the_data_of_the_page_cannot_end_its_script_element(node: ViewerNode, browser: Browser) -> None:
    with node.database.begin() as connection:
        connection.execute(text("UPDATE findings SET code_meaning = '</script><b>x' WHERE job_id = 1 AND ordinal = 2"))
    page = browser.get(f"/viewer/{node.series}").text
    with node.database.begin() as connection:
        connection.execute(text("UPDATE findings SET code_meaning = 'Nodule' WHERE job_id = 1 AND ordinal = 2"))
    assert "</script><b>x" not in page
    assert "<b>x" not in page
