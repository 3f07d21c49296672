"""What a screen reader is told on the page of an upload: the change in a sentence, not the whole page again."""

from pathlib import Path

from playwright.sync_api import Browser, Page

from db.engine import Database
from db.notify import notify
from db.uploads.upload_records import AnnouncedFile
from db.uploads.uploads import begin_upload
from tests.support.chromium import sign_in
from tests.support.console import RunningConsole, add_users
from tests.support.records import Sender, complete, plan, run, scalar


def _change(page: Page, database: Database, statement: str) -> str:
    """Change the database and return what the page says then."""
    before = page.inner_text("#said")
    run(database, statement)
    with database.begin() as connection:
        notify(connection, "uploads")
    page.wait_for_function("(before) => document.getElementById('said').textContent !== before", arg=before)
    return page.inner_text("#said")


def test_an_upload_tells_its_progress_and_its_study_and_nothing_twice(database: Database, tmp_path: Path, chromium: Browser) -> None:
    add_users(database)
    files = [AnnouncedFile(f"{number}.dcm", 100) for number in (1, 2)]
    upload = begin_upload(database, actor="user:clinician", address="127.0.0.1", statement={}, files=files)
    Sender(database).send(1, patient_name="山田^太郎")
    complete(database, plan())
    # bypass_csp: `wait_for_function` evaluates text.
    with RunningConsole(database, tmp_path) as console, chromium.new_page(base_url=console.url, bypass_csp=True) as page:
        sign_in(page, console.url, "clinician")
        page.goto(f"/uploads/{upload.id}")
        assert page.inner_text("#said") == ""
        assert page.locator("[aria-live]").count() == 0
        taken = "UPDATE upload_files SET state = 'done', instances = 1, studies = ARRAY(SELECT id FROM studies) WHERE ordinal = {}"
        assert _change(page, database, taken.format(1)) == "1 of 2 files taken. 山田, 太郎: queued."
        assert _change(page, database, taken.format(2)) == "Everything is stored."
        views = "SELECT count(*) FROM audit_events WHERE action = 'worklist.viewed' AND details -> 'studies' <> '[]'"
        assert scalar(database, views) == 1, "a page that reads itself again is one view of a study"
