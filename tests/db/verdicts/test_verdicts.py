"""Verdicts in the database: append-only, superseding, audited, with what the reader had seen."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.exc import DBAPIError

from core.policy.verdicts import MarkedPlace, RejectionReason, VerdictDraft, VerdictKind, VerdictRefused
from core.states import Outcome
from db import audit
from db.engine import Database
from db.operations.model_performance import read_performance
from db.operations.results_export import export_findings
from db.verdicts.labelled_images import labelled_images
from db.verdicts.result_state import SeenResult
from db.verdicts.result_verdicts import read_verdicts
from db.verdicts.verdicts import give_verdict
from tests.support.records import DIGEST, NODULE, Sender, claim, complete, finish, plan, rows, run, scalar

SEEN_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def job_id(database: Database) -> int:
    """A reported job with two findings on a series of two slices."""
    return reported(database, findings=2)


def reported(database: Database, *, findings: int) -> int:
    """Return the number of a reported job."""
    sender = Sender(database)
    for number in (1, 2):
        sender.send(number, rows=512, columns=512, pixel_spacing_mm=(0.5, 0.5))
    complete(database, plan())
    finish(database, job := claim(database), findings=findings)
    return job.id


def finding_ids(database: Database) -> list[int]:
    """Return the numbers of the findings."""
    return [int(str(id)) for (id,) in rows(database, "SELECT id FROM findings ORDER BY ordinal")]


def judge(database: Database, job_id: int, kind: VerdictKind, finding: int | None = None, *, seen: int = 1000, **parts: object) -> int:
    """Give a verdict as Dr Green, who had seen every verdict up to ``seen``."""
    draft = VerdictDraft(kind, finding, **parts)  # type: ignore[arg-type]
    return give_verdict(database, job_id, draft, user="green", seen=SeenResult(1, SEEN_AT, seen))


def mark_missed(database: Database, job_id: int, place: MarkedPlace) -> int:
    """Add a nodule that the model lacks."""
    return judge(database, job_id, VerdictKind.MISSED, label="nodule", code=NODULE, place=place, diameter_mm=5.0)


def test_a_later_verdict_supersedes_and_the_view_says_which_counts(database: Database, job_id: int) -> None:
    first, second = finding_ids(database)
    one = judge(database, job_id, VerdictKind.ACCEPTED, first)
    two = judge(database, job_id, VerdictKind.REJECTED, first, reason=RejectionReason.ARTIFACT)
    other = judge(database, job_id, VerdictKind.CORRECTED, second, diameter_mm=9.0)
    columns = "verdict_id, current, supersedes, verdict, reason, user_name, seen_revision, seen_at, finding, model, model_version, ordinal"
    assert rows(database, f"SELECT {columns} FROM v_verdicts ORDER BY verdict_id") == [
        (one, False, None, "accepted", "", "green", 1, SEEN_AT, "nodule", "lung_nodule_ct", "1.0", 1),
        (two, True, one, "rejected", "artifact", "green", 1, SEEN_AT, "nodule", "lung_nodule_ct", "1.0", 1),
        (other, True, None, "corrected", "", "green", 1, SEEN_AT, "nodule", "lung_nodule_ct", "1.0", 2),
    ]
    events = rows(database, "SELECT actor, subject, details ->> 'verdict' FROM audit_events WHERE action = 'verdict.given' ORDER BY id")
    assert events == [("user:green", f"job:{job_id}", word) for word in ("accepted", "rejected", "corrected")]


@pytest.mark.parametrize("statement", ["UPDATE verdicts SET verdict = 'accepted'", "DELETE FROM verdicts", "TRUNCATE verdicts CASCADE"])
def test_a_verdict_cannot_be_changed_or_deleted(database: Database, job_id: int, statement: str) -> None:
    judge(database, job_id, VerdictKind.ACCEPTED, finding_ids(database)[0])
    with pytest.raises(DBAPIError, match="append-only"):
        run(database, statement)


def test_a_missed_finding_gets_its_position_from_the_image_and_can_be_taken_back(database: Database, job_id: int) -> None:
    id = mark_missed(database, job_id, MarkedPlace("1.2.3.4.2", (100.5, 40.5)))
    assert rows(database, "SELECT position_mm, corrected_code, finding FROM v_verdicts") == [([50.0, 20.0, 2.0], "SCT:27925004", None)]
    assert [row.id for row in read_verdicts(database, [job_id])[job_id].missed] == [id]
    judge(database, job_id, VerdictKind.RETRACTED, retracts=id)
    assert read_verdicts(database, [job_id])[job_id].missed == []
    assert rows(database, "SELECT current FROM v_verdicts") == [(False,), (False,)]
    with pytest.raises(VerdictRefused, match="taken back already"):
        judge(database, job_id, VerdictKind.RETRACTED, retracts=id)


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (MarkedPlace("1.2.9", (1.0, 1.0)), "none of those"),
        (MarkedPlace("1.2.3.4.1", (513.0, 1.0)), "outside of the image"),
        (MarkedPlace("1.2.3.4.1", (1.0, 1.0), frame=2), "1 frames"),
    ],
)
def test_a_place_outside_of_the_images_is_refused(database: Database, job_id: int, place: MarkedPlace, expected: str) -> None:
    with pytest.raises(VerdictRefused, match=expected):
        mark_missed(database, job_id, place)
    assert scalar(database, "SELECT count(*) FROM verdicts") == 0


def test_a_verdict_on_what_somebody_else_has_judged_meanwhile_is_refused(database: Database, job_id: int) -> None:
    first, second = finding_ids(database)
    judge(database, job_id, VerdictKind.ACCEPTED, first)
    with pytest.raises(VerdictRefused, match="since you opened the page"):
        judge(database, job_id, VerdictKind.REJECTED, first, seen=0, reason=RejectionReason.OTHER)
    judge(database, job_id, VerdictKind.ACCEPTED, second, seen=0)


def test_a_verdict_on_a_replaced_result_is_refused(database: Database, job_id: int) -> None:
    run(database, "UPDATE jobs SET state = 'superseded'")
    with pytest.raises(VerdictRefused, match="newer result has replaced"):
        judge(database, job_id, VerdictKind.ACCEPTED, finding_ids(database)[0])
    with pytest.raises(VerdictRefused, match="no result to judge"):
        judge(database, 999999, VerdictKind.ACCEPTED)


def test_a_result_without_findings_is_accepted_as_a_whole_until_a_missed_finding_is_added(database: Database) -> None:
    job_id = reported(database, findings=0)
    assert scalar(database, "SELECT outcome FROM jobs") == Outcome.NO_FINDING
    whole = judge(database, job_id, VerdictKind.ACCEPTED)
    assert read_verdicts(database, [job_id])[job_id].judged([])
    mark_missed(database, job_id, MarkedPlace("1.2.3.4.1", (9.5, 9.5)))
    assert rows(database, "SELECT verdict, supersedes FROM verdicts ORDER BY id") == [("accepted", None), ("missed", whole)]


def test_a_result_with_a_missed_finding_is_not_accepted_as_complete(database: Database) -> None:
    job_id = reported(database, findings=0)
    missed = mark_missed(database, job_id, MarkedPlace("1.2.3.4.1", (9.5, 9.5)))
    with pytest.raises(VerdictRefused, match="since you opened the page"):
        judge(database, job_id, VerdictKind.ACCEPTED, seen=missed - 1)
    with pytest.raises(VerdictRefused, match="has a missed finding"):
        judge(database, job_id, VerdictKind.ACCEPTED)
    judge(database, job_id, VerdictKind.RETRACTED, retracts=missed)
    judge(database, job_id, VerdictKind.ACCEPTED)


@pytest.mark.parametrize(
    ("outcome", "expected"), [(Outcome.NOT_ANALYSED, "no model has analysed the images"), (Outcome.ABSTAINED, "the model abstained")]
)
def test_without_an_answer_nothing_is_accepted_and_nothing_missed_and_what_was_added_before_is_kept(
    database: Database, outcome: Outcome, expected: str
) -> None:
    """Both would count as a judgement on images that no model has answered to."""
    job_id = reported(database, findings=0)
    run(database, f"UPDATE jobs SET outcome = '{outcome}'")
    with pytest.raises(VerdictRefused, match=expected):
        judge(database, job_id, VerdictKind.ACCEPTED)
    place = MarkedPlace("1.2.3.4.1", (9.5, 9.5))
    with pytest.raises(VerdictRefused, match=expected) as refused:
        mark_missed(database, job_id, place)
    assert "an operator can have the images analysed again" in refused.value.hint
    assert scalar(database, "SELECT count(*) FROM verdicts") == 0
    run(database, "UPDATE jobs SET outcome = 'no_finding'")
    missed = mark_missed(database, job_id, place)
    run(database, f"UPDATE jobs SET outcome = '{outcome}'")
    assert [row.id for row in read_verdicts(database, [job_id])[job_id].missed] == [missed]
    (version,) = read_performance(database, "lung_nodule_ct", DIGEST).by_version
    assert (version.missed, version.results) == (0, 1), "it is no miss of the model"
    judge(database, job_id, VerdictKind.RETRACTED, retracts=missed)
    assert read_verdicts(database, [job_id])[job_id].missed == []


def test_an_assessment_is_asked_for_once_everything_is_judged_and_after_each_later_change(database: Database, job_id: int) -> None:
    first, second = finding_ids(database)
    judge(database, job_id, VerdictKind.ACCEPTED, first)
    assert scalar(database, "SELECT count(*) FROM assessments") == 0
    two = judge(database, job_id, VerdictKind.ACCEPTED, second)
    three = judge(database, job_id, VerdictKind.REJECTED, second, reason=RejectionReason.DUPLICATE)
    expected = [(1, "superseded", two), (2, "queued", three)]
    assert rows(database, "SELECT number, state, last_verdict_id FROM assessments ORDER BY number") == expected


def test_the_export_has_the_verdict_of_each_finding_and_a_row_for_a_missed_one(database: Database, job_id: int) -> None:
    judge(database, job_id, VerdictKind.REJECTED, finding_ids(database)[0], reason=RejectionReason.ARTIFACT)
    mark_missed(database, job_id, MarkedPlace("1.2.3.4.2", (100.5, 40.5)))
    found = {(row["verdict"] or {}).get("verdict"): row for row in export_findings(database)}
    assert found.keys() == {"rejected", "missed", None}
    given = found["rejected"]["verdict"]
    assert (given["reason"], given["user"], given["seen_revision"]) == ("artifact", "green", 1)
    added = found["missed"]
    assert (added["finding"], added["finding_code"], added["probability"], added["job_id"]) == ("nodule", "SCT:27925004", None, job_id)
    assert added["measurements"]["position_mm"] == [50.0, 20.0, 2.0]


def test_the_chain_over_verdicts_verifies(database: Database, job_id: int) -> None:
    judge(database, job_id, VerdictKind.ACCEPTED, finding_ids(database)[0])
    while audit.chain(database):
        pass
    assert audit.verify(database).broken is None


def test_an_image_of_the_training_has_the_class_that_the_clinician_gave_or_left(database: Database) -> None:
    """A correction of position or size leaves the class; a rejected finding has none."""
    Sender(database).send(1, rows=512, columns=512, pixel_spacing_mm=(0.5, 0.5))
    complete(database, plan())
    finish(database, job := claim(database), findings=1)
    (finding,) = finding_ids(database)
    assert labelled_images(database, "lung_nodule_ct") == []
    judge(database, job.id, VerdictKind.ACCEPTED, finding)
    assert [image.label for image in labelled_images(database, "lung_nodule_ct")] == ["nodule"]
    judge(database, job.id, VerdictKind.CORRECTED, finding, diameter_mm=9.0)
    assert [image.label for image in labelled_images(database, "lung_nodule_ct")] == ["nodule"]
    judge(database, job.id, VerdictKind.CORRECTED, finding, label="mass", code=NODULE)
    assert [image.label for image in labelled_images(database, "lung_nodule_ct")] == ["mass"]
    judge(database, job.id, VerdictKind.REJECTED, finding, reason=RejectionReason.OTHER)
    assert labelled_images(database, "lung_nodule_ct") == []


def test_an_image_that_was_received_twice_has_one_label_and_none_where_a_later_verdict_contradicts(database: Database) -> None:
    """It was listed twice under one file name, once with each label, and a rejection in the newer result did not count."""
    jobs = []
    for number, study in ((1, "1.2.3"), (2, "1.2.4")):
        Sender(database).send(number, content="the same bytes", study=study, series=f"{study}.1")
        complete(database, plan(), study=study)
        finish(database, job := claim(database), findings=1)
        jobs.append(job.id)
    first, second = (int(str(id)) for (id,) in rows(database, "SELECT id FROM findings ORDER BY id"))
    judge(database, jobs[0], VerdictKind.ACCEPTED, first)
    judge(database, jobs[1], VerdictKind.CORRECTED, second, label="mass", code=NODULE)
    assert [image.label for image in labelled_images(database, "lung_nodule_ct")] == ["mass"]
    judge(database, jobs[1], VerdictKind.REJECTED, second, reason=RejectionReason.OTHER)
    assert labelled_images(database, "lung_nodule_ct") == []  # its finding says nodule, as the one accepted before
    judge(database, jobs[0], VerdictKind.CORRECTED, first, label="mass", code=NODULE)
    assert [image.label for image in labelled_images(database, "lung_nodule_ct")] == ["mass"]


def test_a_missed_finding_that_a_client_sends_again_is_one(database: Database, job_id: int) -> None:
    place, other = MarkedPlace("1.2.3.4.1", (100.5, 40.5)), MarkedPlace("1.2.3.4.1", (101.5, 40.5))
    first = mark_missed(database, job_id, place)
    assert mark_missed(database, job_id, place) == first
    assert mark_missed(database, job_id, other) != first, "another place"
    draft = VerdictDraft(VerdictKind.MISSED, label="nodule", code=NODULE, place=place, diameter_mm=5.0)
    later = SeenResult(1, SEEN_AT + timedelta(minutes=1), 1000)
    assert give_verdict(database, job_id, draft, user="brown", seen=later) != first, "of another clinician"
    judge(database, job_id, VerdictKind.RETRACTED, retracts=first)
    assert mark_missed(database, job_id, place) == first, "the same request, late: it was taken back since"
    again = give_verdict(database, job_id, draft, user="green", seen=later)
    assert again != first, "marked again after it was taken back"
    assert give_verdict(database, job_id, draft, user="green", seen=later) == again
    given = "SELECT verdict, count(*) FROM v_verdicts GROUP BY verdict ORDER BY verdict"
    assert rows(database, given) == [("missed", 4), ("retracted", 1)]
    assert scalar(database, "SELECT count(*) FROM audit_events WHERE action = 'verdict.given'") == 5
