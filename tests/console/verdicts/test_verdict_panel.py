"""The verdict panel over real HTTP: one form for each verdict, who may give them, and what a reader is told when it is refused."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser as Chromium

from core.policy.verdicts import WAITING_NOTE
from db.engine import Database
from models import registry
from tests.support.chromium import sign_in
from tests.support.console import Browser, RunningConsole, add_users
from tests.support.records import Sender, claim, complete, finish, plan, rows, run, scalar

SEEN = re.compile(r'name="(seen_revision|seen_at|seen_verdict)" value="([^"]+)"')


@pytest.fixture
def console(database: Database, tmp_path: Path) -> Iterator[RunningConsole]:
    """A console with one reported study: two findings on a series of two slices."""
    sender = Sender(database)
    for number in (1, 2):
        sender.send(number, rows=512, columns=512, pixel_spacing_mm=(0.5, 0.5))
    complete(database, plan())
    finish(database, claim(database), findings=2)
    add_users(database)
    with RunningConsole(database, tmp_path) as running:
        yield running


@pytest.fixture
def clinician(console: RunningConsole) -> Iterator[Browser]:
    """A browser that is signed in as a clinician."""
    with console.browser("clinician") as browser:
        yield browser


class Reader:
    """A clinician on the study page: sends the forms of the panel with what the page said."""

    def __init__(self, browser: Browser, database: Database) -> None:
        self.browser = browser
        self.job, self.study = (int(str(scalar(database, f"SELECT id FROM {table}"))) for table in ("jobs", "studies"))
        self.findings = [str(id) for (id,) in rows(database, "SELECT id FROM findings ORDER BY ordinal")]
        self.seen: dict[str, str] = {}

    def read(self) -> str:
        """Open the study page; return the panel."""
        page = self.browser.open(f"/studies/{self.study}").text
        self.seen = dict(SEEN.findall(page))
        return page[page.index('data-verdicts="') :]

    def send(self, **fields: str) -> httpx.Response:
        """Send the form of a verdict as it was read."""
        return self.browser.send_form(f"/results/{self.job}/verdicts", **self.seen, **fields)


@pytest.fixture
def reader(clinician: Browser, database: Database) -> Reader:
    """The clinician on the study page."""
    reader = Reader(clinician, database)
    reader.read()
    return reader


def test_a_clinician_accepts_corrects_rejects_and_adds_a_finding(reader: Reader, database: Database) -> None:
    first, second = reader.findings
    reply = reader.send(finding=first, verdict="accepted")
    assert (reply.status_code, reply.headers["location"]) == (303, f"/studies/{reader.study}#verdicts-{reader.job}")
    panel = reader.read()
    assert "1 of 2 judged" in panel
    assert 'verdict-accepted">accepted' in panel
    reader.send(finding=first, verdict="corrected", diameter_mm="8.2", column="10.5", row="10.5", image_number="2")
    reader.send(finding=second, reason="duplicate")
    reader.send(verdict="missed", label="nodule", column="100.5", row="40.5", image="1.2.3.4.1", diameter_mm="4")
    panel = reader.read()
    for shown in ("8.2 mm · at 5.0, 5.0, 2.0 mm (LPS)", "Same as another finding", "at 50.0, 20.0, 1.0 mm (LPS)", "All verdicts (4)"):
        assert shown in panel, shown
    kept = rows(database, "SELECT verdict, user_name, current FROM v_verdicts ORDER BY verdict_id")
    assert kept == [("accepted", "clinician", False)] + [(word, "clinician", True) for word in ("corrected", "rejected", "missed")]


WRONG_FORMS: list[tuple[dict[str, str], str]] = [
    ({"verdict": "maybe"}, "verdict is one of accepted"),
    ({"reason": "boredom"}, "reason is one of normal_anatomy"),
    ({"verdict": "corrected"}, "a correction changes nothing"),
    ({"verdict": "corrected", "label": "<b>"}, "the model has no class"),
    ({"verdict": "corrected", "diameter_mm": "wide"}, "diameter_mm is a number"),
    ({"verdict": "corrected", "column": "5"}, "a place has a column and a row"),
    ({"verdict": "corrected", "column": "5", "row": "5"}, "the image of the place is not clear"),
    ({"verdict": "accepted", "seen_at": "yesterday"}, "the form does not say what you had seen"),
    ({"verdict": "accepted", "seen_at": "2999-01-01T00:00:00+00:00"}, "the form does not say what you had seen"),
    ({"verdict": "accepted", "seen_revision": "7"}, "another revision than the page showed"),
    ({"verdict": "accepted", "finding": "999999"}, "finding 999999 is not of job"),
]


def test_a_wrong_form_records_nothing_and_says_what_to_do(reader: Reader, database: Database) -> None:
    right = reader.seen
    for fields, expected in WRONG_FORMS:
        reader.seen = right | {name: value for name, value in fields.items() if name in right}
        given = {"finding": reader.findings[0]} | {name: value for name, value in fields.items() if name not in right}
        reply = reader.send(**given)
        assert reply.status_code == 409
        assert expected[1:] in reply.text, expected
        assert "<b>" not in reply.text
    assert scalar(database, "SELECT count(*) FROM verdicts") == 0


def test_the_panel_alone_is_for_the_viewer_and_its_view_is_audited(reader: Reader, database: Database) -> None:
    panel = reader.browser.get(f"/results/{reader.job}/verdicts").text
    assert panel.lstrip().startswith('<div class="verdicts"')
    assert 'data-image="1.2.3.4.1"' in panel
    assert 'data-column="10.5"' in panel
    form = {"form_token": reader.browser.form_token, **reader.seen, "finding": reader.findings[0], "verdict": "accepted"}
    headers = {"Origin": str(reader.browser.base_url).rstrip("/"), "X-Fragment": "verdicts"}
    reply = reader.browser.post(f"/results/{reader.job}/verdicts", data=form, headers=headers)
    assert reply.status_code == 200
    assert "1 of 2 judged" in reply.text
    assert "<html" not in reply.text
    events = rows(database, "SELECT actor, subject FROM audit_events WHERE action = 'result.viewed'")
    assert events == [("user:clinician", f"study:{reader.study}")] * 2


def test_other_roles_read_verdicts_and_cannot_give_them(console: RunningConsole, reader: Reader, database: Database) -> None:
    reader.send(finding=reader.findings[0], verdict="accepted")
    for role in ("viewer", "operator", "auditor"):
        with console.browser(role) as browser:
            other = Reader(browser, database)
            panel = other.read()
            assert "accepted" in panel
            assert "<form" not in panel[: panel.index("Objects and proof of delivery")]
            other.seen = reader.seen
            assert other.send(finding=reader.findings[1], verdict="accepted").status_code == 403
    assert scalar(database, "SELECT count(*) FROM verdicts") == 1


def test_the_worklist_is_narrowed_to_studies_with_an_open_verdict(reader: Reader) -> None:
    link = f'href="/studies/{reader.study}"'
    assert link in reader.browser.get("/worklist?verdict=open").text
    assert link not in reader.browser.get("/worklist?verdict=given").text
    for finding in reader.findings:
        reader.send(finding=finding, verdict="accepted")
    assert link not in reader.browser.get("/worklist?verdict=open").text
    assert link in reader.browser.get("/worklist?verdict=given").text


def test_the_panel_says_why_a_result_was_not_sent_and_a_clinician_sends_it_all_the_same(reader: Reader, database: Database) -> None:
    run(database, "UPDATE jobs SET awaiting_verdict = '{pacs}'")
    run(database, "UPDATE deliveries SET state = 'held', awaiting_verdict = true, note = '{}'".format(WAITING_NOTE.replace("'", "''")))
    assert "1 object for pacs waits for a verdict" in reader.read()
    first, second = reader.findings
    reader.send(finding=first, reason="duplicate")
    reader.read()
    reader.send(finding=second, verdict="corrected", diameter_mm="8.2")
    panel = reader.read()
    assert "the result was changed, and no assessment goes there" in panel
    assert f'href="/studies/{reader.study}"' in reader.browser.get("/worklist?verdict=open").text
    reader.read()
    reader.send(finding=second, reason="duplicate")
    panel = reader.read()
    for shown in ("1 object for pacs is not sent: every finding was rejected", "Send it all the same"):
        assert shown in panel, shown
    assert "Not delivered to pacs" in panel or "Not delivered to pacs" in reader.browser.get(f"/studies/{reader.study}").text
    assert f'href="/studies/{reader.study}"' not in reader.browser.get("/worklist?verdict=open").text
    reader.read()
    assert reader.browser.get(f"/api/v1/results/{reader.job}/verdicts").json()["waiting"] == []
    reader.read()
    assert reader.browser.send_form(f"/results/{reader.job}/release", **reader.seen).status_code == 303
    assert rows(database, "SELECT state, awaiting_verdict FROM deliveries") == [("pending", False)]


def test_every_verdict_is_one_key_in_the_browser(console: RunningConsole, database: Database, chromium: Chromium) -> None:
    study = scalar(database, "SELECT id FROM studies")
    with chromium.new_page() as page:
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        sign_in(page, console.url, "clinician")
        page.goto(f"{console.url}/studies/{study}")
        assert not page.is_visible("[data-mark]"), "there is no viewer on the page"
        page.keyboard.press("a")
        page.wait_for_selector(".verdict-accepted")
        assert page.evaluate("document.activeElement.dataset.ordinal") == "2", "the next open finding"
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid", "the keyboard acts on it: it has a ring"
        page.keyboard.press("r")
        page.keyboard.press("2")
        page.wait_for_selector(".verdict-rejected")
        page.keyboard.press("k")
        page.keyboard.press("c")
        page.wait_for_selector("details[data-key=c][open]")
        page.evaluate("document.activeElement.blur()")
        page.keyboard.press("m")
        form = page.locator("details.missed form")
        for name, value in (("image_number", "2"), ("column", "100.5"), ("row", "40.5")):
            form.locator(f"[name={name}]").fill(value)
        form.locator("[name=row]").press("Enter")
        page.wait_for_selector(".verdict-missed")
        assert problems == []
    assert rows(database, "SELECT verdict, reason FROM verdicts ORDER BY id") == [
        ("accepted", ""),
        ("rejected", "artifact"),
        ("missed", ""),
    ]


def test_a_photograph_has_no_number_among_images_to_state(reader: Reader, database: Database) -> None:
    assert 'name="image_number"' in reader.read()
    run(database, "UPDATE units SET kind = 'image'")
    panel = reader.read()
    assert 'name="column"' in panel
    assert 'name="image_number"' not in panel


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        ("not_analysed", "No model has analysed the images, so there is no answer to judge."),
        ("abstained", "The model abstained, so there is no answer to judge."),
        ("no_finding", "No finding: no finding was reported."),
    ],
)
def test_a_verdict_without_a_finding_is_offered_where_a_model_has_answered(
    reader: Reader, database: Database, outcome: str, said: str
) -> None:
    """The panel of the study page and that of the viewer say why otherwise, and a form that is sent all the same is refused."""
    run(database, "DELETE FROM findings")
    run(database, f"UPDATE jobs SET outcome = '{outcome}', pipeline_digest = '{registry.pipeline_digest('lung_nodule_ct')}'")
    answered = outcome == "no_finding"
    for panel in (reader.read(), reader.browser.get(f"/results/{reader.job}/verdicts").text):
        assert said in panel
        assert ("nothing was missed" in panel, "Add a missed finding" in panel) == (answered, answered)
    for form in ({"verdict": "accepted"}, {"verdict": "missed", "label": "nodule", "column": "9.5", "row": "9.5", "image": "1.2.3.4.1"}):
        reader.read()
        reply = reader.send(**form)
        assert reply.status_code == (303 if answered else 409)
        assert answered or said.removesuffix(".") in reply.text
    assert scalar(database, "SELECT count(*) FROM verdicts") == 2 * answered
