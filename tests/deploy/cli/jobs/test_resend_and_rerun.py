"""``deliveries resend`` and ``give-up``, ``jobs rerun``: a table first, then the role that owns the work acts; reasons are required."""

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.settings.settings import Settings
from db.engine import Database
from db.roles.command_runner import CommandRunner
from db.roles.heartbeats import record_heartbeat
from deploy.cli.main import run
from deploy.settings_file import load_settings
from dicom_node.conduct.commands import command_handlers
from dicom_node.deliver.commands import DestinationCommands
from models import registry
from tests.support.records import deliver_all, plan, report_study, rows, scalar
from tests.support.records import run as execute

pytestmark = pytest.mark.services
HUGE = "9" * 30  # more than a row can have
CONFIG = """
[node]
data_dir = "data"
[database]
url = "{url}"
[[destinations]]
name = "pacs"
folder = "{folder}"
accept_research = true
[[destinations]]
name = "later"
folder = "{folder}"
accept_research = true
"""


@pytest.fixture
def config(tmp_path: Path, database_url: str) -> Path:
    path = tmp_path / "node.toml"
    path.write_text(CONFIG.format(url=database_url, folder=tmp_path))
    return path


@pytest.fixture
def delivered(database: Database) -> int:
    """A delivered job; its id."""
    job_id = report_study(database)
    deliver_all(database)
    return job_id


@pytest.fixture
def roles(database: Database, config: Path) -> Iterator[Settings]:
    """The threads of ``send`` and ``conduct`` that carry out commands, and heartbeats of both roles."""
    settings = load_settings(config)
    for role in ("send", "conduct"):
        record_heartbeat(database, role, f"test:{os.getpid()}", {})
    with (
        CommandRunner("send", database, DestinationCommands(settings, database).handlers(), threading.Event()),
        CommandRunner("conduct", database, command_handlers(settings, database), threading.Event()),
    ):
        yield settings


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["deliveries", "resend", "1"], "a reason is missing"),
        (["deliveries", "resend", "1", "--reason", "lost"], "add --yes"),
        (["deliveries", "resend", "--dry-run"], "give ids, --study or --since"),
        (["deliveries", "resend", "1", "--missing", "--dry-run"], "add --to"),
        (["deliveries", "resend", "1", "--destination", "pacs", "--to", "later", "--dry-run"], "give one of them"),
        (["deliveries", "resend", "1", "--to", "nowhere", "--dry-run"], "there are: pacs, later"),
        (["deliveries", "give-up", "1"], "a reason is missing"),
        (["deliveries", "give-up", "--dry-run"], "give ids, --study or --to"),
        (["deliveries", "give-up", HUGE, "--dry-run"], "less than or equal to 9223372036854775807"),
        (["jobs", "rerun", "1", "--yes"], "a reason is missing"),
        (["jobs", "rerun", "--until", "2026-01-01", "--dry-run"], "give ids, --study or --since"),
        (["jobs", "rerun", "1", "--since", "yesterday", "--dry-run"], "--since"),
        (["jobs", "rerun", HUGE, "--dry-run"], "less than or equal to 9223372036854775807"),
        (["jobs", "show", HUGE], "less than or equal to 9223372036854775807"),
        (["jobs", "requeue", "1", HUGE], "less than or equal to 9223372036854775807"),
        (["deliveries", "resend", HUGE, "--dry-run"], "less than or equal to 9223372036854775807"),
        (["deliveries", "resend", "--job", HUGE, "--to", "later", "--dry-run"], "less than or equal to 9223372036854775807"),
        (["users", "token", "revoke", HUGE], "less than or equal to 9223372036854775807"),
    ],
)
def test_wrong_usage(database: Database, config: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], expected: str) -> None:
    assert run([*arguments, "--config", str(config)]) == 2
    assert expected in capsys.readouterr().err


def test_resend(database: Database, config: Path, delivered: int, roles: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--config", str(config)]
    assert run(["deliveries", "resend", "--study", "1.2.3", "--dry-run", *where]) == 0
    shown = capsys.readouterr().err
    assert "would be sent: 1 of 1 objects" in shown
    assert "send again" in shown
    for destination, objects in (("pacs", 1), ("later", 0)):
        assert run(["deliveries", "resend", "--destination", destination, "--since", "2020-01-01", "--dry-run", *where]) == 0
        assert f"would be sent: {objects} of {objects} objects" in capsys.readouterr().err
    assert scalar(database, "SELECT count(*) FROM commands") == 0
    assert run(["deliveries", "resend", "--study", "1.2.3", "--reason", "the archive lost it", "--yes", "--json", *where]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["answer"] == "1 object is sent again"
    assert [row["action"] for row in answer["planned"]] == ["send again"]
    assert scalar(database, "SELECT state FROM deliveries") == "pending"
    assert run(["deliveries", "resend", "--since", "2020-01-01", "--to", "later", "--missing", "--reason", "added", "--yes", *where]) == 0
    assert "1 object is sent for the first time" in capsys.readouterr().err
    assert str(scalar(database, "SELECT note FROM deliveries WHERE destination = 'later'")).startswith("sent for ")
    deliver_all(database)
    assert rows(database, "SELECT destination, state FROM deliveries ORDER BY id") == [("pacs", "stored"), ("later", "stored")]
    assert run(["deliveries", "resend", "--since", "2020-01-01", "--to", "later", "--missing", "--reason", "added", "--yes", *where]) == 1
    said = capsys.readouterr().err
    assert "not sent: the destination has it" in said
    assert said.endswith("dicom-node: nothing was changed (the column 'action' says why)\n")
    assert run(["deliveries", "resend", "999", "--dry-run", *where]) == 1
    assert "there is no delivery 999" in capsys.readouterr().err
    asked = rows(database, "SELECT actor LIKE 'cli:%', details ->> 'reason' FROM audit_events WHERE action = 'job.resent' ORDER BY id")
    assert asked == [(True, "the archive lost it"), (True, "added")]


def test_give_up(database: Database, config: Path, delivered: int, roles: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--config", str(config)]
    execute(database, "UPDATE deliveries SET state = 'failed', note = 'not supported'")
    assert run(["deliveries", "give-up", "--study", "1.2.3", "--dry-run", *where]) == 0
    assert "would be given up: 1 of 1 deliveries" in capsys.readouterr().err
    assert scalar(database, "SELECT count(*) FROM commands") == 0
    assert run(["deliveries", "give-up", "--study", "1.2.3", "--reason", "the archive is gone", "--yes", "--json", *where]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["answer"] == "1 delivery is given up"
    assert [row["action"] for row in answer["planned"]] == ["give up"]
    assert scalar(database, "SELECT state FROM deliveries") == "given_up"
    asked = rows(database, "SELECT actor LIKE 'cli:%', details ->> 'reason' FROM audit_events WHERE action = 'delivery.given_up'")
    assert asked == [(True, "the archive is gone")]
    delivery = str(scalar(database, "SELECT id FROM deliveries"))
    assert run(["deliveries", "give-up", delivery, "--reason", "once more", "--yes", *where]) == 1
    said = capsys.readouterr().err
    assert "not given up: it is given up already" in said
    assert said.endswith("dicom-node: nothing was changed (the column 'action' says why)\n")
    assert run(["deliveries", "retry", delivery, *where]) == 0
    assert scalar(database, "SELECT state FROM deliveries") == "pending"


def test_give_up_what_waits_for_a_destination(
    database: Database, config: Path, roles: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    report_study(database, plan(destinations=("pacs", "gone")))
    where = ["--config", str(config)]
    assert run(["deliveries", "give-up", "--to", "gone", "--dry-run", "--json", *where]) == 0
    assert [(row["destination"], row["state"]) for row in json.loads(capsys.readouterr().out)["planned"]] == [("gone", "pending")]
    assert run(["deliveries", "give-up", "--to", "gone", "--reason", "switched off", "--yes", *where]) == 0
    assert rows(database, "SELECT destination, state FROM deliveries ORDER BY id") == [("pacs", "pending"), ("gone", "given_up")]
    assert run(["deliveries", "give-up", "--to", "gone", "--reason", "switched off", "--yes", *where]) == 1
    assert "nothing was changed (nothing fits the selection)" in capsys.readouterr().err


def test_rerun(database: Database, config: Path, delivered: int, roles: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--config", str(config)]
    version = registry.card("lung_nodule_ct").version
    assert run(["jobs", "rerun", str(delivered), "--dry-run", "--json", *where]) == 0
    (planned,) = json.loads(capsys.readouterr().out)["planned"]
    assert planned["action"] == f"run on {version}, supersede the result of 1.0"
    assert scalar(database, "SELECT count(*) FROM jobs") == 1
    for made_by, jobs in (("1.0", [delivered]), ("0.9", [])):
        assert run(["jobs", "rerun", "--made-by", made_by, "--dry-run", "--json", *where]) == 0
        assert [row["job_id"] for row in json.loads(capsys.readouterr().out)["planned"]] == jobs
    assert run(["jobs", "rerun", str(delivered), "--model", "9.9.9", "--reason", "x", "--yes", *where]) == 1
    assert "no version of lung_nodule_ct is 9.9.9" in capsys.readouterr().err
    assert run(["jobs", "rerun", str(delivered), "--to", "later", "--reason", "a better model", "--yes", *where]) == 0
    new = scalar(database, "SELECT max(id) FROM jobs")
    assert f"job {new} is queued" in capsys.readouterr().err
    found = rows(database, "SELECT state, model_version, array_to_string(destinations, ',') FROM jobs ORDER BY id")
    assert found == [("superseded", "1.0", "pacs"), ("queued", version, "pacs,later")]
    assert rows(database, "SELECT details ->> 'reason' FROM audit_events WHERE action = 'job.rerun'") == [("a better model",)]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["deliveries", "resend", "999"], ["there is no delivery 999"]),
        (["deliveries", "resend", "1", "999", "--to", "later"], ["there is no delivery 999"]),
        (
            ["deliveries", "resend", "--job", "1", "--job", "998", "--job", "999", "--to", "later"],
            ["there is no job 998", "there is no job 999"],
        ),
        (["deliveries", "resend", "--job", "999"], ["there is no job 999"]),
        (["deliveries", "resend", "--study", "1.2.9", "--to", "later"], ["there is no study 1.2.9"]),
        (["deliveries", "resend", "--study", "1.2.9"], ["there is no study 1.2.9"]),
        (["deliveries", "resend", "1", "--since", "2100-01-01"], ["delivery 1 is not in the selection", "not in this study and time"]),
        (["deliveries", "resend", "1", "--since", "2100-01-01", "--to", "later"], ["has nothing for later, or not in this study and time"]),
        (["deliveries", "give-up", "1", "998", "999"], ["there is no delivery 998", "there is no delivery 999"]),
        (["deliveries", "give-up", "--study", "1.2.9"], ["there is no study 1.2.9"]),
        (["jobs", "rerun", "1", "999"], ["there is no job 999"]),
        (["jobs", "rerun", "--study", "1.2.9"], ["there is no study 1.2.9"]),
        (["jobs", "rerun", "1", "--model", "chest_of_drawers@1.0"], ["no job is of a model 'chest_of_drawers'", "job 1 does not fit"]),
        (["jobs", "requeue", "999"], ["there is no job 999"]),
        (["jobs", "cancel", "999"], ["there is no job 999"]),
        (["jobs", "release", "999", "--reason", "a test"], ["999"]),
        (["deliveries", "retry", "999"], ["there is no delivery 999"]),
        (["rules", "requeue", "999"], ["there is no unit 999"]),
        (["routes", "resume", "no route"], ["no route is named 'no route'"]),
        (["destinations", "resume", "nowhere"], ["no destination is named 'nowhere'", "there are: pacs, later"]),
        (["destinations", "pause", "nowhere", "--reason", "a test"], ["no destination is named 'nowhere'"]),
    ],
)
def test_what_a_command_names_and_does_not_exist_is_an_error(
    database: Database, config: Path, delivered: int, capsys: pytest.CaptureFixture[str], arguments: list[str], expected: list[str]
) -> None:
    """Also beside what exists, and in a dry run; nothing is changed."""
    asked = ["--dry-run"] if arguments[1] in ("resend", "give-up", "rerun") else []
    before = rows(database, "SELECT state, (SELECT count(*) FROM commands) FROM deliveries")
    assert run([*arguments, *asked, "--config", str(config)]) == 1
    said = capsys.readouterr().err
    for part in expected:
        assert part in said
    assert rows(database, "SELECT state, (SELECT count(*) FROM commands) FROM deliveries") == before


def test_a_role_that_is_not_running_is_named(database: Database, config: Path, delivered: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["jobs", "rerun", str(delivered), "--reason", "a test", "--yes", "--config", str(config)]) == 1
    assert "the role conduct is not running" in capsys.readouterr().err
    assert scalar(database, "SELECT state FROM commands") == "queued"
