"""Commands on many rows: carried out in turns, between which other commands come, and answered with what was left out and why."""

import threading
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from core.settings.settings import Settings
from db.blobs.store import Blobs
from db.commitment import source_requests
from db.engine import Database
from db.operations.command_kinds import CommandKind
from db.receive.associations import open_association
from db.receive.quarantine import quarantine_instance
from db.roles import commands
from db.roles.command_runner import CommandRunner
from dicom_node.conduct import bulk_commands
from dicom_node.conduct.bulk_commands import BulkCommands
from dicom_node.deliver import bulk_commands as of_sender
from dicom_node.deliver.bulk_commands import BulkDeliveryCommands
from dicom_node.receive import listen_role
from models import registry
from tests.db.jobs.test_requeue_plan import DAMAGED, MEMORY, fail_job
from tests.db.operations.test_retention import Unit, _age
from tests.support.records import Sender, claim, complete, deliver_all, finish, plan, rows, run, scalar
from tests.support.series import encoded, image

SINCE = "2020-01-01T00:00:00+00:00"
FAR = "999999"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.model_validate(
        {
            "node": {"data_dir": tmp_path},
            "destinations": [{"name": name, "folder": tmp_path, "accept_research": True} for name in ("pacs", "clinic")],
            "retention": {"images_days": 30, "records_days": 30},
        }
    )


@pytest.fixture
def blobs(settings: Settings) -> Blobs:
    return Blobs(settings.blobs_dir)


@pytest.fixture
def runner(database: Database, settings: Settings, blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> CommandRunner:
    """The roles that own commands on many rows; a turn is one row."""
    monkeypatch.setattr(bulk_commands, "ROWS_AT_ONCE", 1)
    monkeypatch.setattr(bulk_commands, "UNITS_AT_ONCE", 1)
    monkeypatch.setattr(of_sender, "ROWS_AT_ONCE", 1)
    handlers = {
        **BulkCommands(settings, database, turn_s=0.0).handlers(),
        **BulkDeliveryCommands(settings, database, turn_s=0.0).handlers(),
        **listen_role.command_handlers(settings, database, blobs, turn_s=0.0),
    }
    return CommandRunner("roles", database, handlers, threading.Event())


@pytest.fixture
def carry_out(database: Database, runner: CommandRunner) -> Any:
    """Ask for a command and have it carried out; returns what each turn has said, and (state, answer)."""

    def ask(kind: CommandKind, **args: str) -> tuple[list[str], tuple[str, str]]:
        id = commands.enqueue_command(database, kind, {"subject": "rows", "reason": "a test", **args}, "user:ann")
        said = []
        while runner.run_next() == 0.0:
            found = commands.show_command(database, id)
            assert found is not None
            said.append((found["state"], found["result"]["answer"]))
        assert {state for state, _ in said[:-1]} <= {"running"}
        return [answer for _, answer in said[:-1]], said[-1]

    return ask


def _reported(database: Database, *numbers: int, destinations: tuple[str, ...] = ("pacs",)) -> list[int]:
    """Report a study for each number; return the ids of the jobs."""
    jobs = []
    for number in numbers:
        study = f"1.3.{number}"
        Sender(database).send(1, study=study, series=f"{study}.1")
        jobs += complete(database, plan(destinations=destinations), study=study) or []
        finish(database, claim(database))
    return jobs


def test_failed_jobs_are_queued_again_by_reason(database: Database, carry_out: Any) -> None:
    jobs = [fail_job(database, number, reason) for number, reason in enumerate((MEMORY, DAMAGED, MEMORY, MEMORY), 1)]
    run(database, f"UPDATE units SET revision = revision + 1 WHERE id = (SELECT unit_id FROM jobs WHERE id = {jobs[2]})")
    said, last = carry_out(CommandKind.JOB_REQUEUE_MANY, cause=MEMORY, last=FAR, count="3")
    assert said == ["so far, 1 job is queued again", "so far, 1 job is queued again", "so far, 2 jobs are queued again"]
    assert last == ("done", "2 jobs are queued again; 1 not: its unit has a newer revision")
    states = [state for (state,) in rows(database, "SELECT state FROM jobs ORDER BY id")]
    assert states == ["queued", "quarantined", "quarantined", "queued"]
    events = rows(database, "SELECT actor, subject FROM audit_events WHERE action = 'job.requeued' ORDER BY id")
    assert events == [("user:ann", f"job:{jobs[0]}"), ("user:ann", f"job:{jobs[3]}")]
    assert rows(database, "SELECT details ->> 'reason' FROM audit_events WHERE action = 'command.asked'") == [("a test",)]


def test_what_failed_after_the_list_was_read_waits(database: Database, carry_out: Any) -> None:
    first, second = (fail_job(database, number, MEMORY) for number in (1, 2))
    assert carry_out(CommandKind.JOB_REQUEUE_MANY, last=str(first), count="1")[1] == ("done", "1 job is queued again")
    assert scalar(database, f"SELECT state FROM jobs WHERE id = {second}") == "quarantined"
    again = carry_out(CommandKind.JOB_REQUEUE_MANY, last=str(first), count="1")[1]
    assert again == ("failed", "nothing was changed; 1 changed since they were listed")
    assert carry_out(CommandKind.JOB_REQUEUE_MANY)[1][0] == "failed"


def test_other_commands_come_between_two_turns_and_another_process_continues(
    database: Database, runner: CommandRunner, settings: Settings
) -> None:
    for number in (1, 2):
        fail_job(database, number, MEMORY)
    many = commands.enqueue_command(database, CommandKind.JOB_REQUEUE_MANY, {"last": FAR}, "user:ann")
    one = commands.enqueue_command(database, CommandKind.QUARANTINE_REQUEUE, {"subject": "7"}, "user:ann")

    def states() -> list[Any]:
        return [state for (state,) in rows(database, f"SELECT state FROM commands WHERE id IN ({many}, {one}) ORDER BY id")]

    assert runner.run_next() == 0.0
    assert states() == ["running", "queued"]
    assert runner.run_next() == 0.0
    assert states() == ["running", "failed"], "there is no item 7"
    other = CommandRunner("roles", database, BulkCommands(settings, database).handlers(), threading.Event())
    assert other.run_next() == 0.0
    found = commands.show_command(database, many)
    assert found is not None
    assert (found["state"], found["result"]["answer"]) == ("done", "2 jobs are queued again")


def test_a_turn_whose_process_was_killed_is_repeated(database: Database, runner: CommandRunner, settings: Settings) -> None:
    """What it had done is done once, and counted as changed: only the next turn would have known of it."""
    for number in (1, 2):
        fail_job(database, number, MEMORY)
    id = commands.enqueue_command(database, CommandKind.JOB_REQUEUE_MANY, {"last": FAR, "count": "2"}, "user:ann")
    claimed = commands.claim_command(database, [CommandKind.JOB_REQUEUE_MANY])
    assert claimed is not None
    BulkCommands(settings, database, turn_s=0.0).requeue_failed(claimed)
    assert rows(database, "SELECT state FROM jobs ORDER BY id") == [("queued",), ("quarantined",)]
    assert runner.run_next() > 0.0, "that its process is dead is noticed after ten minutes"
    run(database, "UPDATE commands SET started_at = started_at - interval '11 minutes'")
    while runner.run_next() == 0.0:
        pass
    found = commands.show_command(database, id)
    assert found is not None
    assert (found["state"], found["result"]["answer"]) == ("done", "1 job is queued again; 1 changed since they were listed")
    assert scalar(database, "SELECT count(*) FROM audit_events WHERE action = 'job.requeued'") == 2


def test_results_of_a_version_and_time_run_again(database: Database, carry_out: Any) -> None:
    first, second, third = _reported(database, 1, 2, 3)
    run(database, f"UPDATE jobs SET model_version = '0.9' WHERE id = {second}")
    run(database, f"UPDATE instances SET removed_at = node_now() WHERE id = (SELECT instance_id FROM job_inputs WHERE job_id = {third})")
    selected = {"model": "lung_nodule_ct", "made_by": "1.0", "since": SINCE}
    said, last = carry_out(CommandKind.JOB_RERUN_MANY, **selected, last=str(third), count="2")
    assert said[0] == "so far, 1 job is queued to run again"
    assert last == ("done", "1 job is queued to run again; 1 not: retention has deleted images of it: send them again")
    version = registry.card("lung_nodule_ct").version
    assert rows(database, f"SELECT model_version, state FROM jobs WHERE id > {third}") == [(version, "queued")]
    ((superseded, actor, reason),) = rows(
        database, "SELECT subject, actor, details ->> 'reason' FROM audit_events WHERE action = 'job.rerun'"
    )
    assert (superseded, actor, reason) == (f"job:{first}", "user:ann", "a test")
    assert carry_out(CommandKind.JOB_RERUN_MANY, last=FAR)[1] == ("failed", "the command selects everything")
    assert "no version of lung_nodule_ct is 9.9" in carry_out(CommandKind.JOB_RERUN_MANY, since=SINCE, version="9.9", last=FAR)[1][1]


def test_what_a_destination_stored_in_a_time_is_sent_again(database: Database, carry_out: Any) -> None:
    first, second, third = _reported(database, 1, 2, 3, destinations=("pacs", "clinic"))
    deliver_all(database)
    run(database, f"UPDATE deliveries SET stored_at = stored_at - interval '2 days' WHERE job_id = {first}")
    run(database, f"UPDATE reports SET removed_at = node_now() WHERE job_id = {third}")
    since = (database.now() - timedelta(days=1)).isoformat()
    selected = {"destination": "pacs", "since": since}
    said, last = carry_out(CommandKind.DELIVERY_RESEND_MANY, **selected, last=FAR, count="2")
    assert said[0] == "so far, 1 object is sent again"
    assert last == ("done", "1 object is sent again; 1 not: retention has deleted the file; `jobs rerun` makes it again")
    found = rows(database, "SELECT job_id, destination FROM deliveries WHERE state = 'pending'")
    assert found == [(second, "pacs")]
    audited = rows(database, "SELECT actor, subject, details ->> 'reason' FROM audit_events WHERE action = 'job.resent'")
    assert audited == [("user:ann", f"job:{second}", "a test")]
    for missing in ({"destination": "pacs"}, {"since": since}):
        assert carry_out(CommandKind.DELIVERY_RESEND_MANY, **missing, last=FAR)[1][0] == "failed"


def test_failed_deliveries_are_sent_again_by_destination_and_reason(database: Database, carry_out: Any) -> None:
    jobs = _reported(database, 1, 2, 3, destinations=("pacs", "clinic"))
    run(database, "UPDATE deliveries SET state = 'failed', note = 'SOP class not supported', attempts = 5")
    run(database, f"UPDATE deliveries SET note = 'no such study' WHERE job_id = {jobs[0]}")
    run(database, f"UPDATE jobs SET state = 'superseded' WHERE id = {jobs[1]}")
    selected = {"destination": "pacs", "cause": "SOP class not supported"}
    said, last = carry_out(CommandKind.DELIVERY_RETRY_MANY, **selected, last=FAR, count="2")
    assert said == ["so far, 0 deliveries are sent again", "so far, 1 delivery is sent again"]
    assert last == ("done", "1 delivery is sent again; 1 not: its result is superseded")
    assert rows(database, "SELECT job_id, destination, attempts FROM deliveries WHERE state = 'pending'") == [(jobs[2], "pacs", 0)]
    assert rows(database, "SELECT actor FROM audit_events WHERE action = 'delivery.released'") == [("user:ann",)]


def test_what_is_held_is_released_by_its_number_only(database: Database, carry_out: Any) -> None:
    _reported(database, 1)
    run(database, "UPDATE deliveries SET state = 'held', note = 'another patient'")
    assert carry_out(CommandKind.DELIVERY_RETRY_MANY, last=FAR)[1] == ("failed", "nothing was changed")
    assert scalar(database, "SELECT state FROM deliveries") == "held"


def test_commitment_reports_of_a_source_are_sent_again(database: Database, carry_out: Any) -> None:
    pair = [("1.2.840.10008.5.1.4.1.1.2", "1.2.3")]
    for number, source in enumerate(("CT_1", "CT_1", "CT_2"), 1):
        source_requests.record_source_request(database, source=source, transaction_uid=f"2.25.{number}", instances=pair, reserve_s=0)
    run(database, "UPDATE source_commitment_requests SET state = 'failed', note = 'refused', answered_at = node_now(), attempts = 5")
    said, last = carry_out(CommandKind.COMMITMENT_RETRY_MANY, source="CT_1", last=FAR, count="2")
    assert said == ["so far, 1 report is sent again", "so far, 2 reports are sent again"]
    assert last == ("done", "2 reports are sent again")
    found = rows(database, "SELECT source, state, attempts FROM source_commitment_requests ORDER BY id")
    assert found == [("CT_1", "pending", 0), ("CT_1", "pending", 0), ("CT_2", "failed", 5)]


def test_refused_data_sets_of_one_reason_are_checked_again(database: Database, carry_out: Any, blobs: Blobs) -> None:
    association = UUID(int=8)
    open_association(database, id=association, calling_ae="PACS", called_ae="NODE", address="127.0.0.1", listener="test", lease_s=60)
    good = image()
    contents = ((encoded(good), "too old"), (b"never a data set", "too old"), (b"another", "too large"))
    for content, reason in contents:
        quarantine_instance(
            database, blob=blobs.put(content), reason=reason, status=0xC000, sop_class_uid=str(good.SOPClassUID),
            sop_instance_uid=str(good.SOPInstanceUID), association_id=association, source="PACS", max_bytes=1 << 20,
        )  # fmt: skip
    said, (state, answer) = carry_out(CommandKind.QUARANTINE_REQUEUE_MANY, cause="too old", last=FAR, count="2")
    assert said == ["so far, 1 data set is received"] * 2
    assert state == "done"
    assert answer.startswith("1 data set is received; 1 not: refused again, ")
    assert scalar(database, "SELECT count(*) FROM quarantine") == 2
    assert rows(database, "SELECT actor FROM audit_events WHERE action = 'quarantine.requeued'") == [("user:ann",)]
    assert carry_out(CommandKind.QUARANTINE_REQUEUE_MANY, source="ELSEWHERE", last=FAR)[1] == ("failed", "nothing was changed")


def test_units_without_a_route_are_routed_again(database: Database, carry_out: Any) -> None:
    for number, source in enumerate(("PACS", "PACS", "WARD"), 1):
        Sender(database, ae=source).send(1, study=f"1.2.{number}", series=f"1.2.{number}.1")
        complete(database, study=f"1.2.{number}", reason="no route takes it")
    run(database, "UPDATE units SET outcome = 'not_analysed'")
    run(database, "UPDATE instances SET removed_at = node_now() WHERE unit_id = (SELECT min(id) FROM units)")
    said, last = carry_out(CommandKind.UNIT_REQUEUE_MANY, source="PACS", last=FAR, count="2")
    assert said == ["so far, 0 units are routed again", "so far, 1 unit is routed again"]
    assert last == ("done", "1 unit is routed again; 1 not: retention has deleted images of it: send them again")
    assert [state for (state,) in rows(database, "SELECT state FROM units ORDER BY id")] == ["complete", "open", "complete"]
    assert rows(database, "SELECT actor FROM audit_events WHERE action = 'unit.requeued'") == [("user:ann",)]


def test_the_policy_of_retention_is_applied_in_turns(database: Database, carry_out: Any, blobs: Blobs) -> None:
    units = [Unit(database, blobs, number).report().deliver() for number in (1, 2)]
    fresh = Unit(database, blobs, 3).report()
    _age(database, 31)
    policy = "images 30, records 30"
    other = carry_out(CommandKind.RETENTION_RUN, policy="images 7, records 30")[1]
    assert other[0] == "failed"
    assert "another one than that of the page" in other[1]
    assert all(unit.kept() == (True, True) for unit in units)
    said, last = carry_out(CommandKind.RETENTION_RUN, policy=policy)
    assert said[:2] == ["deleted so far: 1 image of 1 unit", "deleted so far: 2 images of 2 units"]
    assert last == ("done", "deleted: 2 images of 2 units")
    assert all(unit.kept() == (False, True) for unit in units)
    assert fresh.kept() == (True, True)
    events = rows(database, "SELECT actor, details ->> 'rule' FROM audit_events WHERE action = 'retention.removed'")
    assert events == [("user:ann", "images")] * 2
    assert carry_out(CommandKind.RETENTION_RUN, policy=policy)[1][1].startswith("nothing is deleted: ")
