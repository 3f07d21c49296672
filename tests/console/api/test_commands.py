"""Commands over the API: rows that the owning role carries out, with the answer at once or to be polled."""

import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from core.settings.settings import Settings
from db.accounts.api_tokens import add_token
from db.accounts.users import find_user
from db.engine import Database
from db.roles.command_runner import CommandRunner
from dicom_node.conduct.commands import command_handlers
from tests.support.command_roles import command_roles
from tests.support.console import RunningConsole, add_users
from tests.support.records import Sender, claim, complete, finish, plan, rows, run, scalar

ROUTE = {"name": "chest CT / routine", "model": "lung_nodule_ct", "destinations": ["pacs"], "when": {"Modality": "CT"}}
WHY = {"reason": "the disk was full"}


@pytest.fixture(scope="module")
def database(module_database: Database) -> Database:
    """A quarantined job, a held delivery and a unit that no route took."""
    for number in (1, 2, 3):
        Sender(module_database).send(1, study=f"1.2.{number}", series=f"1.2.{number}.1")
    complete(module_database, plan(), study="1.2.1")
    finish(module_database, claim(module_database))
    run(module_database, "UPDATE deliveries SET state = 'held', note = 'another patient'")
    complete(module_database, plan(), study="1.2.2")
    run(module_database, "UPDATE jobs SET state = 'quarantined', reason = 'out of memory' WHERE state = 'queued'")
    complete(module_database, study="1.2.3", reason="no route takes it")
    run(module_database, "UPDATE units SET outcome = 'not_analysed' WHERE reason <> ''")
    add_users(module_database)
    return module_database


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("node")
    given: dict[str, Any] = {"node": {"data_dir": folder}, "routes": [ROUTE], "destinations": [{"name": "pacs", "folder": folder}]}
    return Settings.model_validate(given)


@pytest.fixture(scope="module")
def console(database: Database, settings: Settings) -> Iterator[RunningConsole]:
    with RunningConsole(database, settings.node.data_dir, routes=settings.routes, destinations=settings.destinations) as running:
        yield running


def _program(console: RunningConsole, database: Database, user: str, scope: str) -> httpx.Client:
    found = find_user(database, user)
    assert found is not None
    token = add_token(database, found, name="test", scopes=[scope], days=1, actor="test")
    return httpx.Client(base_url=f"{console.url}/api/v1", headers={"Authorization": f"Bearer {token}"}, timeout=60)


@pytest.fixture(scope="module")
def program(console: RunningConsole, database: Database) -> Iterator[httpx.Client]:
    with _program(console, database, "operator", "operations") as client:
        yield client


def test_a_command_is_polled_until_its_role_has_answered(program: httpx.Client, database: Database, settings: Settings) -> None:
    job = scalar(database, "SELECT id FROM jobs WHERE state = 'quarantined'")
    asked = program.post(f"/jobs/{job}/requeue", json=WHY)
    assert (asked.status_code, asked.json()["state"], asked.json()["role"]) == (202, "queued", "conduct")
    url = asked.headers["location"].removeprefix("/api/v1")
    assert asked.json()["url"] == f"/api/v1{url}"
    assert scalar(database, f"SELECT state FROM jobs WHERE id = {job}") == "quarantined", "the console changes nothing itself"
    CommandRunner("conduct", database, command_handlers(settings, database), threading.Event()).run_next()
    answered = program.get(url).json()
    assert (answered["state"], answered["answer"], answered["reason"]) == ("done", f"job {job} is queued again", WHY["reason"])
    assert scalar(database, f"SELECT state FROM jobs WHERE id = {job}") == "queued"
    assert program.get("/commands").json()[0] == answered
    events = rows(database, "SELECT actor, details ->> 'reason' FROM audit_events WHERE action = 'command.asked'")
    assert events == [("user:operator", WHY["reason"])]
    assert program.get("/commands/999999").status_code == 404


def test_every_command_is_answered_within_the_wait(program: httpx.Client, database: Database, settings: Settings) -> None:
    job = scalar(database, "SELECT min(id) FROM jobs WHERE outcome IS NULL")
    delivery, unit = scalar(database, "SELECT id FROM deliveries"), scalar(database, "SELECT id FROM units WHERE reason <> ''")
    route, pacs = {"name": ROUTE["name"], **WHY}, {"name": "pacs", **WHY}
    wait = {"wait": 30}
    with command_roles(database, settings):
        done = [
            program.post(path, json=body, params=wait)
            for path, body in (
                (f"/deliveries/{delivery}/retry", WHY),
                (f"/units/{unit}/requeue", WHY),
                (f"/jobs/{job}/cancel", WHY),
                ("/routes/pause", route),
                ("/destinations/pause", pacs),
                ("/destinations/echo", {"name": "pacs"}),
            )
        ]
        assert [reply.status_code for reply in done] == [200] * 6, [reply.text for reply in done]
        assert program.get("/routes").json()[0]["pause"]["reason"] == WHY["reason"]
        assert program.get("/destinations").json()[0]["pause"]["actor"] == "user:operator"
        for path, body in (("/routes/resume", route), ("/destinations/resume", pacs)):
            assert program.post(path, json=body, params=wait).status_code == 200
        for path, body, words in (
            ("/jobs/999999/requeue", WHY, "there is no job 999999"),
            (f"/jobs/{job}/cancel", WHY, "is cancelled"),
            ("/quarantine/999999/requeue", WHY, "999999"),
            ("/commitments/999999/retry", WHY, "there is no report 999999"),
            ("/commitments/999999/give-up", WHY, "there is no report 999999"),
            ("/routes/pause", {"name": "no such", **WHY}, "no route is named"),
            ("/destinations/echo", {"name": "no such"}, "no destination is named"),
        ):
            refused = program.post(path, json=body, params=wait)
            assert (refused.status_code, words in refused.json()["detail"]) == (409, True), refused.text
    assert program.get("/routes").json()[0]["pause"] is None
    assert scalar(database, f"SELECT state FROM deliveries WHERE id = {delivery}") != "held"
    run(database, f"UPDATE deliveries SET state = 'failed' WHERE id = {delivery}")
    with command_roles(database, settings):
        given_up = program.post(f"/deliveries/{delivery}/give-up", json=WHY, params=wait)
        refused = program.post("/destinations/give-up", json=pacs, params=wait)
    assert (given_up.status_code, given_up.json()["answer"]) == (200, "1 delivery is given up"), given_up.text
    assert (refused.status_code, "nothing waits for 'pacs'" in refused.json()["detail"]) == (409, True), refused.text
    assert program.get("/deliveries", params={"state": "given_up"}).json()["items"][0]["delivery_id"] == delivery
    assert program.get("/deliveries", params={"state": "failed"}).json()["items"] == []
    assert program.post(f"/deliveries/{delivery}/give-up", json={}).status_code == 422, "a reason is needed"
    assert program.post("/routes/pause", json={"name": ROUTE["name"]}).status_code == 422, "a reason is needed"


def test_one_job_is_read_without_patient_identifiers_and_the_view_is_audited(program: httpx.Client, database: Database) -> None:
    job = scalar(database, "SELECT id FROM jobs WHERE outcome = 'findings'")
    reply = program.get(f"/jobs/{job}")
    found = reply.json()
    assert (found["job_id"], found["attempts_made"][0]["number"], len(found["images"])) == (job, 1, 1)
    assert found["findings"][0]["label"] == "nodule"
    assert (found["findings"][0]["comparison"], found["priors"]) == (None, [])
    assert found["deliveries"][0]["destination"] == "pacs"
    assert found["reports"][0]["kind"] == "sr"
    assert "P1" not in str(list(found.values()))
    assert program.get("/jobs/999999").status_code == 404
    assert rows(database, "SELECT actor, subject FROM audit_events WHERE action = 'job.viewed'") == [("user:operator", f"job:{job}")]


def test_a_clinician_releases_a_result_that_waits_for_a_verdict(console: RunningConsole, database: Database) -> None:
    job = scalar(database, "SELECT id FROM jobs WHERE outcome = 'findings'")
    run(database, "UPDATE deliveries SET state = 'held', awaiting_verdict = true; "
                  "UPDATE jobs SET awaiting_verdict = destinations WHERE outcome IS NOT NULL")  # fmt: skip
    with _program(console, database, "operator", "verdicts") as operator, _program(console, database, "clinician", "verdicts") as clinician:
        assert operator.post(f"/results/{job}/release", json=WHY).status_code == 403
        assert clinician.post("/results/999999/release", json=WHY).status_code == 404
        assert clinician.post(f"/results/{job}/release", json=WHY).json() == {"deliveries": 1}
        assert clinician.post(f"/results/{job}/release", json=WHY).status_code == 409
    assert rows(database, "SELECT actor, cause, reason FROM result_releases") == [("user:clinician", "clinician", WHY["reason"])]
