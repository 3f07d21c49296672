"""The worklist over real HTTP on studies in a real database."""

import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from console.worklist.live_lines import Lines, LiveLines, SeenRows
from console.worklist.routes import usual_views
from core.states import Priority
from db.engine import Database
from db.notify import notify
from db.worklist import study_numbers
from db.worklist.studies import list_studies
from db.worklist.study_filter import StudyFilter
from tests.support.console import Browser, RunningConsole, add_users
from tests.support.records import Sender, claim, complete, finish, plan, run


def _study(database: Database, number: int, **values: object) -> None:
    """Receive one slice of study ``1.2.NUMBER``."""
    Sender(database).send(1, study=f"1.2.{number}", series=f"1.2.{number}.1", **values)


@pytest.fixture
def browser(database: Database, tmp_path: Path) -> Iterator[Browser]:
    """A signed-in browser, on four studies: reported, failed, not routed, being received."""
    _study(database, 1, patient_name="Yamada^Tarou=山田^太郎", patient_id="P-100", accession_number="ACC-1")
    complete(database, plan(), study="1.2.1")
    finish(database, claim(database))
    _study(database, 2, patient_name="<script>alert(1)</script>", patient_id="50%")
    complete(database, plan(priority=Priority.URGENT), study="1.2.2")
    run(database, "UPDATE jobs SET state = 'quarantined', reason = 'out of memory' WHERE priority = 'urgent'")
    _study(database, 3, patient_name="Doe^Jane", modality="MR")
    complete(database, study="1.2.3", reason="no route takes it")
    _study(database, 4, patient_name="قباني^نزار")
    add_users(database)
    with RunningConsole(database, tmp_path) as console, console.browser() as browser:
        browser.sign_in("viewer", next="/worklist")
        yield browser


def _lines(page: str) -> list[str]:
    return re.findall(r'<a class="line" href="/studies/(\d+)"', page)


def test_the_start_page_is_the_worklist_with_state_result_and_model(browser: Browser) -> None:
    assert browser.get("/").headers["location"] == "/worklist"
    page = browser.get("/worklist").text
    assert len(_lines(page)) == 4
    for shown in ("Yamada, Tarou 山田 太郎", "قباني, نزار", "P-100", "Nodule", "lung_nodule_ct 1.0", "urgent", "no route takes it"):
        assert shown in page
    for choice in ('<option value="nodule">', '<option value="pacs">', '<option value="MR">', '<option value="not_analysed">'):
        assert choice in page, choice
    for state in ("failed", "receiving", "not_routed", "reported"):
        assert f'class="badge {state}"' in page


def test_a_study_whose_images_cannot_be_read_says_so(browser: Browser, database: Database) -> None:
    said = "its images cannot be read now: Stale file handle"
    assert said not in browser.get("/worklist").text
    run(database, f"UPDATE units SET reason = '{said}' WHERE state = 'open'")
    assert said in browser.get("/worklist").text


def test_what_a_sender_wrote_is_shown_as_text(browser: Browser) -> None:
    page = browser.get("/worklist").text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


FILTERS = {
    "text=yamada": 1,
    "text=山田": 1,
    "text=acc-1": 1,
    "text=50%25": 1,
    "text=_": 0,
    "text=nothing": 0,
    "modality=MR": 1,
    "state=failed": 1,
    "state=receiving": 1,
    "state=not_routed": 1,
    "outcome=findings": 1,
    "tier=review": 1,
    "tier=high": 0,
    "finding=nodule": 1,
    "model=lung_nodule_ct": 2,
    "destination=pacs": 1,
    "since=2020-01-01": 4,
    "until=2020-01-01": 0,
    "since=not-a-date": 4,
    "state=failed&text=yamada": 0,
    "text=tarou+yamada": 1,
    "text=yamada+nothing": 0,
    "text=ya": 1,
    "tier=review&finding=nodule&outcome=findings&state=reported": 1,
    "tier=review&finding=nodule&outcome=no_finding": 0,
    "verdict=open": 1,
    "verdict=given": 0,
}


def test_filters(browser: Browser) -> None:
    assert {query: len(_lines(browser.get(f"/worklist?{query}").text)) for query in FILTERS} == FILTERS
    assert "No study matches" in browser.get("/worklist?text=nothing").text


def test_lists_that_are_needed_often_are_one_click_away(browser: Browser) -> None:
    views = dict(usual_views())
    page = browser.get("/worklist").text
    for name, query in views.items():
        assert f'href="/worklist?{query}">{name}</a>' in page, name
    assert 'href="/worklist?state=failed" aria-current="true">Failed</a>' in browser.get("/worklist?state=failed").text
    assert len(_lines(browser.get(f"/worklist?{views['Received today']}").text)) == 4


def test_htmx_gets_the_lines_alone(browser: Browser) -> None:
    part = browser.get("/worklist?text=yamada", headers={"HX-Request": "true"}).text
    assert "<html" not in part
    assert len(_lines(part)) == 1


def test_pages_continue_without_gap_or_repetition(browser: Browser, database: Database) -> None:
    everything = [line.id for line in list_studies(database, StudyFilter())]
    first = [line.id for line in list_studies(database, StudyFilter(), limit=3)]
    _study(database, 5)  # arrives while somebody reads: the pages behind do not move
    rest = [line.id for line in list_studies(database, StudyFilter(), before=first[-1], limit=3)]
    assert first + rest == everything


def test_each_view_is_an_audit_event_with_the_studies_that_were_shown(browser: Browser, database: Database) -> None:
    browser.get("/worklist?text=yamada")
    with database.begin() as connection:
        statement = text("SELECT actor, details FROM audit_events WHERE action = 'worklist.viewed' ORDER BY id DESC LIMIT 1")
        event = connection.execute(statement).one()
    assert event.actor == "user:viewer"
    assert len(event.details["studies"]) == 1
    assert event.details["from"] == "127.0.0.1"
    assert "Yamada" not in str(event)


def test_a_change_of_the_node_is_told_to_an_open_worklist(browser: Browser, database: Database) -> None:
    heard = threading.Event()

    def listen() -> None:
        with browser.stream("GET", "/worklist/events") as stream:
            for line in stream.iter_lines():
                if line.startswith("data: changed"):
                    heard.set()
                    return

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    for _ in range(100):
        with database.begin() as connection:
            notify(connection, "intake")
        if heard.wait(0.5):
            break
    assert heard.is_set()
    thread.join(600)


def test_an_empty_node_says_what_to_do(database: Database, tmp_path: Path) -> None:
    add_users(database)
    with RunningConsole(database, tmp_path) as console, console.browser("viewer") as browser:
        page = browser.get("/worklist").text
    assert "No study has been received" in page
    assert "[[sources]]" in page


def test_an_open_worklist_reads_only_what_has_changed_and_is_recorded_when_it_shows_another_study(
    browser: Browser, database: Database
) -> None:
    def read(shown: str) -> tuple[int, str]:
        reply = browser.get("/worklist", headers={"HX-Request": "true", "X-Live": shown})
        return reply.status_code, reply.headers.get("X-Lines", "")

    def events() -> int:
        with database.begin() as connection:
            return int(connection.execute(text("SELECT count(*) FROM audit_events WHERE action = 'worklist.viewed'")).scalar_one())

    browser.get("/worklist")
    recorded = events()
    status, lines = read("")
    assert (status, bool(lines)) == (200, True)
    assert read(lines)[0] == 204
    assert events() == recorded, "the same studies in the same session"
    feed = LiveLines()
    first = feed.get((StudyFilter(), "viewer"), 1, lambda: Lines("a", "a", (1,)))
    assert feed.get((StudyFilter(), "viewer"), 1, lambda: Lines("b", "b", (2,))) is first
    assert feed.get((StudyFilter(), "viewer"), 2, lambda: Lines("b", "b", (2,))).html == "b"
    seen = SeenRows()
    seen.add(7, [1, 2])
    assert (seen.covers(7, [2]), seen.covers(7, [2, 3]), seen.covers(8, [2])) == (True, False, False)


def test_an_empty_worklist_that_is_read_again_names_the_pages_that_the_role_may_open(database: Database, tmp_path: Path) -> None:
    add_users(database)
    with RunningConsole(database, tmp_path) as console:
        for role, uploads in (("viewer", False), ("clinician", True)):
            with console.browser(role) as browser:
                reply = browser.get("/worklist", headers={"HX-Request": "true", "X-Live": ""})
            assert reply.status_code == 200
            assert "No study has been received" in reply.text
            assert ('href="/upload"' in reply.text) == uploads


def test_the_newest_units_give_the_newest_studies_also_where_an_older_one_was_analysed_last(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2, 3, 7):
        _study(database, number)
    for number in (2, 3, 1):
        complete(database, plan(), study=f"1.2.{number}")
        finish(database, claim(database))
    for number in (4, 5, 6, 8):
        _study(database, number)
    for number in (4, 5, 6):
        complete(database, plan(), study=f"1.2.{number}")
        finish(database, claim(database))
    for number in (8, 7):
        complete(database, study=f"1.2.{number}", reason="no route takes it")
    run(database, "UPDATE units SET outcome = 'not_analysed' WHERE reason <> ''")
    run(database, "INSERT INTO verdicts (job_id, finding_id, verdict, user_name, seen_revision, seen_at) "
                  "SELECT f.job_id, f.id, 'accepted', 'test', 1, now() FROM findings f, generate_series(1, 2)")  # fmt: skip
    analysed, others = (6, 5, 4, 3, 2, 1), (8, 7)
    for wanted, numbers in (
        (StudyFilter(tier="review", finding="nodule"), analysed),
        (StudyFilter(outcome="findings"), analysed),
        (StudyFilter(outcome="findings", text="1.2.3"), ()),
        (StudyFilter(verdict="given"), analysed),
        (StudyFilter(verdict="given", text="1.2.3"), ()),
        (StudyFilter(state="not_routed"), others),
    ):
        for candidates in (1, 2, 4, 5, 400):
            monkeypatch.setattr(study_numbers, "CANDIDATES", candidates)
            for limit in range(1, 7):
                found = [line.study_instance_uid for line in list_studies(database, wanted, limit=limit)]
                assert found == [f"1.2.{number}" for number in numbers][:limit], (wanted, candidates, limit)
