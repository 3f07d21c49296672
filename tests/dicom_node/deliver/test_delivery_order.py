"""A report is sent after the objects that it names, and names no object that the destination refuses; with real objects and an SCP."""

from dataclasses import replace

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import Comprehensive3DSRStorage, EncapsulatedPDFStorage, SegmentationStorage

from core.settings.settings import Settings
from core.states import ResultKind
from db.blobs.store import Blobs
from db.commitment import destination_requests
from db.commitment.destination_reports import ResendPolicy, record_report
from db.deliveries import delivery_leases, delivery_order
from db.deliveries.delivery_admin import make_deliveries_due, retry_deliveries
from db.deliveries.delivery_results import fail_delivery, hold_delivery, record_stored, retry_delivery_later
from db.deliveries.resend import resend
from db.deliveries.resend_plan import ResendSelection, ResendTargets
from db.engine import Database
from db.jobs.finish import commit_result
from db.listings.deliveries import list_deliveries
from dicom_node.deliver import sender
from tests.dicom_node.conftest import MakeSettings
from tests.support import analyses
from tests.support.records import Sender, claim, complete, identity, plan, prediction, rows, scalar, timings
from tests.support.records import run as execute
from tests.support.send_role import QUICK_RETRIES, destination, running_sender, wait_for
from tests.support.storage_scp import Pacs, running
from workers.results.pipeline import store_result_objects
from workers.results.recipients import Recipients

CLASSES = (str(SegmentationStorage), str(EncapsulatedPDFStorage), str(Comprehensive3DSRStorage))
SEG, PDF, SR = CLASSES
NOT_NOW, NOT_THIS, NOT_SUPPORTED = 0xA700, 0xA900, 0x0122


@pytest.fixture(autouse=True)
def reap_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "REAP_EVERY_S", 0.2)


def settings_for(make_settings: MakeSettings, port: int, name: str = "pacs", **delivery: object) -> Settings:
    viewer = destination(port, name) | {"objects": ["sr", "seg", "pdf"]}
    return make_settings(destinations=[viewer], delivery=QUICK_RETRIES | delivery)


@pytest.fixture
def result(database: Database, blobs: Blobs, make_settings: MakeSettings) -> list[str]:
    """A finished job whose segmentation, page and reports wait for ``pacs``; its reports' profiles."""
    Sender(database).send(1)
    complete(database, plan())
    job = claim(database)
    given = settings_for(make_settings, 1).result_profiles
    kept = store_result_objects(job, replace(analyses.masked_ct(), key=job.key), Recipients(("pacs",), profiles=given), blobs)
    commit_result(database, job, prediction=prediction(), identity=identity(), objects=kept, timings=timings())
    return [one.report.profile for one in kept if one.report.kind is ResultKind.SR]


def named_classes(report: Dataset) -> set[str]:
    """The classes of the other results that a report refers to."""
    return {str(e.value) for e in report.iterall() if e.keyword == "ReferencedSOPClassUID"} & set(CLASSES)


def received_classes(pacs: Pacs) -> list[str]:
    return [str(one.SOPClassUID) for one in pacs.stored.values()]


def delivery_states(database: Database) -> dict[str, str]:
    return dict(rows(database, "SELECT r.profile, d.state FROM deliveries d JOIN reports r ON r.id = d.report_id ORDER BY d.id"))  # type: ignore[arg-type]


def test_the_report_waits_while_its_segmentation_is_retried(
    database: Database, blobs: Blobs, make_settings: MakeSettings, result: list[str]
) -> None:
    assert result == ["sr+pdf+seg", "sr"]
    pacs = Pacs(of_class={SEG: [NOT_NOW] * 4})
    with running(pacs, classes=CLASSES), running_sender(settings_for(make_settings, pacs.port), database, blobs):
        wait_for(lambda: len(pacs.stored) == 3)
        assert received_classes(pacs) == [PDF, SEG, SR]
        assert named_classes(list(pacs.stored.values())[-1]) == {SEG, PDF}
        wait_for(lambda: scalar(database, "SELECT state FROM jobs") == "delivered")
    assert delivery_states(database) == {"seg": "stored", "pdf": "stored", "sr+pdf+seg": "stored"}
    assert scalar(database, "SELECT attempts FROM deliveries d JOIN reports r ON r.id = d.report_id WHERE r.kind = 'sr'") == 1


def test_the_note_says_what_a_report_waits_for(database: Database, result: list[str]) -> None:
    for one in delivery_leases.claim_deliveries(database, sender="s", lease_s=60, limit=10):
        retry_delivery_later(database, one, error="busy", in_s=3600)
    assert {row["note"] for row in list_deliveries(database) if row["object"] == "sr"} <= {"waits for: seg", "waits for: pdf"}
    assert make_deliveries_due(database, "pacs") == 3
    assert {one.kind for one in delivery_leases.claim_deliveries(database, sender="s", lease_s=60, limit=10)} == {"seg", "pdf"}


@pytest.mark.parametrize("refusal", [NOT_SUPPORTED, NOT_THIS])
def test_if_the_segmentation_is_refused_permanently_the_report_names_nothing(
    database: Database, blobs: Blobs, make_settings: MakeSettings, result: list[str], refusal: int
) -> None:
    pacs = Pacs(of_class={SEG: [refusal]})
    with running(pacs, classes=CLASSES), running_sender(settings_for(make_settings, pacs.port), database, blobs):
        wait_for(lambda: len(pacs.stored) == 2)
        assert received_classes(pacs) == [PDF, SR]
        assert named_classes(list(pacs.stored.values())[-1]) == set()
        wait_for(lambda: delivery_states(database)["sr"] == "stored")
    found = delivery_states(database)
    assert (found["sr+pdf+seg"], found["seg"] in ("failed", "held")) == ("withdrawn", True)
    assert scalar(database, "SELECT state FROM jobs") == "reported"  # the segmentation is missing: a person has to decide
    (note,) = rows(database, "SELECT note FROM deliveries WHERE state = 'withdrawn'")
    assert "has not stored (seg)" in str(note[0])


def test_a_class_that_the_destination_does_not_accept_is_not_named(
    database: Database, blobs: Blobs, make_settings: MakeSettings, result: list[str]
) -> None:
    with running(Pacs(), classes=(PDF, SR)) as pacs, running_sender(settings_for(make_settings, pacs.port), database, blobs):
        wait_for(lambda: len(pacs.stored) == 2)
        assert received_classes(pacs) == [PDF, SR]
        assert named_classes(list(pacs.stored.values())[-1]) == set()


def test_objects_stored_by_a_retry_before_the_report_are_named(
    database: Database, blobs: Blobs, make_settings: MakeSettings, result: list[str]
) -> None:
    everything_held = Pacs(statuses=[NOT_THIS])
    with running(everything_held, classes=CLASSES), running_sender(settings_for(make_settings, everything_held.port), database, blobs):
        wait_for(lambda: delivery_states(database).get("sr") == "held")
    assert delivery_states(database) == {"seg": "held", "pdf": "held", "sr+pdf+seg": "withdrawn", "sr": "held"}
    held = [int(str(row[0])) for row in rows(database, "SELECT id FROM deliveries WHERE state = 'held'")]
    assert retry_deliveries(database, held, "admin") == sorted(held)
    with running(Pacs(), classes=CLASSES) as pacs, running_sender(settings_for(make_settings, pacs.port), database, blobs):
        wait_for(lambda: scalar(database, "SELECT state FROM jobs") == "delivered")
    assert received_classes(pacs)[-1] == SR
    assert named_classes(list(pacs.stored.values())[-1]) == {SEG, PDF}
    assert delivery_states(database) == {"seg": "stored", "pdf": "stored", "sr+pdf+seg": "stored", "sr": "withdrawn"}


def test_an_object_stored_by_a_retry_after_the_report_is_stored_beside_it(database: Database, result: list[str]) -> None:
    for one in delivery_leases.claim_deliveries(database, sender="s", lease_s=60, limit=10):
        if one.kind == "seg":
            fail_delivery(database, one, error="not supported", status=NOT_SUPPORTED)
        else:
            record_stored(database, one, status=0)
    assert delivery_leases.claim_deliveries(database, sender="s", lease_s=60, limit=10) == []
    delivery_leases.reap_deliveries(database)
    (report,) = delivery_leases.claim_deliveries(database, sender="s", lease_s=60, limit=10)
    assert report.kind == "sr"
    record_stored(database, report, status=0)
    failed = int(str(scalar(database, "SELECT id FROM deliveries WHERE state = 'failed'")))
    assert retry_deliveries(database, [failed], "admin") == [failed]
    (again,) = delivery_leases.claim_deliveries(database, sender="s", lease_s=60, limit=10)
    record_stored(database, again, status=0)
    assert delivery_states(database) == {"seg": "stored", "pdf": "stored", "sr+pdf+seg": "withdrawn", "sr": "stored"}
    assert scalar(database, "SELECT state FROM jobs") == "delivered"


def test_without_a_replacement_the_report_is_held_with_the_reason(database: Database, result: list[str]) -> None:
    """As for results of an older version."""
    execute(database, "DELETE FROM reports WHERE profile = 'sr'")
    for one in delivery_leases.claim_deliveries(database, sender="s", lease_s=60, limit=10):
        hold_delivery(database, one, reason="accept_research is false")
    delivery_leases.reap_deliveries(database)
    (row,) = [row for row in list_deliveries(database) if row["object"] == "sr"]
    assert (row["state"], row["note"]) == (
        "held", "it names objects that the destination has not stored (pdf, seg): send them again, or run the job again"
    )  # fmt: skip
    everything = [row["delivery_id"] for row in list_deliveries(database)]
    assert len(retry_deliveries(database, everything, "admin")) == 3
    assert {one.kind for one in delivery_leases.claim_deliveries(database, sender="s", lease_s=60, limit=10)} == {"seg", "pdf"}


def test_the_report_waits_again_for_an_object_that_is_not_committed(database: Database, result: list[str]) -> None:
    for one in delivery_leases.claim_deliveries(database, sender="s", lease_s=60, limit=10):
        record_stored(database, one, status=0, commit=True)
    assert destination_requests.create_request(database, "pacs", dwell_s=0)
    request = destination_requests.claim_request(database, "pacs", lease_s=60, max_attempts=3)
    assert request is not None
    lost = {uid: "0112" for sop_class, uid in request.instances if sop_class == SEG}
    kept = [uid for _, uid in request.instances if uid not in lost]
    resending = ResendPolicy(1, 0.0, 900.0)
    values = {"destinations": ["pacs"], "transaction_uid": request.transaction_uid}
    record_report(database, committed=kept, failed=lost, policy=resending, **values)  # type: ignore[arg-type]
    (again,) = delivery_leases.claim_deliveries(database, sender="s", lease_s=60, limit=10)
    assert again.kind == "seg"
    record_stored(database, again, status=0)
    (report,) = delivery_leases.claim_deliveries(database, sender="s", lease_s=60, limit=10)
    assert report.kind == "sr"
    with database.begin() as connection:
        assert delivery_order.replace_blocked_reports(connection) == 0


def end_due(database: Database, *, refused: str = "") -> list[str]:
    """Store everything that is due, except objects of the kind ``refused``; the profiles of the reports that were stored, in order."""
    while claimed := delivery_leases.claim_deliveries(database, sender="s", lease_s=60, limit=10):
        for one in claimed:
            if one.kind == refused:
                fail_delivery(database, one, error="not supported", status=NOT_SUPPORTED)
            else:
                record_stored(database, one, status=0)
        delivery_leases.reap_deliveries(database)
    query = "SELECT r.profile FROM deliveries d JOIN reports r ON r.id = d.report_id"
    stored = rows(database, f"{query} WHERE r.kind = 'sr' AND d.state = 'stored' ORDER BY d.stored_at")
    return [str(profile) for (profile,) in stored]


def send_result_again(database: Database) -> list[int]:
    kinds = frozenset({ResultKind.SR, ResultKind.SEG, ResultKind.PDF})
    selection = ResendSelection(jobs=(int(str(scalar(database, "SELECT id FROM jobs"))),))
    return resend(database, selection, ResendTargets({"pacs": kinds}, frozenset({"pacs"})), actor="cli:ann", reason="a test").all


def test_a_result_that_is_sent_again_keeps_its_report_where_an_object_is_refused_now(database: Database, result: list[str]) -> None:
    """A second report, without references, was sent beside the first."""
    assert end_due(database) == ["sr+pdf+seg"]
    assert len(send_result_again(database)) == 3
    assert end_due(database, refused="seg") == ["sr+pdf+seg"]
    assert delivery_states(database) == {"seg": "failed", "pdf": "stored", "sr+pdf+seg": "stored"}
    assert scalar(database, "SELECT count(*) FROM delivery_attempts a JOIN v_deliveries USING (delivery_id) WHERE object = 'sr'") == 2
    assert len(send_result_again(database)) == 3, "also what was refused"
    assert end_due(database) == ["sr+pdf+seg"]
    assert scalar(database, "SELECT state FROM jobs") == "delivered"


def test_a_report_that_was_sent_instead_is_kept_where_the_object_is_taken_later(database: Database, result: list[str]) -> None:
    """The report that names the object was sent beside it."""
    assert end_due(database, refused="seg") == ["sr"]
    assert len(send_result_again(database)) == 3
    assert end_due(database) == ["sr"]
    assert delivery_states(database) == {"seg": "stored", "pdf": "stored", "sr+pdf+seg": "withdrawn", "sr": "stored"}
    assert scalar(database, "SELECT state FROM jobs") == "delivered"


def test_a_report_that_the_destination_says_it_lacks_is_replaced(database: Database, result: list[str]) -> None:
    """Neither the report nor the segmentation was committed, and the segmentation is refused now: a reference to it would lead nowhere."""
    while claimed := delivery_leases.claim_deliveries(database, sender="s", lease_s=60, limit=10):
        for one in claimed:
            record_stored(database, one, status=0, commit=True)
    assert destination_requests.create_request(database, "pacs", dwell_s=0)
    request = destination_requests.claim_request(database, "pacs", lease_s=60, max_attempts=3)
    assert request is not None
    lost = {uid: "0112" for sop_class, uid in request.instances if sop_class != PDF}
    kept = [uid for _, uid in request.instances if uid not in lost]
    values = {"destinations": ["pacs"], "transaction_uid": request.transaction_uid}
    record_report(database, committed=kept, failed=lost, policy=ResendPolicy(1, 0.0, 900.0), **values)  # type: ignore[arg-type]
    assert end_due(database, refused="seg") == ["sr"]
