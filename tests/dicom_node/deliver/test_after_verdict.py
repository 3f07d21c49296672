"""`release = "after_verdict"`: nothing is sent before a clinician has judged the result, and everything after it, once; with a real SCP."""

from dataclasses import replace

from pydicom.uid import Comprehensive3DSRStorage, SegmentationStorage

from core.policy.verdicts import WAITING_NOTE, VerdictDraft, VerdictKind
from core.settings.routes import Route
from core.settings.settings import Settings
from db.blobs.store import Blobs
from db.deliveries.delivery_admin import retry_deliveries
from db.engine import Database
from db.jobs.finish import commit_result
from db.jobs.job_records import JobPlan
from db.verdicts.result_state import SeenResult
from db.verdicts.verdicts import give_verdict
from dicom_node.conduct.job_plans import ServedVersion, ServedVersions, job_plans
from tests.dicom_node.conftest import MakeSettings
from tests.support import analyses
from tests.support.records import DIGEST, Sender, claim, complete, identity, prediction, rows, scalar, timings
from tests.support.records import run as execute
from tests.support.send_role import QUICK_RETRIES, destination, running_sender, wait_for
from tests.support.storage_scp import Pacs, running
from workers.attempt.assessment import make_next_assessment
from workers.results.pipeline import store_result_objects
from workers.results.recipients import Recipients

SEG, SR = str(SegmentationStorage), str(Comprehensive3DSRStorage)


def planned(release: str) -> JobPlan:
    """Return the plan that follows from a route with this release."""
    route = Route.model_validate(
        {"name": "chest CT", "model": "lung_nodule_ct", "destinations": ["pacs"], "release": release, "when": {"Modality": "CT"}}
    )
    (plan,), problems = job_plans([route], lambda _: ServedVersions(ServedVersion("1.0", DIGEST)))
    assert problems == []
    return plan


def report(database: Database, blobs: Blobs, settings: Settings, study: str, release: str) -> int:
    """Finish a job with a segmentation and its report for ``pacs``; return its number."""
    Sender(database).send(1, study=study, series=f"{study}.4")
    complete(database, planned(release), study=study)
    job = claim(database)
    given = settings.result_profiles
    kept = store_result_objects(job, replace(analyses.masked_ct(), key=job.key), Recipients(("pacs",), profiles=given), blobs)
    found = replace(prediction().findings[0], sop_instance_uid=f"{study}.4.1")
    commit_result(database, job, prediction=replace(prediction(), findings=(found,)), identity=identity(), objects=kept, timings=timings())
    return job.id


def states(database: Database, job_id: int) -> list[tuple[object, ...]]:
    """Return (kind, state, note) of the deliveries of a job."""
    query = "SELECT r.kind, d.state, d.note FROM deliveries d JOIN reports r ON r.id = d.report_id"
    return rows(database, f"{query} WHERE d.job_id = {job_id} ORDER BY d.id")


def test_nothing_is_sent_before_the_verdict_and_everything_once_after_it(
    database: Database, blobs: Blobs, make_settings: MakeSettings
) -> None:
    pacs = Pacs()
    with running(pacs, classes=(SEG, SR)):
        viewer = destination(pacs.port) | {"objects": ["sr", "seg", "assessment"]}
        settings = make_settings(destinations=[viewer], delivery=QUICK_RETRIES)
        waiting = report(database, blobs, settings, "1.2.3", "after_verdict")
        other = report(database, blobs, settings, "1.2.9", "at_once")
        held = [("seg", "held", WAITING_NOTE), ("sr", "held", WAITING_NOTE)]
        assert states(database, waiting) == held
        ids = [int(str(id)) for (id,) in rows(database, f"SELECT id FROM deliveries WHERE job_id = {waiting}")]
        assert retry_deliveries(database, ids, "operator") == []
        with running_sender(settings, database, blobs):
            wait_for(lambda: scalar(database, f"SELECT state FROM jobs WHERE id = {other}") == "delivered")
        assert [str(one.SOPClassUID) for one in pacs.stored.values()] == [SEG, SR], "of the other result, which did not wait"
        with running_sender(settings, database, blobs):  # after a restart
            assert states(database, waiting) == held
            finding = int(str(scalar(database, f"SELECT id FROM findings WHERE job_id = {waiting}")))
            draft, seen = VerdictDraft(VerdictKind.ACCEPTED, finding), SeenResult(1, database.now())
            give_verdict(database, waiting, draft, user="green", seen=seen, takes_assessment=["pacs"])
            execute(database, "UPDATE assessments SET next_attempt_at = node_now() - interval '1 s'")
            assert make_next_assessment(settings, database, blobs)
            wait_for(lambda: {state for _, state, _ in states(database, waiting)} == {"stored"})
            wait_for(lambda: scalar(database, f"SELECT state FROM jobs WHERE id = {waiting}") == "delivered")
    assert [str(one.SOPClassUID) for one in list(pacs.stored.values())[2:]] == [SEG, SR, SR]
    assert list(pacs.stored.values())[-1].SeriesDescription == "AI lung nodules: assessment (research)"
    assert pacs.calls == len(pacs.stored) == 5, "each object once"
    released = rows(database, "SELECT job_id, actor, cause, destinations, deliveries FROM result_releases")
    assert released == [(waiting, "user:green", "verdicts", ["pacs"], 2)]


def test_a_destination_that_another_route_serves_at_once_does_not_wait() -> None:
    routes = [
        Route.model_validate({"name": name, "model": "m", "destinations": names, "release": release, "when": {"Modality": "CT"}})
        for name, names, release in (("a", ["pacs", "ris"], "after_verdict"), ("b", ["ris"], "at_once"))
    ]
    shadow = ServedVersion("2", "e" * 64)
    plan, trial = job_plans(routes, lambda _: ServedVersions(ServedVersion("1", DIGEST), (shadow,)))[0]
    assert (plan.destinations, plan.awaiting_verdict) == (("pacs", "ris"), ("pacs",))
    assert trial.awaiting_verdict == ()
