"""Assessments from verdict to delivery: made by a worker, once, after the report, with the findings' tracking UIDs."""

import io
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from core.policy.verdicts import RejectionReason, VerdictKind
from core.records import ResultObject
from core.settings.settings import Settings
from core.states import ResultKind
from db.deliveries import delivery_leases
from db.deliveries.delivery_admin import retry_deliveries
from db.deliveries.delivery_results import record_stored
from db.deliveries.giving_up import give_up_deliveries
from db.engine import Database
from db.verdicts.assessment_claim import claim_assessment
from db.verdicts.assessment_records import StoredAssessment
from db.verdicts.assessment_results import commit_assessment, record_failed_assessment
from deploy.settings_file import load_settings
from tests.support.queued_jobs import JobFactory, configure, server_url_variables
from tests.support.records import judge_finding, rows, run, scalar
from tests.workers.conftest import UNHURRIED, stored_object
from workers.attempt import wake_up
from workers.attempt.assessment import make_next_assessment
from workers.child.runtime import ChildRuntime
from workers.encode.sr.stored_identifiers import read_tracking


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    """Settings with one destination that takes assessments and one that does not."""
    configure(tmp_path, database_url, **UNHURRIED)
    path = tmp_path / "node.toml"
    text = path.read_text().replace('name = "pacs"\n', 'name = "pacs"\nobjects = ["sr", "assessment"]\n', 1)
    path.write_text(text.replace('name = "clinic"\n', 'name = "clinic"\naccept_research = true\n', 1))
    return load_settings(path, server_url_variables(database_url, ""))


def judge(database: Database, job_id: int, kind: VerdictKind, reason: RejectionReason | None = None) -> None:
    """Judge the only finding, and make the assessment due."""
    judge_finding(database, job_id, kind, reason)
    run(
        database, "UPDATE assessments SET next_attempt_at = node_now() - interval '1 s' WHERE state = 'queued'"
    )  # as if some seconds had passed


def deliver(database: Database) -> list[tuple[str, str]]:
    """Store everything that is due; return (destination, kind) in the order in which it becomes due."""
    done = []
    while due := delivery_leases.claim_deliveries(database, sender="s", lease_s=60, limit=1):
        record_stored(database, due[0], status=0)
        done.append((due[0].destination, due[0].kind))
    return done


def assessment(runtime: ChildRuntime, number: int) -> Dataset:
    """Return an assessment as it was stored; it passes the check."""
    return stored_object(runtime, f"WHERE kind = 'assessment' ORDER BY id OFFSET {number - 1}")


def make(runtime: ChildRuntime) -> int:
    """Make every assessment that is due; return how many."""
    count = 0
    while make_next_assessment(runtime.settings, runtime.database, runtime.blobs):
        count += 1
    return count


def test_from_verdict_to_delivery(runtime: ChildRuntime, factory: JobFactory) -> None:
    database = runtime.database
    job_id, _ = factory.photograph(1, destinations=("pacs", "clinic"))
    wake_up.handle_wake_up(runtime)
    assert make(runtime) == 0, "nobody has judged"
    judge(database, job_id, VerdictKind.ACCEPTED)
    assert make(runtime) == 1
    assert make(runtime) == 0, "once"
    # The report is stored first, whatever the order of the rows.
    assert [sent for sent in deliver(database) if sent[0] == "pacs"] == [("pacs", "sr"), ("pacs", "assessment")]
    assert scalar(database, "SELECT state FROM jobs") == "delivered"
    first = assessment(runtime, 1)
    sr = runtime.blobs.read(str(scalar(database, "SELECT sha256 FROM reports WHERE kind = 'sr' AND profile = 'sr'")))
    tracked = {str(element.value) for element in first.iterall() if element.keyword == "UID"}
    assert {uid for _, uid in read_tracking(sr).values()} <= tracked
    assert dcmread(io.BytesIO(sr)).SOPInstanceUID in str(first)

    judge(database, job_id, VerdictKind.REJECTED, RejectionReason.ARTIFACT)
    expired = claim_assessment(database, lease_s=-1)  # of a worker that was killed
    assert expired is not None
    assert make(runtime) == 1
    second = assessment(runtime, 2)
    (study,) = second.PredecessorDocumentsSequence
    assert study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == first.SOPInstanceUID
    assert deliver(database) == [("pacs", "assessment")]
    assert scalar(database, "SELECT state FROM jobs") == "delivered"
    with pytest.raises(Exception, match="not leased to this attempt"):
        record_failed_assessment(database, expired, error="late", retry_in_s=None)
    events = rows(database, "SELECT actor, subject FROM audit_events WHERE action = 'assessment.reported'")
    assert events == [("worker", f"job:{job_id}")] * 2

    # Without the file of the images patient and study come from the database; without a report there is nothing to refer to.
    judge(database, job_id, VerdictKind.ACCEPTED)
    run(database, "UPDATE reports SET problems = '{damaged}' WHERE kind = 'sr'")
    assert make(runtime) == 1
    assert rows(database, "SELECT state FROM assessments ORDER BY id DESC LIMIT 1") == [("failed",)]
    run(database, "UPDATE reports SET problems = '{}' WHERE kind = 'sr'")
    judge(database, job_id, VerdictKind.ACCEPTED)
    for (sha256,) in rows(database, "SELECT sha256 FROM instances"):
        runtime.blobs.path(str(sha256)).unlink()
    assert make(runtime) == 1
    assert assessment(runtime, 3).StudyInstanceUID == first.StudyInstanceUID


def test_an_assessment_that_is_late_does_not_replace_a_later_one(runtime: ChildRuntime, factory: JobFactory) -> None:
    """A worker was slow or lost while another one made the next assessment: the PACS must not get the earlier verdicts last."""
    database = runtime.database
    job_id, _ = factory.photograph(1, destinations=("pacs",))
    wake_up.handle_wake_up(runtime)
    deliver(database)
    judge(database, job_id, VerdictKind.ACCEPTED)
    slow = claim_assessment(database, lease_s=600)
    assert slow is not None
    judge(database, job_id, VerdictKind.REJECTED, RejectionReason.ARTIFACT)
    assert make(runtime) == 1
    commit_assessment(database, slow, ())
    assert rows(database, "SELECT number, state FROM assessments ORDER BY number") == [(1, "superseded"), (2, "done")]
    assert deliver(database) == [("pacs", "assessment")]
    assert scalar(database, "SELECT count(*) FROM audit_events WHERE action = 'assessment.reported'") == 1

    judge(database, job_id, VerdictKind.ACCEPTED)
    failing = claim_assessment(database, lease_s=600)
    assert failing is not None
    judge(database, job_id, VerdictKind.REJECTED, RejectionReason.OTHER)
    record_failed_assessment(database, failing, error="the store does not answer", retry_in_s=0.0)
    assert make(runtime) == 1
    assert rows(database, "SELECT number, state FROM assessments WHERE number > 2 ORDER BY number") == [(3, "superseded"), (4, "done")]


def test_no_assessment_goes_where_the_report_was_given_up(runtime: ChildRuntime, factory: JobFactory) -> None:
    """Also where a person gives the report up while the assessment is made: it would wait for the report for ever."""
    database = runtime.database
    job_id, _ = factory.photograph(1, destinations=("pacs",))
    wake_up.handle_wake_up(runtime)
    report = int(str(scalar(database, "SELECT delivery_id FROM v_deliveries WHERE object = 'sr'")))

    def give_up_report() -> None:
        run(database, f"UPDATE deliveries SET state = 'failed' WHERE id = {report}")
        assert give_up_deliveries(database, [report], actor="cli:ann", reason="a test").named == (report,)

    give_up_report()
    judge(database, job_id, VerdictKind.ACCEPTED)
    assert make(runtime) == 1
    assert scalar(database, "SELECT count(*) FROM reports WHERE kind = 'assessment'") == 1, "the console shows it"
    assert deliver(database) == []
    assert retry_deliveries(database, [report], "cli:ann") == [report]
    judge(database, job_id, VerdictKind.REJECTED, RejectionReason.OTHER)
    claimed = claim_assessment(database, lease_s=600)
    assert claimed is not None
    assert [one.destinations for one in claimed.reports] == [("pacs",)]
    give_up_report()
    made = ResultObject(ResultKind.ASSESSMENT, "assessment.2", claimed.reports[0].uids[0], "2.25.7", "2.25.8", b"")
    commit_assessment(database, claimed, (StoredAssessment(made, runtime.blobs.put(b"made"), ("pacs",)),))
    assert scalar(database, "SELECT count(*) FROM v_deliveries WHERE object = 'assessment'") == 0
