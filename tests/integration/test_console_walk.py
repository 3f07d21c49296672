"""One node, one PACS and Chromium: what people do in the console in one day, on studies that an Orthanc sent over DICOM.

The node is ``dicom-node up`` with every role. The tests run in order and share it.
"""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect
from pydicom import Dataset, dcmread

from deploy.demo.synthetic.chest import make_chest, write_chest
from deploy.demo.synthetic.lesion import make_lesion
from models import registry
from tests.support import node_toml
from tests.support.chromium import FRAMES_DRAWN, TIMEOUT_MS, sign_in
from tests.support.console import PASSWORD
from tests.support.model_packages import other_version
from tests.support.node_process import RunningNode, wait_until
from tests.support.orthanc import Orthanc

pytestmark = pytest.mark.timeout(1800)
ROLES = ("viewer", "clinician", "operator", "auditor")
SPARE = "lung_histology_ct"  # a model that no route uses
HEAT = """() => {
    const canvas = document.querySelector(".view.large canvas");
    const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    let coloured = 0;
    for (let at = 0; at < pixels.length; at += 4) {
        const three = pixels.subarray(at, at + 3);
        if (Math.max(...three) - Math.min(...three) > 40) coloured++;
    }
    return coloured;
}"""


@dataclass(slots=True)
class Day:
    """The node, its PACS, and a page for each role that has signed in."""

    node: RunningNode
    pacs: Orthanc
    chromium: Browser
    folder: Path
    pages: dict[str, Page] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    def page(self, role: str) -> Page:
        """Return the page of a role; it signs in the first time, in a browser profile of its own."""
        if role not in self.pages:
            page = self.chromium.new_context(base_url=self.node.console, viewport={"width": 1440, "height": 900}).new_page()
            page.on("pageerror", lambda error: self.errors.append(str(error)))
            sign_in(page, self.node.console, role)
            self.pages[role] = page
        return self.pages[role]

    def send_chest(self, seed: int) -> None:
        """Have Orthanc send a synthetic chest with two nodules over one association."""
        chest = make_chest(seed, slices=18, size=64, slice_mm=5.0, pixel_mm=3.2, diameters_mm=(14.0, 20.0))
        self.pacs.send("node", self.pacs.upload(write_chest(self.folder / f"chest-{seed}", chest)))

    def blobs(self) -> set[Path]:
        """Return the files of what was received and made."""
        return {path for path in (self.folder / "data" / "blobs").rglob("*") if path.is_file() and len(path.name) == 64}


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory, chromium: Browser) -> Iterator[Day]:
    folder = tmp_path_factory.mktemp("day")
    pacs = Orthanc(folder / "pacs", "PACS").start()
    other_version(SPARE, folder / "data" / "models" / SPARE / "9.9.9")
    config = folder / "node.toml"
    config.write_text(f"""
{node_toml.ports(ae_title="NODE")}[completion]
settle_s = 1.0
quiet_s = 6.0
[worker]
children = 1
max_attempts = 1
heat_map_budget_s = 120.0
{node_toml.source("PACS")}
{node_toml.pacs(pacs.port, ae_title="PACS", objects=["sr", "seg", "heatmap", "pdf", "assessment"])}
{node_toml.chest_route()}{node_toml.skin_route(["DMS", "XC"])}""")
    node = RunningNode(config)
    try:
        node.start()
        pacs.knows("node", "NODE", node.port)
        for role in ROLES:
            link = node.json("users", "invite", role, "--role", role, "--json")["link"]
            reply = httpx.post(link, data={"password": PASSWORD}, headers={"Origin": node.console}, timeout=120)
            assert reply.status_code == 303
        expect.set_options(timeout=TIMEOUT_MS)
        found = Day(node, pacs, chromium, folder)
        yield found
        assert not found.errors, "no script of a page failed"
        for page in found.pages.values():
            page.context.close()
    finally:
        node.stop_or_kill()
        pacs.stop()


def test_1_a_clinician_watches_a_study_arrive(day: Day) -> None:
    page = day.page("clinician")
    with page.expect_response(lambda reply: reply.url.endswith("/worklist/events")):
        page.goto("/worklist")
    expect(page.locator("main")).to_contain_text("No study has been received")
    day.send_chest(11)
    line = page.locator("a.line")
    expect(line).to_have_count(1)  # without a reload
    expect(line.locator(".badge.delivered")).to_be_visible()
    expect(line).to_contain_text("18 images")


def test_2_the_clinician_scrolls_the_images_and_jumps_to_a_nodule_with_its_heat_map(day: Day) -> None:
    page = day.page("clinician")
    page.locator("a.line").click()
    expect(page.locator(".timeline")).to_contain_text("Delivered to pacs")
    page.click("text=View the images")
    page.wait_for_selector("body[data-loaded].with-heat")
    page.evaluate(FRAMES_DRAWN)
    before = page.get_attribute("#slice", "aria-valuetext")
    page.hover(".view.large canvas")
    page.mouse.wheel(0, 300)
    expect(page.locator("#slice")).not_to_have_attribute("aria-valuetext", before or "")
    page.click('ol.findings [data-finding="1"]')
    expect(page.locator("#status")).to_contain_text("Finding 1, Nodule, axial slice")
    page.keyboard.press("x")
    page.evaluate(FRAMES_DRAWN)
    with_heat = page.evaluate(HEAT)
    page.fill("#heat", "0")
    page.wait_for_function(f"() => ({HEAT})() < {with_heat}")


def test_3_the_verdicts_reach_the_pacs_as_an_assessment_of_the_report(day: Day) -> None:
    page = day.page("clinician")
    page.click(".back")
    page.wait_for_url("**/studies/*")  # the page of the images has a panel too
    panel = page.locator("[data-verdicts]")
    expect(panel.locator("ol > li").first).to_be_visible()
    for item in range(panel.locator("ol > li").count()):
        panel.locator("ol > li").nth(item).get_by_role("button", name="Accept").click()
        expect(panel.locator("ol > li").nth(item).locator(".verdict-accepted")).to_be_visible()
    expect(panel.locator("header .badge.delivered")).to_have_text("judged")
    assessment = wait_until("the assessment in Orthanc", lambda: next(iter(_assessments(day.pacs)), None), timeout_s=300)
    reports = {one["SOPInstanceUID"] for one in day.pacs.reports()} - {str(assessment.SOPInstanceUID)}
    assert _referenced(assessment) & reports, "it refers to the report that the clinician has judged"
    page.reload()
    expect(page.locator("main")).to_contain_text("Assessment (SR)")


def _assessments(pacs: Orthanc) -> list[Dataset]:
    stored = [dcmread(io.BytesIO(pacs.file(report["ID"]))) for report in pacs.reports()]
    return [one for one in stored if PERSON_OBSERVER in str(one)]


PERSON_OBSERVER = "Person Observer"


def _referenced(dataset: Dataset) -> set[str]:
    return {str(element.value) for element in dataset.iterall() if element.keyword == "ReferencedSOPInstanceUID"}


def test_4_a_photograph_is_uploaded_and_its_pdf_is_read(day: Day) -> None:
    page, photograph = day.page("clinician"), day.folder / "lesion.jpg"
    photograph.write_bytes(make_lesion(21, size=(450, 600)).jpeg)
    page.goto("/upload")
    page.set_input_files("#files", str(photograph))
    page.fill("[name=patient_id]", "WALK-4")
    page.click("#start")
    page.wait_for_url("**/studies/*")
    pdf = page.get_by_role("link", name="Result as PDF")
    expect(pdf).to_be_visible()
    reply = page.request.get(str(pdf.get_attribute("href")))
    assert reply.body().startswith(b"%PDF")


def test_5_an_operator_requeues_a_job_that_failed_because_a_file_was_missing(day: Day) -> None:
    page, before = day.page("operator"), day.blobs()
    page.goto("/operations")
    _command(page, "article.rule:has-text('chest CT')", "Pause", "looking at the store")
    page.goto("/operations")  # the page that shows the answer may be older than the pause
    expect(page.locator("article.rule .badge.retry")).to_have_text("paused")
    day.send_chest(12)
    wait_until("the job of the paused route", lambda: day.node.json("jobs", "list", "--state", "queued", "--json"), timeout_s=300)
    lost = max(day.blobs() - before, key=lambda path: path.stat().st_size)
    lost.rename(lost.with_suffix(".lost"))
    _command(page, "article.rule:has-text('chest CT')", "Resume", "done")
    failed = wait_until("the failed job", lambda: day.node.json("jobs", "list", "--state", "quarantined", "--json"), timeout_s=600)
    lost.with_suffix(".lost").rename(lost)
    page.goto("/operations")
    row = page.locator("section:has(h2:text('Failed jobs')) tbody tr")
    expect(row).to_contain_text("cannot be read: No such file")
    _command(page, "section:has(h2:text('Failed jobs')) tbody tr", "Requeue", "the file is there again")
    job = str(failed[0]["job_id"])
    wait_until(
        "its result", lambda: day.node.json("jobs", "show", job, "--json")["job_state"] in ("delivered", "superseded"), timeout_s=600
    )
    page.goto("/operations")
    expect(page.locator("section:has(h2:text('Failed jobs'))")).to_contain_text("None.")


def _command(page: Page, place: str, label: str, reason: str) -> None:
    """Open the form of an action, give the reason, and wait until the role that owns it has answered."""
    action = page.locator(place).locator("details.act", has=page.locator("summary", has_text=re.compile(f"^{label}$"))).first
    action.locator("summary").click()
    action.locator("[name=reason]").fill(reason)
    with page.expect_navigation():
        action.locator("form button").click()
    expect(page.locator("#commands li, #commands tr").first).not_to_contain_text("waits for the answer")


def test_6_an_operator_rolls_a_model_back(day: Day) -> None:
    page = day.page("operator")
    for version in (registry.card(SPARE).version, "9.9.9"):
        day.node.cli("models", "activate", SPARE, version)
    page.goto(f"/models/{SPARE}")
    active = page.locator("section:has(h2:text('Versions')) tr:has(.badge.active)")
    expect(active).to_contain_text("9.9.9")
    _command(page, "#lists", "Roll back", "worse on our scanners")
    page.goto(f"/models/{SPARE}")
    expect(active).to_contain_text(registry.card(SPARE).version)


def test_7_an_auditor_verifies_the_chain_and_finds_who_has_viewed_the_study(day: Day) -> None:
    page = day.page("auditor")
    page.goto("/audit")
    page.click("text=Verify the chain now")
    expect(page.get_by_role("status")).to_contain_text("The chain is whole")
    page.goto("/audit?study=1&action=study.viewed")
    expect(page.locator("tbody tr").first).to_contain_text("user:clinician")
    page.goto("/audit?action=verdict.given")
    expect(page.locator("tbody tr").first).to_contain_text("user:clinician")


REFUSED = (("viewer", "/operations"), ("viewer", "/audit"), ("clinician", "/users"), ("operator", "/audit"), ("auditor", "/upload"))


def test_8_a_role_is_refused_what_it_may_not_do(day: Day) -> None:
    for role, path in REFUSED:
        page = day.page(role)
        reply = page.goto(path)
        assert reply is not None
        assert reply.status == 403, (role, path)
        expect(page.locator("main")).to_contain_text(f"role {role} may not open this page")


def test_9_a_viewer_reads_verdicts_and_cannot_give_one(day: Day) -> None:
    page = day.page("viewer")
    page.goto("/studies/1")
    expect(page.locator("[data-verdicts]").first).to_contain_text("accepted")
    assert page.get_by_role("button", name="Accept").count() == 0
