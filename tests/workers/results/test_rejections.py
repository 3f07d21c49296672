"""A new result names the old report as predecessor and rejects the other old objects at destinations that take rejections."""

import io
import subprocess
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sr.codedict import Collection

from core.concepts import codes
from core.errors import ConfigurationError
from core.settings.settings import Settings
from core.states import ResultKind, UnitKind
from db.complete.content_conflicts import list_undecided, settle_conflict
from db.deliveries import delivery_leases
from db.deliveries.delivery_results import record_stored, retry_delivery_later
from db.engine import Database
from db.jobs.job_admin import show_job
from db.operations.results_export import export_findings
from deploy.demo.synthetic.lesion import lesion_dataset
from deploy.settings_file import load_settings
from imaging.headers.own_objects import made_by_dicom_node
from tests.support import analyses
from tests.support.external_programs import tool
from tests.support.queued_jobs import JobFactory, configure, server_url_variables
from tests.support.records import run as execute
from tests.support.records import scalar
from tests.workers.conftest import UNHURRIED
from workers.attempt import wake_up
from workers.child.runtime import ChildRuntime
from workers.encode.objects import rejection
from workers.encode.validate.validator import validate

SEG, PDF = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.104.1"


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    configure(tmp_path, database_url, **UNHURRIED)
    path = tmp_path / "node.toml"
    text = path.read_text().replace('name = "pacs"\n', 'name = "pacs"\nobjects = ["sr", "seg", "heatmap"]\niocm = true\n', 1)
    path.write_text(text.replace('name = "clinic"\n', 'name = "clinic"\nobjects = ["sr", "heatmap"]\naccept_research = true\n', 1))
    return load_settings(path, server_url_variables(database_url, ""))


def deliver(database: Database, *, kinds: tuple[str, ...] | None = None) -> list[tuple[str, str]]:
    """Store everything that is due (of these kinds), in the order in which it becomes due: (destination, kind)."""
    done = []
    while due := delivery_leases.claim_deliveries(database, sender="s", lease_s=60, limit=50):
        for one in due:
            if kinds is None or one.kind in kinds:
                record_stored(database, one, status=0)
                done.append((one.destination, one.kind))
            else:
                retry_delivery_later(database, one, error="the archive is busy", in_s=3600)
    return done


def received_again(runtime: ChildRuntime, factory: JobFactory, description: str) -> int:
    """The photograph of seed 1 comes again with other content: a new revision; its job."""
    dataset = lesion_dataset(1, size=(150, 200))
    dataset.StudyDescription = description
    factory.receive(dataset, UnitKind.IMAGE)
    (question,) = list_undecided(runtime.database, 10)
    settle_conflict(runtime.database, question.id, same=False)
    job_id, _ = factory.queue([dataset], UnitKind.IMAGE, destinations=("pacs", "clinic"))
    return job_id


def changed(runtime: ChildRuntime, factory: JobFactory, description: str) -> int:
    """The same, analysed."""
    job_id = received_again(runtime, factory, description)
    assert wake_up.handle_wake_up(runtime) == 1
    return job_id


def rejections(runtime: ChildRuntime, job_id: int) -> list[Dataset]:
    shown = show_job(runtime.database, job_id)["reports"]
    kept = [runtime.blobs.read(row["sha256"]) for row in shown if row["kind"] == ResultKind.REJECTION]
    assert all(not row["problems"] for row in shown)
    return [dcmread(io.BytesIO(content)) for content in kept]


def listed(document: Dataset) -> set[str]:
    """What the rejection lists in its evidence, which is what its content refers to."""
    (study,) = document.CurrentRequestedProcedureEvidenceSequence
    evidence = {str(item.ReferencedSOPInstanceUID) for series in study.ReferencedSeriesSequence for item in series.ReferencedSOPSequence}
    items = [item for item in document.ContentSequence if "ReferencedSOPSequence" in item]
    assert evidence == {str(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID) for item in items}
    return evidence


def uids(runtime: ChildRuntime, job_id: int, *, without: tuple[str, ...] = ("sr", "rejection")) -> set[str]:
    return {row["sop_instance_uid"] for row in show_job(runtime.database, job_id)["reports"] if row["kind"] not in without}


def test_stored_objects_are_rejected_at_destinations_that_take_rejections(runtime: ChildRuntime, factory: JobFactory) -> None:
    first, _ = factory.photograph(1, destinations=("pacs", "clinic"))
    wake_up.handle_wake_up(runtime)
    assert rejections(runtime, first) == []
    assert ("pacs", "heatmap") in deliver(runtime.database)
    second = changed(runtime, factory, "corrected")
    (document,) = rejections(runtime, second)
    assert listed(document) == uids(runtime, first)
    assert document.StudyInstanceUID == lesion_dataset(1, size=(150, 200)).StudyInstanceUID
    assert document.ConceptNameCodeSequence[0].CodeValue == "113001"
    assert made_by_dicom_node(document)
    sent = deliver(runtime.database)
    assert [kind for name, kind in sent if name == "pacs"][-2:] == ["sr", "rejection"]
    assert ("clinic", "rejection") not in sent
    assert ("clinic", "heatmap") in sent
    rows = [(row["revision"], row["job_state"]) for row in export_findings(runtime.database)]
    assert set(rows) == {(1, "superseded"), (2, "delivered")}
    third = changed(runtime, factory, "corrected again")
    (document,) = rejections(runtime, third)
    assert listed(document) == uids(runtime, second)  # the first one's are rejected already, and a rejection stays


def test_an_undelivered_rejection_is_included_in_the_next(runtime: ChildRuntime, factory: JobFactory) -> None:
    first, _ = factory.photograph(1, destinations=("pacs",))
    wake_up.handle_wake_up(runtime)
    deliver(runtime.database)
    second = changed(runtime, factory, "corrected")
    assert "rejection" not in {kind for _, kind in deliver(runtime.database, kinds=("sr", "seg", "heatmap"))}
    third = changed(runtime, factory, "corrected again")
    (document,) = rejections(runtime, third)
    assert listed(document) == uids(runtime, first) | uids(runtime, second)


def test_objects_that_were_not_stored_are_withdrawn_and_not_rejected(runtime: ChildRuntime, factory: JobFactory) -> None:
    first, _ = factory.photograph(1, destinations=("pacs", "clinic"))
    wake_up.handle_wake_up(runtime)
    assert {kind for _, kind in deliver(runtime.database, kinds=("seg",))} == {"seg"}
    second = changed(runtime, factory, "corrected")
    (document,) = rejections(runtime, second)
    assert listed(document) == uids(runtime, first, without=("sr", "heatmap"))
    states = {(row["object"], row["state"]) for row in show_job(runtime.database, first)["deliveries"]}
    assert states == {("seg", "stored"), ("heatmap", "withdrawn"), ("sr", "withdrawn")}


def test_a_rejection_waits_for_the_new_report(runtime: ChildRuntime, factory: JobFactory) -> None:
    factory.photograph(1, destinations=("pacs",))
    wake_up.handle_wake_up(runtime)
    deliver(runtime.database)
    changed(runtime, factory, "corrected")
    assert {kind for name, kind in deliver(runtime.database, kinds=("seg", "heatmap")) if name == "pacs"} == {"seg", "heatmap"}
    assert scalar(runtime.database, "SELECT attempts FROM v_deliveries WHERE object = 'rejection'") == 0


def test_a_not_analysed_report_rejects_the_older_objects_too(runtime: ChildRuntime, factory: JobFactory) -> None:
    first, _ = factory.photograph(1, destinations=("pacs", "clinic"))
    wake_up.handle_wake_up(runtime)
    deliver(runtime.database)
    second = received_again(runtime, factory, "corrected")
    execute(runtime.database, f"UPDATE jobs SET pipeline_digest = '{'e' * 64}' WHERE id = {second}")
    wake_up.handle_wake_up(runtime)
    assert show_job(runtime.database, second)["outcome"] == "not_analysed"
    (document,) = rejections(runtime, second)
    assert listed(document) == uids(runtime, first)
    assert scalar(runtime.database, "SELECT count(*) FROM v_deliveries WHERE object = 'rejection'") == 1


def test_external_validators_accept_a_rejection(tmp_path: Path) -> None:
    for name, analysis in analyses.shapes().items():
        made = rejection.encode(analysis, analyses.OUTDATED, destination="pacs")
        assert made.content == rejection.encode(analysis, analyses.OUTDATED, destination="pacs").content
        assert validate(made.content, within=[item.sop_instance_uid for item in analyses.OUTDATED]) == ()
        assert validate(made.content, within=["2.25.71"]) != ()
        path = tmp_path / f"{name}.dcm"
        path.write_bytes(made.content)
        done = subprocess.run([tool("dciodvfy", "dicom3tools"), str(path)], capture_output=True, text=True, check=False)
        assert not [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]
    dump = subprocess.run([tool("dsrdump", "dcmtk"), str(path)], capture_output=True, text=True, errors="replace", check=True)
    assert "Rejected for Quality Reasons" in dump.stdout


def test_the_document_title_is_one_of_cid_7010() -> None:
    assert codes.REJECTED.value in {concept.value for concept in Collection("CID7010").concepts.values()}


def test_a_rejection_cannot_be_part_of_a_profile(tmp_path: Path, database_url: str) -> None:
    configure(tmp_path, database_url)
    path = tmp_path / "node.toml"
    path.write_text(path.read_text().replace('name = "pacs"\n', 'name = "pacs"\nobjects = ["sr", "rejection"]\n', 1))
    with pytest.raises(ConfigurationError, match="iocm = true"):
        load_settings(path, {})
