"""Retention removes nothing undelivered, whatever its age; what it removes leaves its row, its hash and an audit event."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from core.policy.result_profiles import REPORT_ONLY
from core.settings.operations import RetentionSection
from core.states import DeliveryState, UnitKind
from db import audit
from db.blobs import removals
from db.blobs.blob_ref import BlobRef
from db.blobs.store import Blobs
from db.commitment import destination_requests, expiry, source_requests
from db.commitment.destination_reports import ResendPolicy, record_report
from db.deliveries import delivery_leases
from db.deliveries.delivery_results import fail_delivery, record_stored
from db.deliveries.giving_up import give_up_deliveries
from db.deliveries.resend import resend
from db.deliveries.resend_plan import ResendSelection, ResendTargets
from db.engine import Database
from db.jobs import job_leases
from db.jobs.finish import commit_result
from db.jobs.job_admin import show_job
from db.jobs.job_records import ClaimedJob, StoredObject, StoredOverlays
from db.operations import retention
from db.receive import admission
from db.receive.admission import AdmissionResult
from db.receive.quarantine import quarantine_instance
from tests.support.node_process import wait_until
from tests.support.records import Sender, claim, complete, header, identity, plan, prediction, report, rows, run, scalar, timings

IMAGES, RESULTS, UNROUTED = retention.retention_rules(RetentionSection(images_days=30, results_days=60, unrouted_days=7))


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "blobs")


def _age(database: Database, days: int) -> None:
    """Make everything older by some days."""
    for table, columns in (
        ("units", ("last_received_at", "completed_at")),
        ("jobs", ("delivered_at",)),
        ("commitment_requests", ("created_at",)),
        ("source_commitment_requests", ("received_at",)),
    ):
        for column in columns:
            run(database, f"UPDATE {table} SET {column} = {column} - interval '{days} days' WHERE {column} IS NOT NULL")


class Unit:
    """One image in the blobs and the index, and its job."""

    def __init__(self, database: Database, blobs: Blobs, number: int, destinations: tuple[str, ...] = ("pacs",)) -> None:
        self.database, self.blobs = database, blobs
        self.study = f"1.2.3.{number}"
        sender = Sender(database)
        head = header(number, series=self.study, study=self.study)
        self.image = blobs.put(f"image {number}".encode())
        admission.admit_instance(database, header=head, blob=self.image, kind=UnitKind.SERIES, association_id=sender.id, source="PACS")
        complete(
            database, *([plan(destinations=destinations)] if destinations else []), study=self.study, reason="" if destinations else "x"
        )

    def report(self, **given: object) -> "Unit":
        job = claim(self.database)
        made = report(job, **given)  # type: ignore[arg-type]
        self.result = self.blobs.put(made.report.sop_instance_uid.encode())
        kept = StoredObject(made.report, self.result, made.destinations, made.problems)
        commit_result(self.database, job, prediction=prediction(), identity=identity(), objects=(kept,), timings=timings())
        return self

    def deliver(self, *, commit: bool = False) -> "Unit":
        for one in delivery_leases.claim_deliveries(self.database, sender="s", lease_s=60, limit=10):
            record_stored(self.database, one, status=0, commit=commit)
        return self

    def kept(self) -> tuple[bool, bool]:
        return self.blobs.path(self.image.sha256).exists(), self.blobs.path(self.result.sha256).exists()


def _apply(database: Database, blobs: Blobs, *rules: retention.RetentionRule) -> list[tuple[int, int]]:
    """Apply rules; number of units and objects of each."""
    found = [retention.apply_rule(database, blobs, rule, actor="t", limit=1000) for rule in rules]
    return [(removed.units, removed.objects) for removed in found]


def test_delivered_units_are_removed_by_age_and_leave_row_hash_and_event(database: Database, blobs: Blobs) -> None:
    unit = Unit(database, blobs, 1).report().deliver()
    _age(database, 29)
    assert _apply(database, blobs, IMAGES, RESULTS) == [(0, 0), (0, 0)]
    _age(database, 2)
    dry = retention.plan_removal(database, IMAGES)
    assert (dry.units, dry.objects, dry.size_bytes) == (1, 1, unit.image.size_bytes)
    assert unit.kept() == (True, True)  # planning removes nothing
    assert _apply(database, blobs, IMAGES, RESULTS) == [(1, 1), (0, 0)]
    assert unit.kept() == (False, True)
    _age(database, 30)
    assert _apply(database, blobs, IMAGES, RESULTS) == [(0, 0), (1, 1)]
    assert unit.kept() == (False, False)
    assert rows(database, "SELECT sha256, removed_at IS NOT NULL FROM instances") == [(unit.image.sha256, True)]
    assert rows(database, "SELECT sha256, removed_at IS NOT NULL FROM reports") == [(unit.result.sha256, True)]
    events = rows(database, "SELECT details ->> 'rule' FROM audit_events WHERE action = 'retention.removed' ORDER BY id")
    assert events == [("images",), ("results",)]
    assert scalar(database, "SELECT count(*) FROM blob_removals WHERE removed_at IS NULL") == 0
    while audit.chain(database):
        pass
    assert audit.verify(database).broken is None
    (job,) = rows(database, "SELECT id FROM jobs")
    assert show_job(database, int(str(job[0])))["images"][0]["removed_at"] is not None


def _pending(unit: Unit) -> None:
    unit.report()


def _being_sent(unit: Unit) -> None:
    unit.report()
    delivery_leases.claim_deliveries(unit.database, sender="s", lease_s=60, limit=1)


def _failed(unit: Unit) -> None:
    unit.report()
    (one,) = delivery_leases.claim_deliveries(unit.database, sender="s", lease_s=60, limit=1)
    fail_delivery(unit.database, one, error="x", status=None)


def _held(unit: Unit) -> None:
    unit.report(problems=("not valid",)).deliver()


def _given_up(unit: Unit) -> None:
    _failed(unit)
    give_up_deliveries(unit.database, [int(str(scalar(unit.database, "SELECT id FROM deliveries")))], actor="cli:ann", reason="x")


def _not_committed(unit: Unit) -> None:
    unit.report().deliver(commit=True)


def _queued(unit: Unit) -> None:
    pass


def _failed_job(unit: Unit) -> None:
    job_leases.fail_job(unit.database, claim(unit.database), error="x", permanent=True, retry_in_s=0, max_attempts=1)


def _no_destination(unit: Unit) -> None:
    unit.report(destinations=())


def _an_image_came_in(unit: Unit) -> None:
    unit.report().deliver()
    Sender(unit.database).send(9, series=unit.study, study=unit.study)


def _second_content(unit: Unit) -> None:
    unit.report().deliver()
    Sender(unit.database).send(1, series=unit.study, study=unit.study, content="another")


STUCK = (_pending, _being_sent, _failed, _held, _given_up, _not_committed)
OPEN = (*STUCK, _queued, _failed_job, _no_destination, _an_image_came_in, _second_content)


@pytest.mark.parametrize("state", OPEN, ids=lambda state: state.__name__.strip("_"))
def test_nothing_undelivered_is_removed_however_old(database: Database, blobs: Blobs, state: Callable[[Unit], None]) -> None:
    unit = Unit(database, blobs, 1)
    state(unit)
    _age(database, 5000)
    assert [retention.plan_removal(database, kind).objects for kind in (IMAGES, RESULTS, UNROUTED)] == [0, 0, 0]
    assert _apply(database, blobs, IMAGES, RESULTS, UNROUTED) == [(0, 0)] * 3
    assert blobs.path(unit.image.sha256).exists()
    assert scalar(database, "SELECT count(*) FROM reports WHERE removed_at IS NOT NULL") == 0


def test_a_unit_delivered_to_one_of_two_destinations_is_kept(database: Database, blobs: Blobs) -> None:
    unit = Unit(database, blobs, 1, ("one", "two")).report()
    (one,) = delivery_leases.claim_deliveries(database, sender="s", lease_s=60, limit=1)
    record_stored(database, one, status=0)
    _age(database, 5000)
    assert _apply(database, blobs, IMAGES) == [(0, 0)]
    unit.deliver()
    _age(database, 5000)
    assert _apply(database, blobs, IMAGES) == [(1, 1)]
    Unit(database, blobs, 2, ("one", "two")).report()
    one, two = delivery_leases.claim_deliveries(database, sender="s", lease_s=60, limit=2)
    record_stored(database, one, status=0)
    fail_delivery(database, two, error="x", status=None)
    give_up_deliveries(database, [two.id], actor="cli:ann", reason="a test")
    _age(database, 5000)
    assert _apply(database, blobs, IMAGES) == [(1, 1)]


def test_a_result_that_is_sent_again_at_this_moment_is_kept(database: Database, blobs: Blobs) -> None:
    """Retention waits for the transaction that makes the delivery due, and then finds the result undelivered."""
    unit = Unit(database, blobs, 1).report().deliver()
    _age(database, 5000)
    everything, targets = ResendSelection(study=unit.study), ResendTargets({"pacs": REPORT_ONLY}, frozenset({"pacs"}))
    removal = threading.Thread(target=_apply, args=(database, blobs, RESULTS))
    waits = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')"
    with pytest.MonkeyPatch.context() as patched:

        def while_retention_runs(*_: object) -> None:
            removal.start()
            wait_until("retention has ended, or waits", lambda: not removal.is_alive() or bool(scalar(database, waits)))

        patched.setattr("db.deliveries.resend.notify", while_retention_runs)  # the last act of the transaction
        assert len(resend(database, everything, targets, actor="cli:ann", reason="a test").again) == 1
    removal.join(600)
    assert unit.kept() == (True, True)
    assert scalar(database, "SELECT count(*) FROM reports WHERE removed_at IS NOT NULL") == 0


def test_units_that_no_route_took(database: Database, blobs: Blobs) -> None:
    unit = Unit(database, blobs, 1, ())
    _age(database, 6)
    assert _apply(database, blobs, IMAGES, UNROUTED) == [(0, 0), (0, 0)]
    _age(database, 2)
    assert _apply(database, blobs, IMAGES, UNROUTED) == [(0, 0), (1, 1)]
    assert not blobs.path(unit.image.sha256).exists()


def test_a_blob_that_another_row_needs_is_kept(database: Database, blobs: Blobs) -> None:
    unit = Unit(database, blobs, 1).report().deliver()
    _age(database, 40)
    quarantine_instance(
        database, blob=unit.image, reason="x", status=0xC000, sop_class_uid="", sop_instance_uid="", association_id=Sender(database).id,
        source="PACS", max_bytes=1000,
    )  # fmt: skip
    assert _apply(database, blobs, IMAGES) == [(1, 1)]
    assert blobs.path(unit.image.sha256).exists()
    assert scalar(database, "SELECT count(*) FROM blob_removals") == 0


def test_a_run_that_was_killed_is_completed_by_the_next(database: Database, blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    unit = Unit(database, blobs, 1).report().deliver()
    _age(database, 40)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Blobs, "remove", killed)
        with pytest.raises(KeyboardInterrupt):
            _apply(database, blobs, IMAGES)
    assert blobs.path(unit.image.sha256).exists()
    assert removals.remove_blobs(database, blobs) == unit.image.size_bytes
    assert not blobs.path(unit.image.sha256).exists()


def test_an_instance_that_is_received_again_is_restored(database: Database, blobs: Blobs) -> None:
    unit = Unit(database, blobs, 1).report().deliver()
    _age(database, 40)
    _apply(database, blobs, IMAGES)
    sender, head = Sender(database), header(1, series=unit.study, study=unit.study)
    assert source_requests.indexed_contents(database, [head.sop_instance_uid]) == {}  # storage commitment: no such instance

    def admit() -> tuple[AdmissionResult, bool, int]:
        found = admission.admit_instance(
            database, header=head, blob=unit.image, kind=UnitKind.SERIES, association_id=sender.id, source="PACS"
        )
        return found.result, found.removed, found.instance_id

    result, removed, instance = admit()
    assert (result, removed) == (AdmissionResult.DUPLICATE, True)
    removals.keep_received(database, unit.image.sha256, lambda: blobs.put(b"image 1"), instance_id=instance)
    assert blobs.has(unit.image.sha256)
    assert admit()[:2] == (AdmissionResult.DUPLICATE, False)
    assert len(source_requests.indexed_contents(database, [head.sop_instance_uid])) == 1


def test_an_instance_sent_again_during_its_removal_has_its_bytes(database: Database, blobs: Blobs) -> None:
    """Both at the same time, many times: in any order, a row that is not marked as removed has its file."""
    unit = Unit(database, blobs, 1).report().deliver()
    _age(database, 40)
    (instance,) = rows(database, "SELECT id FROM instances")
    id = int(str(instance[0]))

    def send_again() -> None:
        removals.keep_received(database, unit.image.sha256, lambda: blobs.put(b"image 1"), instance_id=id)

    for _ in range(30):
        if scalar(database, "SELECT removed_at IS NULL FROM instances"):
            _apply(database, blobs, IMAGES)
        with database.begin() as connection:
            removals.request_removals(connection, [(unit.image.sha256, unit.image.size_bytes)])
        blobs.put(b"image 1")
        threads = [threading.Thread(target=send_again), threading.Thread(target=removals.remove_blobs, args=(database, blobs))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert blobs.path(unit.image.sha256).exists()
        assert scalar(database, "SELECT removed_at IS NULL FROM instances")


def test_old_commitment_requests_are_deleted_and_open_ones_are_not(database: Database, blobs: Blobs) -> None:
    Unit(database, blobs, 1).report().deliver(commit=True)
    assert destination_requests.create_request(database, "pacs", dwell_s=0)
    request = destination_requests.claim_request(database, "pacs", lease_s=60, max_attempts=3)
    assert request is not None
    destination_requests.record_requested(database, request, answer_s=3600)
    id = source_requests.record_source_request(database, source="PACS", transaction_uid="1.9", instances=[("1.2", "1.2.3")], reserve_s=0)
    _age(database, 100)
    assert expiry.count_expired(database, 90) == 0
    rules = ResendPolicy(3, 1.0, 900.0)
    uids = [uid for _, uid in request.instances]
    record_report(database, destinations=["pacs"], transaction_uid=request.transaction_uid, committed=uids, failed={}, policy=rules)
    theirs = source_requests.get_source_request(database, id)
    assert theirs is not None
    source_requests.record_answered(database, theirs, held=0)
    assert expiry.count_expired(database, 90) == 2
    assert expiry.delete_expired(database, 90, actor="t", limit=100) == 2
    assert expiry.count_expired(database, 0) == 0
    assert rows(database, "SELECT state FROM deliveries") == [(DeliveryState.COMMITTED,)]
    assert _apply(database, blobs, IMAGES) == [(0, 0)]  # committed just now: the age counts from the delivery
    _age(database, 31)
    assert _apply(database, blobs, IMAGES) == [(1, 1)]


def test_without_a_policy_there_is_no_rule() -> None:
    assert retention.retention_rules(RetentionSection()) == ()


def test_outlines_and_heat_map_go_with_the_objects_of_the_result(database: Database, blobs: Blobs) -> None:
    unit = Unit(database, blobs, 1)
    job = claim(database)
    overlays = _report_with_overlays(unit, job)
    _age(database, 61)
    _apply(database, blobs, IMAGES)
    assert blobs.path(overlays.sha256).exists()
    _apply(database, blobs, RESULTS)
    assert not blobs.path(overlays.sha256).exists()
    assert scalar(database, "SELECT removed_at IS NOT NULL FROM result_overlays") is True


def _report_with_overlays(unit: Unit, job: ClaimedJob) -> BlobRef:
    """Commit and deliver a result that has the same outlines as every other one."""
    blobs, made = unit.blobs, report(job)
    overlays = blobs.put(b"outlines")
    unit.result = blobs.put(made.report.sop_instance_uid.encode())
    kept = StoredObject(made.report, unit.result, made.destinations, made.problems)
    stored = StoredOverlays(overlays, lambda: blobs.put(b"outlines"))
    commit_result(unit.database, job, prediction=prediction(), identity=identity(), objects=(kept,), timings=timings(), overlays=stored)
    unit.deliver()
    return overlays


class PausedBlobs(Blobs):
    """Blobs whose removal of one waits for ``go_on`` after telling so by ``removing``."""

    def __init__(self, root: Path, waiting: str) -> None:
        super().__init__(root)
        self.waiting, self.removing, self.go_on = waiting, threading.Event(), threading.Event()

    def remove(self, sha256: str) -> None:
        if sha256 == self.waiting:
            self.removing.set()
            assert self.go_on.wait(600)
        super().remove(sha256)


WAITS_FOR_LOCK = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


def test_equal_outlines_that_are_committed_while_the_former_are_removed_keep_their_file(database: Database, blobs: Blobs) -> None:
    """An image that is analysed again has the same outlines."""
    first = Unit(database, blobs, 1)
    overlays = _report_with_overlays(first, claim(database))
    _age(database, 61)
    second = Unit(database, blobs, 2)
    job, paused = claim(database), PausedBlobs(blobs.root, overlays.sha256)
    removal = threading.Thread(target=lambda: _apply(database, paused, RESULTS))
    removal.start()
    assert paused.removing.wait(600)
    commit = threading.Thread(target=lambda: _report_with_overlays(second, job))
    commit.start()  # the file is there still, the removal has looked for rows already
    wait_until("the worker", lambda: scalar(database, WAITS_FOR_LOCK) or scalar(database, "SELECT count(*) > 1 FROM result_overlays"))
    paused.go_on.set()
    removal.join(600)
    commit.join(600)
    assert rows(database, "SELECT removed_at IS NULL FROM result_overlays ORDER BY id") == [(False,), (True,)]
    assert blobs.read(overlays.sha256) == b"outlines"
    assert removals.find_requested(database, [overlays.sha256]) == set()


def test_outlines_whose_removal_was_requested_stay_with_the_result_that_needs_them(database: Database, blobs: Blobs) -> None:
    overlays = _report_with_overlays(Unit(database, blobs, 1), claim(database))
    with database.begin() as connection:
        removals.request_removals(connection, [(overlays.sha256, overlays.size_bytes)])
    run(database, "UPDATE result_overlays SET removed_at = node_now()")
    _report_with_overlays(Unit(database, blobs, 2), claim(database))
    removals.remove_blobs(database, blobs)
    assert blobs.read(overlays.sha256) == b"outlines"
