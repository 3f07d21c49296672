"""The page on which an administrator erases a person: it shows what would go, and asks; the conductor erases, the command forgets whom."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.settings.settings import Settings
from db.blobs.store import Blobs
from db.engine import Database
from db.jobs.claim import claim_jobs
from db.patients.patient_key import PatientKey
from db.roles.commands import enqueue_command
from tests.support.console import Browser, RunningConsole, add_users
from tests.support.erasures import BOB, ERNA, NAMESAKE, assert_nothing_is_left, conductor, conductor_settings, store_erna
from tests.support.patients import receive_images, refuse_image, store_study, verify_trail
from tests.support.records import complete, plan, rows, run, scalar

SHOWN = f"/patients?patient_id={ERNA.patient_id}"
FORM = {"patient_id": ERNA.patient_id, "issuer": "", "reason": "request 17", "confirmation": ERNA.patient_id}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return conductor_settings(tmp_path)


@pytest.fixture
def blobs(settings: Settings) -> Blobs:
    return Blobs(settings.blobs_dir)


@pytest.fixture
def browser(database: Database, tmp_path: Path) -> Iterator[Browser]:
    """An administrator on the page."""
    add_users(database)
    with RunningConsole(database, tmp_path) as console, console.browser("admin") as browser:
        browser.open("/patients")
        yield browser


@pytest.fixture
def carry_out(database: Database, settings: Settings) -> Callable[[], None]:
    """Have the conductor carry out the next command."""
    runner = conductor(database, settings)
    return lambda: _done(runner.run_next())


def _done(wait_s: float) -> None:
    assert wait_s == 0.0, "a command was carried out"


def test_an_administrator_looks_types_the_id_and_the_conductor_erases(
    browser: Browser, database: Database, blobs: Blobs, carry_out: Callable[[], None]
) -> None:
    study, other = store_erna(database, blobs, 701), store_study(database, blobs, 900, BOB)
    refuse_image(database, blobs, ERNA)
    page = browser.open(SHOWN).text
    for shown in ("Would be erased", "Held by destinations", study.uid, "Type the Patient ID to confirm"):
        assert shown in page, shown
    assert "--cancel" not in page, "nothing waits"
    assert study.kept(blobs) == (2, True)
    carry_out()  # the question which refused data sets are hers
    ((seen,),) = rows(database, "SELECT details ->> 'patient' FROM audit_events WHERE action = 'patient.erasure_planned'")
    assert seen == ERNA.reference(database)
    assert browser.send_form("/patients/erase", **FORM).status_code == 303
    assert study.kept(blobs) == (2, True), "it is the conductor that erases"
    carry_out()
    page = browser.get("/patients").text
    for shown in ("erased: 1 analyses", "1 result object is held by pacs", ">done<", ERNA.reference(database)[:8]):
        assert shown in page, shown
    assert_nothing_is_left(database, blobs, study)
    assert other.kept(blobs) == (2, True)
    events = rows(database, "SELECT actor, action, details ->> 'reason' FROM audit_events WHERE subject LIKE 'erasure:%' ORDER BY id")
    assert events == [("user:admin", f"patient.{word}", "request 17") for word in ("erasure_begun", "erased")]
    verify_trail(database)


def test_the_preview_says_which_refused_data_sets_are_of_the_person_and_what_happens_with_them(
    browser: Browser, database: Database, blobs: Blobs, carry_out: Callable[[], None]
) -> None:
    """Only their headers say whose they are, which the console does not read: it asks the conductor, and the row forgets the person."""
    store_erna(database, blobs, 701)
    assert "The node holds none." in browser.open(SHOWN).text
    hers, theirs = refuse_image(database, blobs, ERNA), refuse_image(database, blobs, NAMESAKE)
    refuse_image(database, blobs, BOB)
    unnamed = refuse_image(database, blobs, ERNA, content=b"no data set")
    page = browser.open(f"{SHOWN}&issuer=").text
    assert "The node holds 4 refused data sets." in page
    (fragment,) = re.findall(r'hx-get="(/patients/refused/\d+)"', page)
    assert 'hx-trigger="every 700ms"' in browser.get(fragment).text
    carry_out()
    answer = browser.get(fragment).text
    for said in (
        f"1 refused data set of this person is erased too: {hers}",
        f"1 does not say whose it is and stays: {unnamed}",
        "patients erase --quarantined ID erases one of them too",
        f"1 has this ID of another issuer, is of another person and stays: {theirs}",
    ):
        assert said in answer, said
    assert "hx-trigger" not in answer
    asked = "SELECT args ? 'patient_id', args ? 'issuer', actor FROM commands WHERE kind = 'patient.refused'"
    assert rows(database, asked) == [(False, False, "user:admin")]
    assert answer.strip() in browser.open(f"{SHOWN}&issuer=").text
    assert len(rows(database, asked)) == 1, "what was answered a moment ago is not asked again"
    run(database, "UPDATE commands SET created_at = created_at - interval '2 min'")
    browser.open(f"{SHOWN}&issuer=")
    assert len(rows(database, asked)) == 2
    assert "Look for a person" not in page, "the list of erasures has erasures only"
    erase = enqueue_command(database, "patient.erase", {"subject": "x", "reason": "x"}, "user:admin")
    assert browser.get(f"/patients/refused/{erase}").status_code == 404


def test_a_person_of_whom_only_refused_data_sets_are_stored_is_erased(
    browser: Browser, database: Database, blobs: Blobs, carry_out: Callable[[], None]
) -> None:
    stays = refuse_image(database, blobs, BOB)
    assert "The node holds no study of this person." in browser.open(SHOWN).text
    carry_out()
    assert browser.send_form("/patients/erase", **FORM).status_code == 303
    carry_out()
    assert "nothing is stored of this person" in browser.get("/patients").text
    refuse_image(database, blobs, ERNA)
    assert browser.send_form("/patients/erase", **FORM).status_code == 303
    carry_out()
    assert "1 quarantined" in browser.get("/patients").text
    assert rows(database, "SELECT id FROM quarantine") == [(stays,)]


def _nothing(_database: Database, _blobs: Blobs) -> None:
    """The person has one delivered study."""


def _running(database: Database, blobs: Blobs) -> None:
    receive_images(database, blobs, 702, ERNA, (b"one",))
    complete(database, plan(), study="1.2.3.702")
    claim_jobs(database, worker="w", priorities=None, models=None, lease_s=60)


def _queued(database: Database, blobs: Blobs) -> None:
    receive_images(database, blobs, 702, ERNA, (b"one",))
    complete(database, plan(), study="1.2.3.702")


def _mixed(database: Database, _blobs: Blobs) -> None:
    run(database, 'UPDATE instances SET header = header || \'{"patient_id": "P-9"}\' WHERE id = (SELECT max(id) FROM instances)')


@pytest.mark.parametrize(
    ("prepare", "wrong", "expected"),
    [
        (_nothing, {"confirmation": "ERASE-4712"}, "The typed Patient ID is another one"),
        (_nothing, {"confirmation": ""}, "The typed Patient ID is another one"),
        (_nothing, {"reason": " "}, "Give a reason of 1 to 300 characters"),
        (_nothing, {"reason": "asked by Erna"}, "The reason names the person"),
        (_nothing, {"patient_id": ""}, "The form has no Patient ID"),
        (_nothing, {"issuer": "HOSPITAL B"}, "Nothing is stored of this person"),
        (_running, {"cancel": "yes"}, "The node works with the data: 1 analyses that run"),
        (_queued, {}, "Work with the data waits: 1 analyses that wait"),
        (_mixed, {}, "1 image of these studies names another person"),
    ],
    ids=lambda given: getattr(given, "__name__", None),
)
def test_nothing_is_asked_of_the_conductor_where_something_is_wrong(
    prepare: Callable[[Database, Blobs], None], wrong: dict[str, str], expected: str, browser: Browser, database: Database, blobs: Blobs
) -> None:
    store_erna(database, blobs, 701)
    prepare(database, blobs)
    browser.open(SHOWN)
    reply = browser.send_form("/patients/erase", **FORM | wrong)
    assert (reply.status_code, expected in reply.text) == (422, True), reply.text[-2000:]
    assert scalar(database, "SELECT count(*) FROM commands") == 0


def test_what_waits_and_what_names_others_is_erased_on_purpose(
    browser: Browser, database: Database, blobs: Blobs, carry_out: Callable[[], None]
) -> None:
    study = store_erna(database, blobs, 701)
    _queued(database, blobs)
    _mixed(database, blobs)
    page = browser.open(SHOWN).text
    assert "--cancel" in page
    assert "--whole-studies" in page
    assert browser.send_form("/patients/erase", **FORM, cancel="yes", whole_studies="yes").status_code == 303
    carry_out()
    assert_nothing_is_left(database, blobs, study)


def test_a_form_of_another_site_erases_nothing(browser: Browser, database: Database, blobs: Blobs) -> None:
    store_erna(database, blobs, 701)
    browser.open(SHOWN)
    token, browser.form_token = browser.form_token, "x" * 43
    assert browser.send_form("/patients/erase", **FORM).status_code == 403
    elsewhere = {"Origin": "https://elsewhere.example.org"}
    assert browser.post("/patients/erase", data={**FORM, "form_token": token}, headers=elsewhere).status_code == 403
    assert scalar(database, "SELECT count(*) FROM commands") == 0


def test_a_command_that_could_not_be_carried_out_forgets_the_person_too(
    browser: Browser, database: Database, blobs: Blobs, carry_out: Callable[[], None]
) -> None:
    store_erna(database, blobs, 701)
    browser.open(SHOWN)
    browser.send_form("/patients/erase", **FORM)
    run(database, "UPDATE jobs SET state = 'running', token = gen_random_uuid(), lease_until = node_now() + interval '1 h'")
    carry_out()
    assert "the node works with the data: 1 analyses that run" in browser.get("/patients").text
    assert rows(database, "SELECT state, args ? 'patient_id', args ? 'issuer' FROM commands") == [("failed", False, False)]
    assert scalar(database, "SELECT count(*) FROM studies") == 1


def test_a_command_without_a_person_erases_nobody(
    browser: Browser, database: Database, blobs: Blobs, carry_out: Callable[[], None]
) -> None:
    receive_images(database, blobs, 701, PatientKey(""), (b"one",))
    enqueue_command(database, "patient.erase", {"subject": "x", "reason": "request 17"}, "user:admin")
    carry_out()
    assert "the command has no Patient ID" in browser.get("/patients").text
    assert scalar(database, "SELECT count(*) FROM studies") == 1
    browser.open("/operations")
    reply = browser.send_form("/operations/commands", kind="patient.erase", subject="x", reason="request 17")
    assert (reply.status_code, "There is no such action" in reply.text) == (422, True)


def test_the_persons_of_two_issuers_are_told_apart(
    browser: Browser, database: Database, blobs: Blobs, carry_out: Callable[[], None]
) -> None:
    mine, theirs = store_erna(database, blobs, 701), store_study(database, blobs, 702, NAMESAKE)
    page = browser.open(SHOWN).text
    assert "that of several persons" in page
    assert mine.uid not in page
    page = browser.open(f"{SHOWN}&issuer=HOSPITAL+B").text
    assert (mine.uid in page, theirs.uid in page) == (False, True)
    browser.send_form("/patients/erase", **FORM | {"issuer": "HOSPITAL B"})
    carry_out()
    assert (mine.kept(blobs), theirs.kept(blobs)) == ((2, True), (0, False))
    assert rows(database, "SELECT patient_id, issuer_of_patient_id FROM studies") == [(ERNA.patient_id, "")]


def test_an_erasure_that_was_interrupted_is_continued(
    browser: Browser, database: Database, blobs: Blobs, carry_out: Callable[[], None]
) -> None:
    """Also where no study is left by which the person would be found."""
    blob = blobs.put(b"left by a kill")
    values = f"'{ERNA.reference(database)}', '', 'x', 'y', '{{}}'"
    run(database, f"INSERT INTO erasures (patient, issuer, actor, reason, studies) VALUES ({values})")
    run(database, f"INSERT INTO blob_removals (sha256, size_bytes) VALUES ('{blob.sha256}', 5)")
    assert "was interrupted" in browser.open(SHOWN).text
    assert browser.send_form("/patients/erase", **FORM).status_code == 303
    carry_out()
    assert not blobs.path(blob.sha256).exists()
    assert scalar(database, "SELECT finished_at IS NOT NULL FROM erasures") is True
