"""The study page over real HTTP: steps, findings, objects, deliveries, and who has viewed it."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from core.policy.priors.choice import PriorRule
from core.records import Change, FindingComparison
from db.blobs.store import Blobs
from db.engine import Database
from db.jobs.finish import commit_result
from tests.support.console import Browser, RunningConsole, add_users
from tests.support.records import DIGEST, Sender, claim, complete, finish, identity, plan, prediction, report, run, scalar, timings

NEWER = "Images have arrived or changed since this result was made. It does not cover them."
NEXT = "When the series is complete, it is analysed again, and the new result takes the place of this one."
NEWER_IN_LIST = "does not cover the last images"


@pytest.fixture
def browser(database: Database, tmp_path: Path) -> Iterator[Browser]:
    """A browser that is signed in as a clinician, on one reported study."""
    Sender(database).send(1, patient_name="Doe^Jane", series_description="<b>Axial</b>")
    complete(database, plan())
    finish(database, claim(database))
    add_users(database)
    with RunningConsole(database, tmp_path) as console, console.browser("clinician") as browser:
        yield browser


def _study_id(database: Database) -> int:
    with database.begin() as connection:
        return int(connection.execute(text("SELECT id FROM studies")).scalar_one())


def test_the_page_says_what_happened_what_was_found_and_by_which_model(browser: Browser, database: Database) -> None:
    page = browser.get(f"/studies/{_study_id(database)}").text
    for shown in (
        "Doe, Jane", "Received", "1 image from PACS", "Complete", "30 s without an instance", "Routed", "chest CT: lung_nodule_ct 1.0",
        "Analysed", "Reported", "Nodule", "0.90 <small>score, not a probability", "6.5 mm", "nodules of 4 mm and more",
        "Not for diagnosis", DIGEST[:16],
        "Report (SR)", "pending",
    ):  # fmt: skip
        assert shown in page, shown
    assert "<b>Axial</b>" not in page


def test_a_unit_that_waits_for_its_images_says_why(browser: Browser, database: Database) -> None:
    Sender(database).send(2, series="1.2.3.9")
    path = f"/studies/{_study_id(database)}"
    assert "waiting for further images" in browser.get(path).text
    before = browser.get(f"{path}/state").json()["state"]
    run(database, "UPDATE units SET reason = 'its images cannot be read now: Stale file handle' WHERE state = 'open'")
    page = browser.get(path).text
    assert "its images cannot be read now: Stale file handle" in page
    assert "waiting for further images" not in page
    assert browser.get(f"{path}/state").json()["state"] != before


def test_the_page_can_ask_whether_the_study_has_changed(browser: Browser, database: Database) -> None:
    path = f"/studies/{_study_id(database)}"
    before = browser.get(f"{path}/state").json()["state"]
    assert f'data-state="{before}"' in browser.get(path).text
    assert browser.get(f"{path}/state").json()["state"] == before
    run(database, "UPDATE deliveries SET state = 'held'")
    assert browser.get(f"{path}/state").json()["state"] != before


def test_a_result_that_does_not_cover_the_last_images_says_so_until_the_new_one_is_there(browser: Browser, database: Database) -> None:
    study, unit = _study_id(database), scalar(database, "SELECT id FROM units")
    pages = (f"/studies/{study}", f"/viewer/{unit}")

    def fields() -> list[object]:
        (job,) = browser.get(f"/api/v1/studies/{study}").json()["units"][0]["current"]
        (entry,) = browser.get("/api/v1/studies").json()["items"]
        return [job["newer_images"], entry["newer_images"], NEWER_IN_LIST in browser.get("/worklist").text]

    def visible(path: str) -> str:
        """The page without the note that the viewer has at hand and shows when images arrive."""
        return re.sub(r'<div id="newer" hidden>.*?</div>', "", browser.get(path).text, flags=re.DOTALL)

    assert fields() == [False, False, False]
    assert not [path for path in pages if NEWER in visible(path)]
    Sender(database).send(2)
    assert fields() == [True, True, True]
    for path in pages:
        page = browser.get(path).text
        assert page.count(NEWER) == 1
        assert NEXT in page
        assert page.index(NEWER) < page.index("Nodule", page.index("<main")), "before the findings"
    complete(database, plan())
    assert NEWER not in browser.get(pages[0]).text, "the old result is an earlier one, and the new one is awaited"
    finish(database, claim(database))
    assert fields() == [False, False, False]
    assert not [path for path in pages if NEWER in visible(path)]


def test_the_page_shows_where_in_the_organ_and_what_was_evaluated(browser: Browser, database: Database) -> None:
    page = browser.get(f"/studies/{_study_id(database)}").text
    assert "Upper zone of lung · Right · 6.5 mm</p>" in page, "where, before everything else"
    assert "Density of the nodule: <strong>Solid</strong>" in page


NOT_COVERED = "The lower end of the lungs was not covered by the series: what lies there was not examined."


def test_study_page_and_viewer_say_the_side_and_what_was_not_examined_and_is_not_excluded(browser: Browser, database: Database) -> None:
    """As the report does: who reads the pages alone must not take a negative answer, or a part of the lungs, for the whole."""
    run(database, f"UPDATE jobs SET notes = ARRAY['{NOT_COVERED}']")
    paths = f"/studies/{_study_id(database)}", f"/viewer/{scalar(database, 'SELECT id FROM units')}"
    for path in paths:
        page = browser.get(path).text
        for said in ("Upper zone of lung · Right", "What is not listed is not excluded.", NOT_COVERED, ">to be reviewed</span>"):
            assert said in page, (path, said)
    run(database, "DELETE FROM findings")
    for outcome, said in (
        ("no_finding", "Nothing was found that reaches the operating point. This excludes nothing."),
        ("abstained", "This is neither a positive nor a negative result."),
        ("not_analysed", "This is no negative result."),
    ):
        run(database, f"UPDATE jobs SET outcome = '{outcome}'")
        for path in paths:
            page = browser.get(path).text
            assert said in page, (path, said)
            assert NOT_COVERED in page, (path, outcome)


def test_a_single_image_is_called_a_photograph_only_where_it_is_one(browser: Browser, database: Database) -> None:
    run(database, "UPDATE units SET kind = 'image'")
    for modality, called in (("DX", "Image"), ("DMS", "Photograph")):
        run(database, f"UPDATE series SET modality = '{modality}'")
        assert re.search(rf'<h2 id="unit-\d+">{called}\b', browser.get(f"/studies/{_study_id(database)}").text)
        assert f'"picture": "{called}"' in browser.get(f"/viewer/{scalar(database, 'SELECT id FROM units')}").text


def test_a_failed_job_shows_its_reason_and_attempts(browser: Browser, database: Database) -> None:
    run(database, "UPDATE jobs SET state = 'quarantined', reason = 'out of memory', inferred_at = NULL, outcome = 'not_analysed'")
    page = browser.get(f"/studies/{_study_id(database)}").text
    assert 'class="problem"' in page
    assert "out of memory" in page


def test_each_step_says_in_words_how_far_it_is(browser: Browser, database: Database) -> None:
    Sender(database).send(1, study="1.2.8", series="1.2.8.1")
    path = f"/studies/{_study_id_of(database, '1.2.8')}"

    def steps() -> list[str]:
        return re.findall(r'<li class="\w+"><strong>(.*?)</strong>', browser.get(path).text)

    assert steps() == ["Received", "Not complete yet"]
    complete(database, plan(), study="1.2.8")
    assert steps() == ["Received", "Complete", "Routed", "Not analysed yet", "Not reported yet"]
    claim(database)
    assert steps()[3:] == ["Being analysed", "Not reported yet"]
    ended = "reason = 'out of memory', worker = NULL, token = NULL, lease_until = NULL"
    run(database, f"UPDATE jobs SET state = 'quarantined', {ended} WHERE state = 'running'")
    assert steps()[3:] == ["Analysis failed", "Not reported yet"]
    page = browser.get(path).text
    assert ">failed</span> out of memory" in page
    assert ">quarantined<" not in page, "a word of the node, not of the reading room"
    first = f"/studies/{_study_id_of(database, '1.2.3')}"
    assert "<strong>Not delivered to pacs yet</strong>" in browser.get(first).text
    run(database, "UPDATE deliveries SET state = 'held', note = 'not valid'")
    assert "<strong>Not delivered to pacs</strong>" in browser.get(first).text
    run(database, "UPDATE jobs SET outcome = 'not_analysed', reason = 'slices are missing' WHERE inferred_at IS NOT NULL")
    assert "<strong>Not analysed</strong>" in browser.get(first).text
    assert "<strong>Analysed</strong>" not in browser.get(first).text


def test_a_unit_that_no_route_took_shows_why(browser: Browser, database: Database) -> None:
    Sender(database).send(1, study="1.2.9", series="1.2.9.1")
    complete(database, study="1.2.9", reason="no route takes it: Modality is CT")
    page = browser.get(f"/studies/{_study_id_of(database, '1.2.9')}").text
    assert "no route takes it: Modality is CT" in page


def _study_id_of(database: Database, uid: str) -> int:
    with database.begin() as connection:
        return int(connection.execute(text("SELECT id FROM studies WHERE study_instance_uid = :uid"), {"uid": uid}).scalar_one())


def test_the_page_shows_who_has_viewed_the_study_before(browser: Browser, database: Database) -> None:
    path = f"/studies/{_study_id(database)}"
    assert "Nobody before you" in browser.get(path).text
    assert "clinician from 127.0.0.1" in browser.get(path).text
    with database.begin() as connection:
        events = connection.execute(text("SELECT actor, subject FROM audit_events WHERE action = 'study.viewed'")).all()
    assert [tuple(event) for event in events] == [("user:clinician", f"study:{_study_id(database)}")] * 2


def test_earlier_results_of_the_same_patient_and_model_stand_beside_the_findings(browser: Browser, database: Database) -> None:
    for number, day, patient in ((7, "20240105", "P1"), (8, "20300101", "P1"), (9, "20240105", "ANOTHER")):
        uid = f"1.2.{number}"
        Sender(database).send(1, study=uid, series=f"{uid}.1", study_date=day, patient_id=patient, study_description=f"study {number}")
        complete(database, plan(), study=uid)
        finish(database, claim(database), findings=5)
    run(database, "UPDATE studies SET study_date = '20250101' WHERE study_instance_uid = '1.2.3'")
    first = _study_id_of(database, "1.2.3")
    page = browser.get(f"/studies/{first}").text
    earlier = page[page.index("Earlier results of this patient") :]
    earlier = earlier[: earlier.index("</section>")]
    assert f'href="/studies/{_study_id_of(database, "1.2.7")}">2024-01-05</a>' in earlier
    assert "study 7" in earlier
    assert "Nodule 6.5 mm" in earlier
    assert "and 1 more" in earlier
    assert "study 8" not in earlier, "it is later"
    assert "study 9" not in earlier, "it is of another patient"
    with database.begin() as connection:
        statement = text("SELECT actor, details FROM audit_events WHERE action = 'earlier_results.viewed'")
        event = connection.execute(statement).one()
    assert (event.actor, event.details["studies"]) == ("user:clinician", [_study_id_of(database, "1.2.7")])
    run(database, "UPDATE studies SET patient_birth_date = '19600101' WHERE study_instance_uid = '1.2.3'")
    run(database, "UPDATE studies SET patient_birth_date = '19700101' WHERE study_instance_uid = '1.2.7'")
    assert "None by this model" in browser.get(f"/studies/{first}").text, "the same number, but another person"


def test_an_earlier_result_of_a_person_who_is_not_known_is_marked_and_a_placeholder_has_none(browser: Browser, database: Database) -> None:
    Sender(database).send(1, study="1.2.7", series="1.2.7.1", study_date="20240105", study_description="study 7")
    complete(database, plan(), study="1.2.7")
    finish(database, claim(database))
    run(database, "UPDATE studies SET study_date = '20250101' WHERE study_instance_uid = '1.2.3'")
    path, doubtful = f"/studies/{_study_id_of(database, '1.2.3')}", "Same Patient ID only:"
    assert "study 7" in (page := browser.get(path).text)
    assert doubtful not in page, "ID and full name are equal"
    run(database, "UPDATE studies SET patient_name = '' WHERE study_instance_uid = '1.2.7'")
    page = browser.get(path).text
    assert "study 7" in page
    assert doubtful in page
    run(database, "UPDATE studies SET patient_name = 'Roe^Richard' WHERE study_instance_uid = '1.2.7'")
    assert "study 7" not in browser.get(path).text
    run(database, "UPDATE studies SET patient_name = 'Doe^Jane', patient_id = 'ANON'")
    page = browser.get(path).text
    assert "study 7" not in page
    assert "Not looked for: the Patient ID of the study is a placeholder" in page


def test_an_object_is_downloaded_bit_for_bit_and_the_download_is_audited(browser: Browser, database: Database, tmp_path: Path) -> None:
    with database.begin() as connection:
        row = connection.execute(text("SELECT id, sha256 FROM reports")).one()
    events = "SELECT count(*) FROM audit_events WHERE subject LIKE 'study:%' AND action LIKE 'object.%'"
    for path in (f"/objects/{row.id}", f"/api/v1/objects/{row.id}", f"/objects/{row.id}/pdf"):
        assert browser.get(path).status_code == 404, "no such file, and no PDF"
    assert scalar(database, events) == 0, "nothing was seen"
    path = Blobs(tmp_path / "blobs").path(row.sha256)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"the report")
    reply = browser.get(f"/objects/{row.id}")
    assert scalar(database, events) == 1
    assert reply.content == b"the report"
    assert reply.headers["content-type"] == "application/dicom"
    assert reply.headers["content-disposition"].startswith('attachment; filename="sr-2.25.')
    with database.begin() as connection:
        event = connection.execute(text("SELECT actor, details FROM audit_events WHERE action = 'object.downloaded' LIMIT 1")).one()
    assert event.actor == "user:clinician"
    assert event.details["sha256"] == row.sha256


@pytest.mark.parametrize("path", ["/studies/999999", "/objects/999999", "/studies/../worklist", "/studies/%2e%2e"])
def test_what_is_not_there_is_not_found(browser: Browser, path: str) -> None:
    assert browser.get(path).status_code in (404, 422, 200 if "worklist" in path else 404)


def _compared_study(database: Database) -> int:
    """Report two studies of one patient, the second compared with the first; return the id of the job of the first."""
    jobs = []
    for study, day in (("1.2.50", "20250105"), ("1.2.51", "20260102")):
        Sender(database).send(1, study=study, series=f"{study}.1", patient_id="P50", study_date=day)
        complete(database, replace(plan(), prior_rule=PriorRule(1, 1825, ("Modality",))), study=study)
        job = claim(database)
        answer = prediction()
        if job.priors:
            said = FindingComparison(jobs[0], "1.0", "20250105", 362, Change.LARGER, 1, 2.5, 5.0, 110.0, 1.6, 1.5, 170.0, 155, 268)
            answer = replace(answer, findings=(replace(answer.findings[0], comparison=said),))
        commit_result(database, job, prediction=answer, identity=identity(), objects=(report(job),), timings=timings())
        jobs.append(job.id)
    return jobs[0]


def test_the_page_and_the_api_show_the_comparison_beside_the_finding(browser: Browser, database: Database) -> None:
    earlier = _compared_study(database)
    first, second = _study_id_of(database, "1.2.50"), _study_id_of(database, "1.2.51")
    page = browser.get(f"/studies/{second}").text
    for shown in (
        f"Probably finding 1 of 2025-01-05 (362 days before, version 1.0, job {earlier}), matched automatically and to be checked by the "
        "reader; volume then 110 mm³, difference +170 mm³ (+155 %); diameter then 5.0 mm, difference +1.5 mm; "
        "larger, beyond the measuring error; volume doubling time 268 days; the mean axis has grown by more than 1.5 mm within 12 months",
        f'<dt>Compared with</dt><dd><a href="/studies/{first}">2025-01-05</a>, 362 days before, version 1.0, job {earlier}</dd>',
        "Made automatically by place and size. Check each of them in both examinations.",
    ):
        assert shown in page, shown
    assert "No earlier result of this model within 1825 days was found" in browser.get(f"/studies/{first}").text
    (unit,) = browser.get(f"/api/v1/studies/{second}").json()["units"]
    said = unit["current"][0]["findings"][0]["comparison"]
    assert (said["job_id"], said["change"], said["finding"], said["volume_percent"]) == (earlier, "larger", 1, 155)
    replaced = "A newer result has taken its place since"
    assert replaced not in page
    run(database, f"UPDATE jobs SET state = 'superseded' WHERE id = {earlier}")
    assert replaced not in browser.get(f"/studies/{second}").text, "nothing has"
    copied = "unit_id, revision, model, model_version, routes, destinations, priority, state, outcome, evidence, completed_at"
    run(
        database,
        f"INSERT INTO jobs (key, run, pipeline_digest, {copied}) SELECT 'k2', 2, 'd2', {copied} FROM jobs WHERE id = {earlier}",
    )
    assert replaced in browser.get(f"/studies/{second}").text
    run(database, "UPDATE job_priors SET days = 0")
    assert f'<a href="/studies/{first}">2025-01-05</a>, the same day, version 1.0' in browser.get(f"/studies/{second}").text
