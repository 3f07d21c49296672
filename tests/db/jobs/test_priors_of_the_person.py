"""Earlier results of the same Patient ID that are not surely of the same person: they are left out, and the reason is stored and said."""

from dataclasses import replace
from typing import Any

import pytest

from core.policy.priors.choice import PriorRule
from core.policy.priors.same_patient import IdentityDoubt
from core.policy.priors.sentences import nothing_earlier
from db.engine import Database
from db.jobs.finish import commit_result
from db.jobs.job_admin import show_job
from db.jobs.job_leases import fail_job, release_job
from db.operations.results_export import export_findings
from tests.db.jobs.test_prior_results import COMPARING, RULE, chosen, claimed_now, receive, report_earlier
from tests.support.records import claim, complete, identity, prediction, report, rows, run, timings

ANONYMOUS = {"patient_name": "ANON"}


@pytest.mark.parametrize("patient_id", ["ANON", "0", "UNKNOWN", "TEST"])
def test_two_persons_with_a_placeholder_are_never_compared(database: Database, patient_id: str) -> None:
    """Whatever else agrees: also name and birth date may be those of the placeholder."""
    whole: dict[str, Any] = {"patient_id": patient_id, "issuer_of_patient_id": "H", "patient_birth_date": "19600101"}
    report_earlier(database, 1, "20250601", **whole)
    job = claimed_now(database, **whole)
    assert (chosen(job), job.left_out) == ([], ((IdentityDoubt.PLACEHOLDER_ID, 0),))
    assert nothing_earlier(RULE, job.left_out) == (
        "Nothing was compared. Earlier results were not looked for: the Patient ID of the study is a placeholder, which several persons "
        "may have."
    )


@pytest.mark.parametrize(
    ("then", "now", "doubt"),
    [
        (ANONYMOUS, ANONYMOUS, IdentityDoubt.NOTHING_ELSE),
        ({"patient_birth_date": "19600101"}, {"patient_birth_date": "19700101"}, IdentityDoubt.BIRTH_DATE),
        ({"patient_sex": "F"}, {"patient_sex": "M"}, IdentityDoubt.SEX),
        ({"patient_name": "Roe^Richard"}, {}, IdentityDoubt.NAME),
        ({"issuer_of_patient_id": "HOSPITAL"}, {}, IdentityDoubt.ONE_ISSUER),
    ],
)
def test_what_is_not_surely_of_the_person_is_left_out_with_its_reason(
    database: Database, then: dict[str, str], now: dict[str, str], doubt: IdentityDoubt
) -> None:
    report_earlier(database, 1, "20250601", **then)
    job = claimed_now(database, **now)
    assert (chosen(job), job.left_out) == ([], ((doubt, 1),))


def test_the_results_of_another_issuer_are_of_another_person_and_are_not_counted(database: Database) -> None:
    report_earlier(database, 1, "20250601", issuer_of_patient_id="OTHER")
    job = claimed_now(database, issuer_of_patient_id="HOSPITAL")
    assert (chosen(job), job.left_out) == ([], ())


def test_only_what_the_rule_would_have_chosen_is_counted_once_for_each_study(database: Database) -> None:
    for number, date in ((1, "20250601"), (2, "20240601"), (3, "20190601")):
        report_earlier(database, number, date, patient_birth_date="19600101")
    report_earlier(database, 4, "20250701", patient_birth_date="19600101", modality="MR")
    same = report_earlier(database, 5, "20230601", patient_birth_date="19700101")
    job = claimed_now(database, patient_birth_date="19700101")
    assert (chosen(job), job.left_out) == ([same], ((IdentityDoubt.BIRTH_DATE, 2),)), "one is too old, another of MR"


def test_a_site_may_vouch_for_its_patient_ids(database: Database) -> None:
    """As for studies under pseudonyms, which have neither issuer nor birth date."""
    earlier = report_earlier(database, 1, "20250601", **ANONYMOUS)
    other = report_earlier(database, 2, "20240601", patient_sex="M", **ANONYMOUS)
    rule = PriorRule(2, 1825, ("Modality",), unique_ids=True)
    complete(database, replace(COMPARING, prior_rule=rule), study=receive(database, 100, patient_sex="F", **ANONYMOUS))
    job = claim(database)
    assert (job.prior_rule, chosen(job), job.left_out) == (rule, [earlier], ((IdentityDoubt.SEX, 1),))
    assert other not in chosen(job)


def test_every_attempt_says_the_same_and_one_that_is_given_back_forgets_it(database: Database) -> None:
    report_earlier(database, 1, "20250601", **ANONYMOUS)
    job = claimed_now(database, **ANONYMOUS)
    release_job(database, job)
    run(database, "UPDATE studies SET patient_name = 'Doe^Jane'")
    again = claim(database)
    assert (len(chosen(again)), again.left_out) == (1, ())
    fail_job(database, again, error="out of memory", permanent=False, retry_in_s=0.0, max_attempts=3)
    run(database, "UPDATE studies SET patient_name = 'ANON'")
    second = claim(database)
    assert (second.attempt, second.priors, second.left_out) == (2, again.priors, ())


def test_the_audit_trail_has_the_reason(database: Database) -> None:
    report_earlier(database, 1, "20250601", **ANONYMOUS)
    job = claimed_now(database, **ANONYMOUS)
    commit_result(database, job, prediction=prediction(), identity=identity(), objects=(report(job),), timings=timings())
    found = rows(
        database, f"SELECT details -> 'priors_left_out' FROM audit_events WHERE subject = 'job:{job.id}' AND action = 'job.reported'"
    )
    assert found == [({"nothing_else": 1},)]


def test_the_job_and_the_export_name_what_was_left_out(database: Database) -> None:
    earlier = [report_earlier(database, number, date, **ANONYMOUS) for number, date in ((1, "20250601"), (2, "20240601"))]
    job = claimed_now(database, **ANONYMOUS)
    commit_result(database, job, prediction=prediction(), identity=identity(), objects=(report(job),), timings=timings())
    said = "neither issuer, birth date nor full name shows that it is of the same person"
    named = [{"doubt": "nothing_else", "results": 2, "reason": said}]
    shown = show_job(database, job.id)
    assert (shown["priors_left_out"], "prior_rule" in shown) == (named, False)
    exported = {row["job_id"]: (row["priors"], row["priors_left_out"]) for row in export_findings(database)}
    assert exported == {earlier[0]: ([], []), earlier[1]: ([], []), job.id: ([], named)}
    assert show_job(database, earlier[0])["priors_left_out"] == []


def test_a_rule_that_was_stored_before_the_key_existed_is_read(database: Database) -> None:
    earlier = report_earlier(database, 1, "20250601")
    (job_id,) = complete(database, COMPARING, study=receive(database, 100)) or []
    run(database, f"UPDATE jobs SET prior_rule = prior_rule - 'unique_ids' WHERE id = {job_id}")
    job = claim(database)
    assert (job.prior_rule, chosen(job)) == (RULE, [earlier])
