"""The comparison with an earlier result beside the images: what it says, and a window on the earlier images at the matched finding."""

import itertools
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pytest
from playwright.sync_api import Page

from console.viewer.comparison import NO_FINDING, REPLACED, UNMATCHED, shown_earlier_results
from core.policy.priors.finding_matches import NONE_NEAR
from core.policy.priors.sentences import NOT_MATCHED_TO_FINDINGS, REPLACED_SOON, TO_BE_CHECKED
from core.records import Change, FindingComparison
from db.viewer.compared_results import ComparedResult, ComparedResults
from deploy.demo.synthetic.chest import make_chest, write_chest
from tests.console.viewer.conftest import ViewerNode, open_viewer
from tests.support.chromium import FRAMES_DRAWN
from tests.support.comparisons import RULE, earlier_nodule, earlier_result
from tests.support.console import Browser
from tests.support.records import DIGEST, rows, run, scalar
from tests.support.viewer_units import series_with_findings

SEEDS = itertools.count(401)


@dataclass(frozen=True, slots=True)
class Examination:
    """A series with a result: numbers of its unit, job and study."""

    unit: int
    job: int
    study: int


def examine(node: ViewerNode, folder: Path, seed: int) -> Examination:
    made = make_chest(seed, slices=24, size=64, slice_mm=8.0, diameters_mm=(14.0, 24.0))
    places = [(nodule.position_mm, nodule.diameter_mm) for nodule in made.nodules]
    unit, _ = series_with_findings(node.database, node.blobs, write_chest(folder, made), places)
    numbers = f"FROM jobs j JOIN units u ON u.id = j.unit_id JOIN series se ON se.id = u.series_id WHERE u.id = {unit}"
    return Examination(unit, *(int(str(scalar(node.database, f"SELECT {one} {numbers}"))) for one in ("j.id", "se.study_id")))


@pytest.fixture
def examinations(node: ViewerNode, tmp_path: Path) -> tuple[Examination, Examination]:
    """The earlier and the later one, whose first finding is the second one of the earlier one; nothing else was matched."""
    then, now = (examine(node, tmp_path / str(seed), seed) for seed in itertools.islice(SEEDS, 2))
    database = node.database
    run(database, f"UPDATE jobs SET prior_rule = '{json.dumps(asdict(RULE))}' WHERE id = {now.job}")
    run(
        database,
        "INSERT INTO job_priors (job_id, place, prior_job_id, model_version, pipeline_digest, study_date, study_time, days)"
        f" VALUES ({now.job}, 1, {then.job}, '1.0', '{DIGEST}', '20250105', '', 362)",
    )
    matched = FindingComparison(then.job, "1.0", "20250105", 362, Change.LARGER, 2, 2.5, 5.0, 110.0, 0.9, 1.5, 170.0, 155, 268)
    other = FindingComparison(then.job, "1.0", "20250105", 362, Change.NOT_MATCHED, reason=NONE_NEAR)
    for number, said in ((1, matched), (2, other)):
        run(database, f"UPDATE findings SET comparison = '{json.dumps(asdict(said))}' WHERE job_id = {now.job} AND ordinal = {number}")
    return then, now


def test_each_finding_says_how_it_has_changed_and_earlier_findings_without_a_match_are_named(
    page: Page, node: ViewerNode, examinations: tuple[Examination, Examination]
) -> None:
    then, now = examinations
    named = f"2025-01-05 (362 days before, version 1.0, job {then.job})"
    page.goto(f"{node.console.url}/viewer/{now.unit}")
    page.wait_for_selector("body[data-shown]")
    first, second = page.locator("ol.findings .compared").all_inner_texts()
    assert first.startswith("Larger, beyond the measuring error")
    sizes = "volume then 110 mm³, difference +170 mm³ (+155 %); diameter then 5.0 mm, difference +1.5 mm; volume doubling time 268 days"
    assert sizes in first
    assert f"Show finding 2 of {named}" in first
    assert second.startswith("No comparable finding")
    assert f"in the result of {named}: {NONE_NEAR}. This does not say that it is new." in second
    listed = page.locator(".compared-with")
    assert named in listed.inner_text()
    assert TO_BE_CHECKED in listed.inner_text()
    assert UNMATCHED in listed.inner_text()
    findings = [int(str(number)) for (number,) in rows(node.database, f"SELECT ordinal FROM findings WHERE job_id = {then.job}")]
    links = [link.get_attribute("href") for link in listed.locator("li a").all()]
    assert links == [f"/viewer/{then.unit}?job={then.job}&finding={number}" for number in sorted({*findings} - {2})]
    page.set_viewport_size({"width": 360, "height": 740})
    page.evaluate(FRAMES_DRAWN)
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 360


def test_the_earlier_images_open_at_the_matched_finding_in_one_other_window_by_link_and_by_key(
    page: Page, node: ViewerNode, examinations: tuple[Examination, Examination]
) -> None:
    then, now = examinations
    page.goto(f"{node.console.url}/viewer/{now.unit}")
    page.wait_for_selector('ol.findings [data-finding="1"][aria-current=true]')
    page.locator("ol.findings [data-earlier]").focus()
    with page.expect_popup() as opened:
        page.keyboard.press("Enter")
    other = opened.value
    other.wait_for_selector('ol.findings [data-finding="2"][aria-current=true]')
    address = f"{node.console.url}/viewer/{then.unit}?job={then.job}&finding=2"
    assert other.url == address
    last = "SELECT actor, subject FROM audit_events WHERE action = 'viewer.opened' ORDER BY id DESC LIMIT 1"
    assert rows(node.database, last) == [("user:clinician", f"study:{then.study}")], "a view of the earlier study, as of any study"
    other.goto(f"{node.console.url}/worklist")
    page.bring_to_front()
    page.keyboard.press("n")
    page.wait_for_selector('ol.findings [data-finding="2"][aria-current=true]')
    page.keyboard.press("e")
    assert other.url.endswith("/worklist"), "the second finding was not matched"
    page.keyboard.press("p")
    page.keyboard.press("e")
    other.wait_for_url(address)
    assert len(page.context.pages) == 2


def test_who_sees_the_comparison_has_seen_the_earlier_study(
    node: ViewerNode, browser: Browser, examinations: tuple[Examination, Examination]
) -> None:
    then, now = examinations
    open_viewer(browser, f"/viewer/{now.unit}")
    last = "SELECT actor, details FROM audit_events WHERE action = 'earlier_results.viewed' ORDER BY id DESC LIMIT 1"
    assert rows(node.database, last) == [("user:clinician", {"from": "127.0.0.1", "studies": [then.study], "beside": now.study})]
    assert browser.get(f"/viewer/{then.unit}?job={now.job}").status_code == 404, "the result is not one of these images"
    run(node.database, f"DELETE FROM job_priors WHERE job_id = {now.job}")
    events = "SELECT count(*) FROM audit_events WHERE action = 'earlier_results.viewed'"
    before = scalar(node.database, events)
    page = browser.get(f"/viewer/{now.unit}").text
    assert "No earlier result of this model within 1825 days was found" in page
    assert "data-earlier" not in page
    assert scalar(node.database, events) == before


def test_a_result_that_asks_for_no_comparison_says_nothing_of_it(node: ViewerNode, browser: Browser) -> None:
    assert "Compared with" not in browser.get(f"/viewer/{node.series}").text


def test_what_is_said_of_an_earlier_result_without_findings_and_of_one_that_is_only_listed() -> None:
    newest, older = earlier_result(), replace(earlier_result(replace(earlier_nodule(1, 90.0), rejected=True)), job_id=16)
    results = (ComparedResult(newest, 4, newest.findings), ComparedResult(older, 5, older.findings))
    first, second = shown_earlier_results(ComparedResults(RULE, results, matched=True))
    assert (first.sentences, first.findings, first.address) == ((NO_FINDING,), (), "/viewer/4?job=17")
    assert second.sentences == (NOT_MATCHED_TO_FINDINGS,)
    listed = ("1 Nodule 7.0 mm, Upper zone of lung, right, rejected by a clinician", "/viewer/5?job=16&finding=1")
    assert second.findings == (listed,)
    (alone,) = shown_earlier_results(ComparedResults(RULE, (ComparedResult(older, 5, ()),), matched=True))
    assert alone.sentences == (TO_BE_CHECKED,), "each was matched"
    newer = ComparedResult(older, 5, (), replaced=True)
    (replaced,) = shown_earlier_results(ComparedResults(RULE, (newer,), matched=True))
    assert replaced.sentences == (TO_BE_CHECKED, REPLACED)
    waiting = ComparedResult(replace(older, superseded=True), 5, ())
    (superseded,) = shown_earlier_results(ComparedResults(RULE, (waiting,), matched=True))
    assert superseded.sentences == (TO_BE_CHECKED, REPLACED_SOON)
