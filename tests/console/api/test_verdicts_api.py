"""Verdicts over the API: what the panel of the study page does, by a program with the token of a clinician."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from db.accounts.api_tokens import add_token
from db.accounts.users import find_user
from db.engine import Database
from tests.support.console import RunningConsole, add_users
from tests.support.records import Sender, claim, complete, finish, plan, rows, run, scalar

Client = Callable[[str], httpx.Client]


@pytest.fixture(scope="module")
def database(module_database: Database) -> Database:
    """One reported result of two findings on two slices."""
    sender = Sender(module_database)
    for number in (1, 2):
        sender.send(number, rows=512, columns=512, pixel_spacing_mm=(0.5, 0.5))
    complete(module_database, plan())
    finish(module_database, claim(module_database), findings=2)
    add_users(module_database)
    return module_database


@pytest.fixture(scope="module")
def client(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Makes a program with the token of a user."""
    opened: list[httpx.Client] = []
    with RunningConsole(database, tmp_path_factory.mktemp("data")) as running:

        def make(user: str) -> httpx.Client:
            found = find_user(database, user)
            assert found is not None
            token = add_token(database, found, name="test", scopes=["verdicts"], days=1, actor="test")
            job = scalar(database, "SELECT id FROM jobs")
            base = f"{running.url}/api/v1/results/{job}"
            opened.append(httpx.Client(base_url=base, headers={"Authorization": f"Bearer {token}"}, timeout=600))
            return opened[-1]

        yield make
        for made in opened:
            made.close()


def test_a_program_accepts_corrects_rejects_adds_and_retracts(client: Client, database: Database) -> None:
    clinician = client("clinician")
    state = clinician.get("/verdicts").json()
    first, second = state["findings"]
    assert (state["judged"], state["verdicts"], state["labels"]) == (False, [], ["nodule"])

    def give(**order: Any) -> dict[str, Any]:
        nonlocal state
        reply = clinician.post("/verdicts", json={**order, "seen": state["seen"]})
        assert reply.status_code == 201, reply.text
        state = reply.json()
        return dict(state["verdicts"][-1])

    place = {"sop_instance_uid": "1.2.3.4.1", "column": 100.5, "row": 40.5}
    accepted = give(verdict="accepted", finding_id=first)
    corrected = give(verdict="corrected", finding_id=first, diameter_mm=8.2, place=place)
    assert (corrected["supersedes"], corrected["position_mm"], corrected["diameter_mm"]) == (accepted["id"], [50.0, 20.0, 1.0], 8.2)
    give(verdict="rejected", finding_id=second, reason="duplicate")
    assert state["judged"] is True
    missed = give(verdict="missed", label="nodule", place=place)
    assert (missed["code_scheme"], missed["user_name"], missed["current"]) == ("SCT", "clinician", True)
    give(verdict="retracted", retracts=missed["id"])
    kept = rows(database, "SELECT verdict, current FROM v_verdicts ORDER BY verdict_id")
    assert kept == [("accepted", False), ("corrected", True), ("rejected", True), ("missed", False), ("retracted", False)]
    events = rows(database, "SELECT actor, count(*) FROM audit_events WHERE action = 'verdict.given' GROUP BY actor")
    assert events == [("user:clinician", 5)]
    assert client("viewer").get("/verdicts").json()["verdicts"] == state["verdicts"], "every role reads them"


def test_an_order_that_is_incomplete_or_late_is_refused_in_words(client: Client, database: Database) -> None:
    clinician = client("clinician")
    seen = clinician.get("/verdicts").json()["seen"]
    finding = scalar(database, "SELECT min(id) FROM findings")
    before = scalar(database, "SELECT count(*) FROM verdicts")
    tomorrow = {**seen, "at": (datetime.now(UTC) + timedelta(days=1)).isoformat()}
    reject: dict[str, Any] = {"verdict": "rejected", "finding_id": finding}
    refused: list[tuple[dict[str, Any], int, str]] = [
        ({"verdict": "maybe"}, 422, "verdict"),
        (reject, 422, "has a reason"),
        (reject | {"reason": "boredom"}, 422, "reason"),
        ({"verdict": "corrected", "finding_id": finding}, 422, "changes nothing"),
        ({"verdict": "missed", "label": "<b>"}, 422, "no class"),
        ({"verdict": "accepted", "finding_id": finding, "seen": tomorrow}, 422, "future"),
        ({"verdict": "accepted", "finding_id": 999_999}, 409, "not of job"),
        ({"verdict": "accepted", "finding_id": finding, "seen": {**seen, "revision": 7}}, 409, "another revision"),
        ({"verdict": "accepted", "finding_id": finding, "seen": {**seen, "verdict": 0}}, 409, "somebody has given a verdict"),
    ]
    clinician.post("/verdicts", json={"verdict": "accepted", "finding_id": finding, "seen": seen})
    for order, status, words in refused:
        reply = clinician.post("/verdicts", json={"seen": seen, **order})
        assert (reply.status_code, words in reply.text) == (status, True), (order, reply.text)
    for role in ("viewer", "operator", "auditor"):
        assert client(role).post("/verdicts", json={"verdict": "accepted", "finding_id": finding, "seen": seen}).status_code == 403
    assert scalar(database, "SELECT count(*) FROM verdicts") == before + 1
    missing = str(clinician.base_url).rstrip("/").rsplit("/", 1)[0]
    assert clinician.get(f"{missing}/999999/verdicts").status_code == 404


@pytest.mark.parametrize(("outcome", "why"), [("not_analysed", "no model has analysed the images"), ("abstained", "the model abstained")])
def test_a_missed_finding_of_a_series_without_an_answer_is_refused_in_words(
    client: Client, database: Database, outcome: str, why: str
) -> None:
    before = scalar(database, "SELECT count(*) FROM verdicts")
    run(database, f"UPDATE jobs SET outcome = '{outcome}'")
    clinician = client("clinician")
    state = clinician.get("/verdicts").json()
    assert state["no_answer"] == f"{why}, so there is no answer to judge"
    place = {"sop_instance_uid": "1.2.3.4.1", "column": 100.5, "row": 40.5}
    reply = clinician.post("/verdicts", json={"verdict": "missed", "label": "nodule", "place": place, "seen": state["seen"]})
    assert (reply.status_code, why in reply.text) == (409, True)
    assert "an operator can have the images analysed again" in reply.text
    assert scalar(database, "SELECT count(*) FROM verdicts") == before
    run(database, "UPDATE jobs SET outcome = 'findings'")
    assert clinician.get("/verdicts").json()["no_answer"] == ""
