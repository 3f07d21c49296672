"""The cases of a trial as they are read: both answers, and what the verdicts of clinicians say is there."""

from core.policy.trial.cases import TrialCase, TrialMark
from core.policy.verdicts import MarkedPlace, RejectionReason, VerdictDraft, VerdictKind
from core.records import Code, Prediction
from core.states import JobState, Outcome
from db.engine import Database
from db.jobs.finish import commit_result
from db.jobs.job_records import Timings
from db.trial.cases import read_cases
from db.trial.shadow_jobs import queue_shadow_job, shadow_plan
from db.verdicts.result_state import SeenResult
from db.verdicts.verdicts import give_verdict
from tests.support.records import (
    Sender,
    claim,
    complete,
    identity,
    plan,
    prediction,
    report_study,
    run,
    scalar,
    timings,
    unit_of,
)

NEW = identity("e" * 64)
MARK = TrialMark("nodule", (1.0, 2.0, 3.0), 6.5, 0.9)


def read(database: Database) -> TrialCase:
    (case,) = read_cases(database, [unit_of(database).id], model=NEW.name, digest=NEW.digest)
    return case


def decide(database: Database, job: int, draft: VerdictDraft) -> None:
    give_verdict(database, job, draft, user="green", seen=SeenResult(1, database.now(), 1000))


def findings(database: Database) -> list[int]:
    return list(scalar(database, "SELECT array_agg(id ORDER BY id) FROM findings"))  # type: ignore[call-overload]


def test_both_answers_are_those_of_the_present_revision(database: Database) -> None:
    job = report_study(database)
    unit = unit_of(database)
    assert read(database).candidate is None
    shadow = queue_shadow_job(database, unit.id, unit.revision, shadow_plan(NEW.name, "2.0", NEW.digest, ("chest CT",)), actor="eve")
    waiting = read(database).candidate
    assert waiting is not None
    assert (waiting.job_id, waiting.state, waiting.outcome) == (shadow, JobState.QUEUED, None)
    now = timings()
    measured = Timings(now.started_at, now.inferred_at, 0.25, 0.5, 0.1, 812)
    commit_result(database, claim(database), prediction=prediction(0), identity=NEW, objects=(), timings=measured, scanner="ACME One")
    case = read(database)
    assert case.candidate is not None
    assert case.reported is not None
    assert (case.candidate.job_id, case.candidate.outcome, case.candidate.marks) == (shadow, Outcome.NO_FINDING, ())
    assert (case.candidate.prepare_s, case.candidate.infer_s, case.candidate.memory_mib) == (0.25, 0.5, 812)
    assert (case.reported.job_id, case.reported.marks, case.reference) == (job, (MARK,), None)
    assert case.attributes["scanner"] == "ACME One"
    run(database, "UPDATE instances SET removed_at = node_now()")
    assert read(database).images_removed
    run(database, "UPDATE units SET revision = revision + 1")
    assert (read(database).candidate, read(database).reported) == (None, None)


def test_verdicts_say_what_is_there(database: Database) -> None:
    job = report_study(database, findings=3)
    first, second, third = findings(database)
    decide(database, job, VerdictDraft(VerdictKind.ACCEPTED, first))
    reference = read(database).reference
    assert reference is not None
    assert (reference.present, reference.rejected, reference.whole) == ((TrialMark("nodule", (1.0, 2.0, 3.0), 6.5),), (), False)
    decide(database, job, VerdictDraft(VerdictKind.REJECTED, first, RejectionReason.ARTIFACT))  # the later one counts
    decide(database, job, VerdictDraft(VerdictKind.CORRECTED, second, label="mass", code=Code("4147007", "SCT", "Mass"), diameter_mm=9.0))
    decide(database, job, VerdictDraft(VerdictKind.ACCEPTED, third))
    place, code = MarkedPlace("1.2.3.4.1", (5.0, 6.0)), Code("27925004", "SCT", "Nodule")
    missed = VerdictDraft(VerdictKind.MISSED, label="nodule", code=code, place=place, diameter_mm=4.0)
    decide(database, job, missed)
    reference = read(database).reference
    assert reference is not None
    assert reference.rejected == (MARK,)
    assert [(mark.label, mark.diameter_mm) for mark in reference.present] == [("mass", 9.0), ("nodule", 6.5), ("nodule", 4.0)]
    assert reference.whole
    run(database, "UPDATE jobs SET state = 'superseded'")  # run again on another version: the decisions stay
    assert read(database).reference == reference
    assert read(database).reported is None


def test_an_accepted_result_without_findings_says_that_nothing_is_there(database: Database) -> None:
    job = report_study(database, findings=0)
    decide(database, job, VerdictDraft(VerdictKind.ACCEPTED))
    reference = read(database).reference
    assert reference is not None
    assert (reference.present, reference.whole) == ((), True)


def test_an_accepted_abstention_says_nothing_about_the_images(database: Database) -> None:
    """Such a verdict is refused now, and older databases have it. It counted as "nothing is there"."""
    Sender(database).send(1)
    (job,) = complete(database, plan()) or []
    abstained = Prediction(Outcome.ABSTAINED, reason="unlike the training images")
    commit_result(database, claim(database), prediction=abstained, identity=identity(), objects=(), timings=timings())
    given = f"{job}, 'accepted', 'green', 1, node_now()"
    run(database, f"INSERT INTO verdicts (job_id, verdict, user_name, seen_revision, seen_at) VALUES ({given})")
    reference = read(database).reference
    assert reference is not None
    assert (reference.present, reference.rejected, reference.whole) == ((), (), False)
    assert reference.label is None
