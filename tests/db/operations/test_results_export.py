"""The export of results: one row per finding, with the fields of the public interface."""

import json
import re
from datetime import timedelta

from sqlalchemy import text

from core.policy.verdicts import VerdictKind
from db.commitment import destination_requests
from db.deliveries import delivery_leases
from db.deliveries.delivery_results import record_stored
from db.engine import Database
from db.jobs import job_leases
from db.jobs.added_destinations import add_destinations
from db.jobs.job_admin import cancel_job, requeue_jobs
from db.operations.results_export import FIELDS, INPUT_FIELDS, export_findings, export_inputs, next_since
from tests.support.records import Sender, claim, complete, deliver_all, finish, judge_finding, plan, report_study, scalar

# The fields that the public interface lists.
INTERFACE = """study_instance_uid, series_instance_uid, sop_instance_uid, accession_number, patient_id, modality, job_id, job_state,
outcome, reason, revision, model, model_version, model_digest, finding, finding_code, probability, tier, measurements,
sr_sop_instance_uid, deliveries, received_at, completed_at, completion_evidence, inferred_at, reported_at,
verdict, inputs, comparison, priors, priors_left_out"""


def test_one_row_per_finding_with_the_fields_of_the_interface(database: Database) -> None:
    report_study(database, findings=2)
    (delivery,) = delivery_leases.claim_deliveries(database, sender="s", lease_s=60, limit=1)
    record_stored(database, delivery, status=0)
    rows = list(export_findings(database))
    assert [list(row) for row in rows] == [re.split(r",\s*", INTERFACE)] * 2 == [list(FIELDS)] * 2
    row = json.loads(json.dumps(rows))[0]
    assert (row["finding"], row["finding_code"], row["tier"], row["outcome"]) == ("nodule", "SCT:27925004", "review", "findings")
    assert row["measurements"]["position_mm"] == [1.0, 2.0, 3.0]
    assert row["measurements"]["items"] == [{"name": "Diameter", "code": "SCT:81827009", "value": 6.5, "unit": "mm"}]
    (sent,) = row["deliveries"]
    assert (sent["destination"], sent["object"], sent["sop_instance_uid"], sent["state"]) == (
        "pacs", "sr", delivery.sop_instance_uid, "stored",
    )  # fmt: skip
    (given,) = row["inputs"]
    assert (given["sop_instance_uid"], len(given["sha256"])) == ("1.2.3.4.1", 64)
    (listed,) = export_inputs(database)
    assert tuple(listed) == INPUT_FIELDS
    assert (listed["job_id"], listed["sop_instance_uid"], listed["sha256"]) == (row["job_id"], "1.2.3.4.1", given["sha256"])
    assert row["sr_sop_instance_uid"] == delivery.sop_instance_uid
    assert (row["job_state"], row["completion_evidence"]["rule"], row["patient_id"]) == ("delivered", "quiet", "P1")


def test_a_unit_without_findings_has_one_row(database: Database) -> None:
    report_study(database, findings=0)
    (row,) = export_findings(database)
    assert (row["finding"], row["outcome"], row["measurements"], row["probability"]) == ("", "no_finding", {}, None)


def test_a_queued_job_has_no_row_and_a_failed_one_has(database: Database) -> None:
    Sender(database).send(1)
    complete(database, plan())
    assert list(export_findings(database)) == []
    job_leases.fail_job(database, claim(database), error="weights missing", permanent=True, retry_in_s=0, max_attempts=3)
    (row,) = export_findings(database)
    assert (row["job_state"], row["outcome"], row["reason"], row["finding"]) == ("failed", None, "weights missing", "")


def test_a_unit_that_no_route_took_has_a_row_with_the_reason(database: Database) -> None:
    Sender(database).send(1)
    complete(database, reason="no route takes it: Modality is CT, not MR")
    (row,) = export_findings(database)
    assert (row["job_id"], row["outcome"], row["model"]) == (None, "not_analysed", None)
    assert row["reason"].startswith("no route")


def test_a_superseded_result_stays_beside_the_new_one(database: Database) -> None:
    sender = Sender(database)
    sender.send(1)
    complete(database, plan())
    finish(database, claim(database))
    sender.send(2)
    complete(database, plan())
    finish(database, claim(database), findings=0)
    assert [(row["revision"], row["job_state"], row["outcome"]) for row in export_findings(database)] == [
        (1, "superseded", "findings"),
        (2, "reported", "no_finding"),
    ]


def test_rows_since_a_time(database: Database) -> None:
    report_study(database)
    assert len(list(export_findings(database, since=database.now() - timedelta(hours=1)))) == 1
    assert list(export_findings(database, since=database.now() + timedelta(hours=1))) == []


def test_a_job_that_ends_after_an_export_is_in_the_next_one(database: Database) -> None:
    """Queued before the first export, and failed or cancelled after it: such a job was in neither."""
    for number in (1, 2, 3):
        Sender(database).send(number, study=f"1.{number}", series=f"1.{number}.1")
        complete(database, plan(), study=f"1.{number}")
    jobs = [claim(database) for _ in range(3)]
    finish(database, jobs[2])
    since = next_since(database)
    assert [row["job_id"] for row in export_findings(database)] == [jobs[2].id]
    assert cancel_job(database, jobs[0].id, "user:operator")
    job_leases.fail_job(database, jobs[1], error="weights missing", permanent=True, retry_in_s=0, max_attempts=3)
    found = [(row["job_id"], row["job_state"]) for row in export_findings(database, since=since)]
    assert found == [(jobs[0].id, "cancelled"), (jobs[1].id, "failed")]
    assert list(export_findings(database, since=next_since(database))) == []
    assert requeue_jobs(database, [jobs[1].id], "user:operator") == [jobs[1].id]
    assert [row["job_id"] for row in export_findings(database, since=since)] == [jobs[0].id]


def test_a_result_that_is_superseded_after_an_export_is_corrected_in_the_next_one(database: Database) -> None:
    sender = Sender(database)
    sender.send(1)
    complete(database, plan())
    finish(database, claim(database))
    since = next_since(database)
    sender.send(2)
    (second,) = complete(database, plan())
    (row,) = export_findings(database, since=since)
    assert (row["job_state"], row["outcome"], row["revision"]) == ("superseded", "findings", 1)
    withdrawn = delivery_leases.claim_deliveries(database, sender="s", lease_s=60, limit=1)
    assert withdrawn == []
    since = next_since(database)
    finish(database, claim(database))
    assert [row["job_id"] for row in export_findings(database, since=since)] == [second]


def test_what_is_delivered_or_judged_after_an_export_is_in_the_next_one(database: Database) -> None:
    """With all of its rows: a nightly export said for ever that a report was on its way."""
    job_id = report_study(database, findings=1)
    since = next_since(database)
    assert list(export_findings(database, since=since)) == []
    deliver_all(database)
    (row,) = export_findings(database, since=since)
    assert (row["job_id"], row["job_state"], [one["state"] for one in row["deliveries"]]) == (job_id, "delivered", ["stored"])
    since = next_since(database)
    assert list(export_findings(database, since=since)) == []
    judge_finding(database, job_id, VerdictKind.ACCEPTED)
    assert [row["verdict"]["verdict"] for row in export_findings(database, since=since)] == ["accepted"]
    assert list(export_findings(database, since=next_since(database))) == []
    with database.begin() as connection:
        assert add_destinations(connection, job_id, ["archive"], {}, "routine") == 1
    (row,) = export_findings(database, since=since)
    assert [(one["destination"], one["state"]) for one in row["deliveries"]] == [("pacs", "stored"), ("archive", "pending")]


def test_a_job_that_is_delivered_because_commitment_is_switched_off_is_in_the_next_export(database: Database) -> None:
    report_study(database)
    deliver_all(database, commit=True)
    since = next_since(database)
    assert list(export_findings(database, since=since)) == []
    assert destination_requests.stop_requesting(database, ["pacs"]) == 1
    assert [row["job_state"] for row in export_findings(database, since=since)] == ["delivered"]


def test_what_is_committed_while_an_export_runs_is_in_the_next_one(database: Database) -> None:
    """A result is dated before it is committed: the export in between does not have it, and is followed from before it."""
    Sender(database).send(1)
    complete(database, plan())
    job = claim(database)
    with database.begin() as connection:
        connection.execute(text("UPDATE jobs SET state = 'cancelled', token = NULL, lease_until = NULL WHERE id = :id"), {"id": job.id})
        since = next_since(database)
        assert list(export_findings(database)) == []
    assert [row["job_id"] for row in export_findings(database, since=since)] == [job.id]


def test_a_delivery_that_is_committed_while_an_export_runs_is_in_the_next_one(database: Database) -> None:
    job_id = report_study(database)
    later = database.now()
    with database.begin() as connection:
        connection.execute(text("UPDATE deliveries SET state = 'held', changed_at = node_now()"))
        since = next_since(database)
        assert list(export_findings(database, since=later)) == []
    assert [row["job_id"] for row in export_findings(database, since=since)] == [job_id]


def test_the_views_for_auditors_exist(database: Database) -> None:
    for view in ("v_findings", "v_jobs", "v_deliveries", "v_audit", "v_verdicts"):
        assert scalar(database, f"SELECT count(*) FROM {view}") == 0
