"""Admission: new instances, duplicates, other content of a known UID, late instances, and odd text."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest

from core.policy.completeness import EXPECTED_COUNT
from core.policy.unit_progress import CompletionPolicy
from core.records import InstanceHeader
from core.states import UnitKind, UnitState
from db.complete import units
from db.complete.content_conflicts import list_undecided, settle_conflict
from db.engine import Database
from db.receive import admission as receive_admission
from db.receive.admission import AdmissionResult
from db.receive.associations import close_association
from dicom_node.conduct.unit_snapshot import read_unit
from tests.support.records import Sender, blob, complete, header, plan, scalar, unit_of


def test_a_new_instance_makes_study_series_and_unit(database: Database) -> None:
    admission = Sender(database).send(1)
    assert admission.result is AdmissionResult.NEW
    unit = unit_of(database)
    assert (unit.id, unit.kind, unit.state, unit.revision, unit.held) == (admission.unit_id, UnitKind.SERIES, UnitState.OPEN, 1, 1)
    (association,) = unit.associations
    assert association.open
    assert unit.source == association.calling_ae == "PACS"
    (kept,) = units.instances_of_unit(database, unit.id)
    assert kept.header == header(1)
    assert kept.sha256 == blob("content of 1.2.3.4.1").sha256


def test_a_photograph_is_a_unit_of_its_own(database: Database) -> None:
    sender = Sender(database)
    sender.send(1, kind=UnitKind.IMAGE)
    sender.send(2, kind=UnitKind.IMAGE)
    assert [unit.sop_instance_uid for unit in units.units_of_study(database, "1.2.3")] == ["1.2.3.4.1", "1.2.3.4.2"]


def test_the_same_bytes_again_make_no_row_and_no_work(database: Database) -> None:
    first = Sender(database).send(1)
    complete(database, plan())
    again = Sender(database).send(1)
    assert (again.result, again.instance_id, again.unit_id) == (AdmissionResult.DUPLICATE, first.instance_id, first.unit_id)
    assert unit_of(database).state is UnitState.COMPLETE
    assert scalar(database, "SELECT count(*) FROM instances") == 1
    assert scalar(database, "SELECT duplicates FROM instances") == 1
    assert scalar(database, "SELECT count(*) FROM audit_events WHERE action = 'instance.received'") == 1


def test_two_associations_with_the_same_instance_at_once(database: Database) -> None:
    senders = [Sender(database) for _ in range(4)]
    for number in range(1, 9):
        barrier = Barrier(len(senders))

        def send(sender: Sender, number: int = number, barrier: Barrier = barrier) -> AdmissionResult:
            barrier.wait()
            return sender.send(number, series=f"1.9.{number}", study=f"1.8.{number}").result

        with ThreadPoolExecutor(len(senders)) as pool:
            results = list(pool.map(send, senders))
        assert sorted(results) == [AdmissionResult.DUPLICATE] * 3 + [AdmissionResult.NEW]
    assert scalar(database, "SELECT count(*) FROM instances") == 8
    assert scalar(database, "SELECT sum(held) FROM units") == 8


def test_two_contents_at_once_make_one_current_and_one_undecided(database: Database) -> None:
    senders = [Sender(database) for _ in range(2)]
    barrier = Barrier(2)

    def send(index: int) -> AdmissionResult:
        barrier.wait()
        return senders[index].send(1, content=f"content {index}").result

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(send, range(2))) == [AdmissionResult.NEW, AdmissionResult.UNDECIDED]


def test_other_bytes_are_undecided_until_they_are_compared(database: Database) -> None:
    sender = Sender(database)
    first = sender.send(1, content="as it was")
    other = sender.send(1, content="re-encoded")
    assert other.result is AdmissionResult.UNDECIDED
    assert sender.send(1, content="re-encoded").result is AdmissionResult.DUPLICATE
    assert unit_of(database).undecided == 1
    (conflict,) = list_undecided(database, 10)
    assert (conflict.id, conflict.current_sha256) == (other.instance_id, blob("as it was").sha256)
    settle_conflict(database, other.instance_id, same=True)
    settle_conflict(database, other.instance_id, same=False)  # settled: without effect
    assert [kept.id for kept in units.instances_of_unit(database, first.unit_id)] == [first.instance_id]
    assert unit_of(database).undecided == 0


def test_changed_content_of_a_complete_unit_begins_a_revision(database: Database) -> None:
    sender = Sender(database)
    sender.send(1, content="as it was")
    complete(database, plan())
    changed = sender.send(1, content="changed")
    assert unit_of(database).state is UnitState.COMPLETE
    settle_conflict(database, changed.instance_id, same=False)
    unit = unit_of(database)
    assert (unit.state, unit.revision, unit.held) == (UnitState.OPEN, 2, 1)
    assert [kept.id for kept in units.instances_of_unit(database, unit.id)] == [changed.instance_id]


def settle_all(database: Database, *, same: bool = False) -> None:
    """Settle every undecided content, in the order in which the conductor compares them."""
    while waiting := list_undecided(database, 1):
        settle_conflict(database, waiting[0].id, same=same, current_sha256=waiting[0].current_sha256)


def current_content(database: Database) -> object:
    return scalar(database, "SELECT sha256 FROM instances WHERE state = 'current'")


def test_the_content_that_was_received_last_is_the_current_one(database: Database) -> None:
    sender = Sender(database)
    sender.send(1, content="A")
    complete(database, plan())
    sender.send(1, content="B")
    settle_all(database)
    complete(database, plan())
    again = sender.send(1, content="A")
    assert (again.result, unit_of(database).state, unit_of(database).undecided) == (AdmissionResult.UNDECIDED, UnitState.COMPLETE, 1)
    settle_all(database)
    unit = unit_of(database)
    assert (unit.state, unit.revision, unit.held, current_content(database)) == (UnitState.OPEN, 3, 1, blob("A").sha256)
    first, second = scalar(database, "SELECT array_agg(id ORDER BY id) FROM jobs")  # type: ignore[misc]
    (third,) = complete(database, plan())
    assert scalar(database, f"SELECT array_agg(superseded_by ORDER BY id) FROM jobs WHERE id IN ({first}, {second})") == [second, third]
    actions = "SELECT string_agg(action, ',' ORDER BY id) FROM audit_events WHERE subject LIKE 'instance:%'"
    assert scalar(database, actions) == "instance.received,instance.undecided,instance.changed,instance.undecided,instance.changed"


@pytest.mark.parametrize("order", ["ABA", "ABCB", "ABCA", "ABAB", "ABCABCAB"])
@pytest.mark.parametrize("settled", [0, 2, 3], ids=lambda number: f"settled after {number}")
def test_the_last_content_is_current_whenever_they_are_compared(database: Database, order: str, settled: int) -> None:
    sender = Sender(database)
    for number, content in enumerate(order, start=1):
        sender.send(1, content=content)
        if number == settled:
            settle_all(database)
    settle_all(database)
    assert current_content(database) == blob(order[-1]).sha256
    assert (unit_of(database).held, unit_of(database).undecided) == (1, 0)


def test_another_encoding_of_replaced_content_is_compared_when_it_comes_again(database: Database) -> None:
    sender = Sender(database)
    sender.send(1, content="A")
    sender.send(1, content="A, re-encoded")
    settle_all(database, same=True)
    assert sender.send(1, content="A, re-encoded").result is AdmissionResult.DUPLICATE
    sender.send(1, content="B")
    settle_all(database)
    assert sender.send(1, content="A, re-encoded").result is AdmissionResult.UNDECIDED
    settle_all(database)
    assert current_content(database) == blob("A, re-encoded").sha256


def test_a_comparison_with_content_that_is_no_longer_current_has_no_effect(database: Database) -> None:
    sender = Sender(database)
    sender.send(1, content="A")
    settled_late = sender.send(1, content="B")
    (conflict,) = list_undecided(database, 10)
    sender.send(1, content="C")
    settle_conflict(database, scalar(database, "SELECT max(id) FROM instances"), same=False)  # type: ignore[arg-type]
    settle_conflict(database, settled_late.instance_id, same=True, current_sha256=conflict.current_sha256)
    assert [one.id for one in list_undecided(database, 10)] == [settled_late.instance_id]


def test_counts_of_the_revision_before_do_not_decide_on_changed_content(database: Database) -> None:
    sender = Sender(database)
    sender.send(1, content="as it was")
    for _ in range(2):
        units.record_expected_count(database, unit_of(database).id, 1)
    complete(database, plan())
    settle_conflict(database, sender.send(1, content="changed").instance_id, same=False)
    close_association(database, sender.id, "released")
    units.record_expected_count(database, unit_of(database).id, 1)
    policy = CompletionPolicy(settle_s=600.0, quiet_s=600.0, max_wait_s=3600.0)
    assert not read_unit(database, unit_of(database), policy, database.now() + timedelta(seconds=10)).decision.complete
    units.record_expected_count(database, unit_of(database).id, 1)
    decision = read_unit(database, unit_of(database), policy, database.now() + timedelta(seconds=10)).decision
    assert (decision.complete, decision.rule) == (True, EXPECTED_COUNT)


def test_changed_content_that_moved_to_another_series(database: Database) -> None:
    sender = Sender(database)
    sender.send(1)
    sender.send(2)
    moved = receive_admission.admit_instance(
        database,
        header=InstanceHeader("1.2", "1.2.3.4.1", "1.2.3", "1.2.3.5", "1.2.1", patient_id="P1"),
        blob=blob("moved"),
        kind=UnitKind.SERIES,
        association_id=sender.id,
        source="PACS",
    )
    assert moved.result is AdmissionResult.UNDECIDED
    settle_conflict(database, moved.instance_id, same=False)
    assert [(unit.series_instance_uid, unit.held) for unit in units.units_of_study(database, "1.2.3")] == [("1.2.3.4", 1), ("1.2.3.5", 1)]


def test_a_late_instance_reopens_the_unit(database: Database) -> None:
    sender = Sender(database)
    sender.send(1)
    complete(database, plan())
    late = sender.send(2)
    unit = unit_of(database)
    assert (late.revision, unit.revision, unit.state, unit.held) == (2, 2, UnitState.OPEN, 2)
    assert unit.opened_at is not None
    assert unit.opened_at > unit.first_received_at


@pytest.mark.parametrize("value", ["Müller^Jürgen", "山田^太郎", "NUL\0inside", "lone \ud800 surrogate", "back\\slash 'quote' %s :x"])
def test_unusual_text_is_kept(database: Database, value: str) -> None:
    Sender(database).send(1, patient_name=value, study_description=value)
    (kept,) = units.instances_of_unit(database, unit_of(database).id)
    assert kept.header.patient_name == value.replace("\0", "").encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def test_numbers_that_json_cannot_hold_are_absent(database: Database) -> None:
    Sender(database).send(1, slice_thickness_mm=float("nan"))
    (kept,) = units.instances_of_unit(database, unit_of(database).id)
    assert kept.header.slice_thickness_mm is None
