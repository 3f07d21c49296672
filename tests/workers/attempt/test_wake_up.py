"""Attempts from the wake-up to the committed result, on a real database, real blobs and a real model: one test for each way to end."""

import io
import os
from types import FrameType

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from pydicom import dcmread
from pydicom.dataset import Dataset

from core.errors import GeometryError
from core.states import JobState, Priority, UnitKind
from db.complete.content_conflicts import list_undecided, settle_conflict
from db.engine import Database
from db.jobs.claim import claim_jobs
from db.jobs.job_admin import show_job
from db.jobs.job_records import ClaimedJob
from deploy.demo.synthetic.chest import chest_datasets, make_chest
from deploy.demo.synthetic.lesion import lesion_dataset
from models import registry
from tests.support.queued_jobs import SKIN, JobFactory
from tests.support.records import run as execute
from tests.support.records import scalar
from tests.workers.conftest import alarm_handled, report_of, texts_of
from workers.attempt import prepare, wake_up
from workers.attempt.prefetch import Prefetch
from workers.child.runtime import ChildRuntime


def claimed(database: Database) -> ClaimedJob:
    (job,) = claim_jobs(database, worker="test:1", priorities=None, models=None, lease_s=30)
    return job


def test_photograph_becomes_a_report_findings_and_a_delivery(runtime: ChildRuntime, factory: JobFactory) -> None:
    job_id, _ = factory.photograph(1)
    assert wake_up.handle_wake_up(runtime) == 1
    shown = show_job(runtime.database, job_id)
    assert shown["job_state"] == JobState.REPORTED
    assert shown["outcome"] in {"findings", "abstained"}
    assert [(row["destination"], row["state"]) for row in shown["deliveries"]] == [("pacs", "pending")]
    report = report_of(runtime, job_id)
    source = lesion_dataset(1, size=(150, 200))
    assert (report.PatientID, report.StudyInstanceUID) == (source.PatientID, source.StudyInstanceUID)
    assert report.TimezoneOffsetFromUTC == "+0000"
    assert report.SeriesDescription.endswith(": report (research)")
    assert scalar(runtime.database, f"SELECT state FROM models WHERE digest = '{registry.pipeline_digest(SKIN)}'") == "active"
    assert wake_up.handle_wake_up(runtime) == 0


def test_one_wake_up_handles_all_due_jobs_urgent_first(runtime: ChildRuntime, factory: JobFactory) -> None:
    routine = [factory.photograph(seed)[0] for seed in (1, 2)]
    urgent, _ = factory.photograph(3, priority=Priority.URGENT)
    assert wake_up.handle_wake_up(runtime) == 3
    starts = {job_id: show_job(runtime.database, job_id)["attempts_made"][0]["started_at"] for job_id in (*routine, urgent)}
    assert min(starts, key=lambda job_id: starts[job_id]) == urgent


def test_an_image_that_is_no_colour_photograph_is_reported_as_not_analysed(runtime: ChildRuntime, factory: JobFactory) -> None:
    dataset = next(iter(chest_datasets(make_chest(1, slices=12, size=64, slice_mm=8.0, diameters_mm=()))))
    job_id, _ = factory.queue([dataset], UnitKind.IMAGE)
    wake_up.handle_wake_up(runtime)
    shown = show_job(runtime.database, job_id)
    assert (shown["job_state"], shown["outcome"]) == ("reported", "not_analysed")
    assert shown["reason"]
    report = report_of(runtime, job_id)
    assert shown["reason"] in texts_of(report)


def test_series_for_a_model_of_single_images_is_not_analysed(runtime: ChildRuntime, factory: JobFactory) -> None:
    job_id, _ = factory.queue([lesion_dataset(5, size=(150, 200))], UnitKind.SERIES)
    wake_up.handle_wake_up(runtime)
    shown = show_job(runtime.database, job_id)
    assert shown["outcome"] == "not_analysed"
    assert "takes one image" in shown["reason"]


def chest(seed: int, **changes: str) -> list[Dataset]:
    """Twelve slices; the last one with other values."""
    datasets = list(chest_datasets(make_chest(seed, slices=12, size=64, slice_mm=8.0, diameters_mm=())))
    for keyword, value in changes.items():
        setattr(datasets[-1], keyword, value)
    return datasets


@pytest.mark.parametrize(
    ("changes", "word"),
    [({"PatientID": "SOMEBODY-ELSE"}, "patient"), ({"AccessionNumber": "OTHER"}, "accession")],
    ids=["patient", "accession"],
)
def test_instances_that_disagree_are_not_analysed(runtime: ChildRuntime, factory: JobFactory, changes: dict[str, str], word: str) -> None:
    factory.queue(chest(1, **changes), UnitKind.SERIES, "lung_nodule_ct")
    with pytest.raises(GeometryError) as error:
        prepare.read_unit(runtime, claimed(runtime.database), registry.card("lung_nodule_ct"))
    assert word in str(error.value).lower()
    assert "SOMEBODY" not in str(error.value)


def test_whole_series_is_prepared_as_a_volume(runtime: ChildRuntime, factory: JobFactory) -> None:
    factory.queue(chest(2), UnitKind.SERIES, "lung_nodule_ct")
    volume = prepare.read_unit(runtime, claimed(runtime.database), registry.card("lung_nodule_ct"))
    assert getattr(volume, "frame_of_reference_uid", "")


def test_an_unknown_pipeline_fails_permanently_with_a_hint(runtime: ChildRuntime, factory: JobFactory) -> None:
    job_id, _ = factory.photograph(1, digest="e" * 64)
    wake_up.handle_wake_up(runtime)
    shown = show_job(runtime.database, job_id)
    assert shown["job_state"] == "failed"
    assert "same release" in shown["reason"]
    assert scalar(runtime.database, "SELECT count(*) FROM findings") == 0


@pytest.mark.parametrize("damage", ["missing", "altered"])
def test_a_missing_or_altered_blob_is_retried_and_then_quarantined(runtime: ChildRuntime, factory: JobFactory, damage: str) -> None:
    job_id, sha256 = factory.photograph(1)
    path = runtime.blobs.path(sha256)
    path.chmod(0o600)
    content = path.read_bytes()
    path.unlink()
    if damage == "altered":
        path.write_bytes(content[:-1] + b"\1")
    wake_up.handle_wake_up(runtime)
    shown = show_job(runtime.database, job_id)
    assert shown["job_state"] == "queued"
    for _ in range(2):
        execute(runtime.database, "UPDATE jobs SET next_attempt_at = node_now()")
        wake_up.handle_wake_up(runtime)
    shown = show_job(runtime.database, job_id)
    assert shown["job_state"] == "quarantined"
    assert ("altered" if damage == "altered" else "cannot be read") in shown["reason"]
    assert [row["kind"] for row in shown["attempts_made"]] == ["analysis"] * 3 + ["explanation"]
    assert shown["outcome"] == "not_analysed"


def test_research_results_go_only_to_destinations_that_accept_them(runtime: ChildRuntime, factory: JobFactory) -> None:
    both, _ = factory.photograph(1, destinations=("pacs", "clinic"))
    none, _ = factory.photograph(2, destinations=("clinic",))
    wake_up.handle_wake_up(runtime)
    shown = show_job(runtime.database, both)
    assert [row["destination"] for row in shown["deliveries"]] == ["pacs"]
    shown = show_job(runtime.database, none)
    assert (shown["job_state"], shown["deliveries"]) == ("delivered", [])
    assert any("accept_research" in note for note in shown["notes"])
    assert report_of(runtime, none).PatientID
    assert scalar(runtime.database, "SELECT count(*) FROM audit_events WHERE action = 'delivery.refused'") == 2


def test_destinations_with_different_predecessors_get_a_report_each(runtime: ChildRuntime, factory: JobFactory) -> None:
    old = lesion_dataset(1, size=(150, 200))
    factory.queue([old], UnitKind.IMAGE, destinations=("pacs", "other"))
    wake_up.handle_wake_up(runtime)
    execute(runtime.database, "UPDATE deliveries SET state = 'stored' WHERE destination = 'pacs'")
    first = str(scalar(runtime.database, "SELECT sop_instance_uid FROM reports"))
    series = str(scalar(runtime.database, "SELECT series_instance_uid FROM reports"))
    new = lesion_dataset(1, size=(150, 200))
    new.StudyDescription = "Changed"
    factory.receive(new, UnitKind.IMAGE)
    _decide_contents_differ(runtime.database)
    job_id = _complete_again(factory, new)
    wake_up.handle_wake_up(runtime)
    shown = show_job(runtime.database, job_id)
    assert sorted((row["destination"], row["state"]) for row in shown["deliveries"]) == [("other", "pending"), ("pacs", "pending")]
    query = "SELECT r.sha256 FROM reports r JOIN deliveries d ON d.report_id = r.id WHERE r.job_id = {} AND d.destination = '{}'"
    for_pacs = dcmread(io.BytesIO(runtime.blobs.read(str(scalar(runtime.database, query.format(job_id, "pacs"))))))
    for_other = dcmread(io.BytesIO(runtime.blobs.read(str(scalar(runtime.database, query.format(job_id, "other"))))))
    older = for_pacs.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]
    assert (older.SeriesInstanceUID, older.ReferencedSOPSequence[0].ReferencedSOPInstanceUID) == (series, first)
    assert "PredecessorDocumentsSequence" not in for_other
    assert for_pacs.SOPInstanceUID != for_other.SOPInstanceUID


def _decide_contents_differ(database: Database) -> None:
    """The two contents are different: decided as the conductor does."""

    for undecided in list_undecided(database, 10):
        settle_conflict(database, undecided.id, same=False)


def _complete_again(factory: JobFactory, dataset: Dataset) -> int:
    job_id, _ = factory.queue([dataset], UnitKind.IMAGE, destinations=("pacs", "other"))
    return job_id


def test_newer_revision_ends_an_attempt_without_result(runtime: ChildRuntime, factory: JobFactory) -> None:
    factory.queue([lesion_dataset(1, size=(150, 200))], UnitKind.SERIES)
    job = claimed(runtime.database)
    late = lesion_dataset(2, size=(150, 200))
    late.StudyInstanceUID, late.SeriesInstanceUID = job.study_instance_uid, job.series_instance_uid
    factory.receive(late, UnitKind.SERIES)
    wake_up.run_attempts(runtime, job, prefetch=Prefetch(runtime))
    assert [scalar(runtime.database, f"SELECT count(*) FROM {table}") for table in ("reports", "deliveries", "findings")] == [0, 0, 0]


def test_soft_time_limit_ends_the_attempt_in_order(runtime: ChildRuntime, factory: JobFactory) -> None:
    job_id, sha256 = factory.photograph(1)
    path = runtime.blobs.path(sha256)
    path.unlink()
    os.mkfifo(path)  # reading it waits for ever

    def over(_: int, frame: FrameType | None) -> None:
        while frame is not None:  # only while it reads: on a busy machine the model may still be loading
            if frame.f_code.co_name == "verify":
                raise SoftTimeLimitExceeded
            frame = frame.f_back

    with alarm_handled(over):
        wake_up.handle_wake_up(runtime)
    shown = show_job(runtime.database, job_id)
    assert shown["job_state"] == "queued"
    assert "soft_time_limit_s" in shown["attempts_made"][0]["error"]


def test_unknown_model_fails_permanently(runtime: ChildRuntime, factory: JobFactory) -> None:
    job_id, _ = factory.photograph(1)
    execute(runtime.database, "UPDATE jobs SET model = 'no_such_model'")
    wake_up.handle_wake_up(runtime)
    shown = show_job(runtime.database, job_id)
    assert shown["job_state"] == "failed"
    assert "no_such_model" in shown["reason"]


def test_a_model_retired_meanwhile_gives_no_result_and_is_not_retried(runtime: ChildRuntime, factory: JobFactory) -> None:
    job_id, _ = factory.photograph(1)
    runtime.models.load_serving(SKIN)
    runtime.models.register()
    execute(runtime.database, "UPDATE models SET state = 'retired'")
    wake_up.handle_wake_up(runtime)
    assert scalar(runtime.database, "SELECT count(*) FROM findings") == 0
    shown = show_job(runtime.database, job_id)
    assert (shown["job_state"], shown["attempts"], shown["outcome"]) == ("failed", 1, "not_analysed")
    assert "retired" in shown["reason"]
