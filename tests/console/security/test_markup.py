"""Script in what senders choose (names, descriptions, reasons, AE titles), and line breaks in what becomes a header."""

import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from console.auth.access import ACCESS
from db import audit
from db.engine import Database
from db.receive.quarantine import quarantine_instance
from tests.support.console import RunningConsole, add_users
from tests.support.records import Sender, blob, claim, complete, finish, plan, run, scalar

SCRIPT = "\"'><script>alert(1)</script>"
NUMBERS = {"study_id": "studies", "unit_id": "units", "job_id": "jobs", "object_id": "reports"}


def _markup_everywhere(database: Database) -> None:
    """A reported study, a failed job, a unit without a route and a quarantined data set, whose texts are script."""
    sender = Sender(database, ae=SCRIPT[:16])
    for number in (1, 2, 3):
        texts: dict[str, Any] = dict.fromkeys(("patient_id", "accession_number", "study_description", "series_description"), SCRIPT)
        texts["patient_name"] = f"{SCRIPT}^{number}"
        sender.send(1, study=f"1.2.{number}", series=f"1.2.{number}.1", **texts)
    complete(database, plan(), study="1.2.1")
    finish(database, claim(database), problems=(SCRIPT,))
    complete(database, plan(), study="1.2.2")
    values = {"text": SCRIPT.replace("'", "''")}
    for statement in (
        "UPDATE jobs SET state = 'quarantined', reason = '{text}' WHERE state = 'queued'",
        "UPDATE deliveries SET state = 'held', note = '{text}'",
        "UPDATE findings SET label = '{text}', code_meaning = '{text}'",
        "INSERT INTO alerts (kind, subject, details) VALUES ('destination.away', '{text}', '{{}}')",
        "INSERT INTO pauses (kind, name, reason, actor) VALUES ('route', '{text}', '{text}', 'user:admin')",
    ):
        run(database, statement.format_map(values))
    quarantine_instance(database, blob=blob("hostile"), reason=SCRIPT, status=0xC000, sop_class_uid=SCRIPT, sop_instance_uid=SCRIPT,
                        association_id=sender.id, source=SCRIPT, max_bytes=1 << 20)  # fmt: skip
    complete(database, study="1.2.3", reason=SCRIPT)
    run(database, "UPDATE units SET outcome = 'not_analysed' WHERE reason <> ''")
    audit.record_now(database, actor=SCRIPT, action="association.refused", subject=SCRIPT, details={"reason": SCRIPT, "calling_ae": SCRIPT})


def test_script_of_senders_is_text_on_every_page(database: Database, tmp_path: Path) -> None:
    _markup_everywhere(database)
    add_users(database)
    values = {name: str(scalar(database, f"SELECT min(id) FROM {table}")) for name, table in NUMBERS.items()}
    escaped = 0
    with RunningConsole(database, tmp_path) as console, console.browser("admin") as browser:
        studies = [f"/studies/{number}" for number in (int(values["study_id"]) + 1, int(values["study_id"]) + 2)]
        paths = [path for method, path in ACCESS if method == "GET" and path not in ("/worklist/events", "/readyz")]
        known = [path.format_map(values) for path in paths if set(re.findall(r"\{(\w+)\}", path)) <= NUMBERS.keys()]
        searches = [f"{path}{httpx.QueryParams({name: SCRIPT})}" for path, name in (
            ("/worklist?", "text"), ("/audit?", "actor"), ("/audit?", "subject"), ("/audit/patient?", "patient_id"),
            ("/patients?", "patient_id"),
            ("/audit/views?", "view"), ("/audit/views?column=model&operator=contains&", "value"), ("/dashboard?", "model"))]  # fmt: skip
        for path in [*known, *studies, *searches, f"/{SCRIPT}", f"/models/{SCRIPT}"]:
            reply = browser.get(path)
            assert reply.status_code < 500, path
            if reply.headers.get("content-type", "").startswith("text/html"):
                assert "<script>alert" not in reply.text, path
                assert "\"'>" not in reply.text, path
                escaped += "&lt;script&gt;alert(1)" in reply.text
            else:
                assert reply.headers["x-content-type-options"] == "nosniff", path
    assert escaped >= 8, "the texts are shown"


@pytest.mark.parametrize(
    "value", ["/\r\nSet-Cookie: evil=1", "/%0d%0aSet-Cookie:%20evil=1", "//evil.example", "https://evil.example", "\\\\evil"]
)
def test_no_input_adds_a_header_or_leads_elsewhere(console: RunningConsole, value: str) -> None:
    with console.browser() as browser:
        quoted = str(httpx.QueryParams({"next": value}))
        replies = [
            browser.get(f"/sign-in?{quoted}"),
            browser.send_form("/sign-in", name="viewer", password="wrong", next=value),
            browser.get(f"/sign-in/oidc?{quoted}"),
        ]
        browser.sign_in("admin", next=value)
        browser.open("/account")
        replies += [
            browser.send_form("/worklist/views", name="v", query=f"text={value}"),
            browser.get("/audit/export", params={"format": value}),
            browser.get("/sign-in/code", params={"next": value}),
        ]
    for reply in replies:
        assert "evil=1" not in str(reply.headers.get_list("set-cookie"))
        target = httpx.URL(console.url).join(reply.headers.get("location", "/"))
        assert (target.host, target.port) == (httpx.URL(console.url).host, httpx.URL(console.url).port), reply.url
