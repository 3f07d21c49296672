"""Documented and exported metrics are the same, and each changes when the event it counts happens."""

import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from console import metrics
from console.health import ROLES, read_node
from core.settings.node import NodeSection
from core.settings.operations import RetentionSection
from core.settings.receive import ReceiveSection
from core.settings.settings import Settings
from core.states import Priority
from db.anchor.anchor_state import keep_state
from db.blobs.store import Blobs
from db.deliveries import delivery_leases
from db.deliveries.delivery_results import record_stored
from db.engine import Database
from db.jobs import job_leases
from db.operations import alerts, retention
from db.operations.status import UNREACHABLE
from db.operations.webhook_notifications import claim_notification, record_sent
from db.receive.backlog import PAUSED
from db.receive.quarantine import quarantine_instance
from db.roles import heartbeats
from dicom_node.receive.receive_counts import ReceiveCounts
from tests.db.operations.test_retention import Unit, _age
from tests.support.records import Sender, claim, complete, finish, plan, run

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
Samples = dict[str, dict[tuple[tuple[str, str], ...], float]]


def _documented_metrics() -> dict[str, tuple[frozenset[str], str]]:
    """Labels and type of each metric, from the table in docs/operations.md."""
    table = PAGE.read_text().split("## Metrics")[1].split("\n## ")[0]
    found = {}
    for names, kind in re.findall(r"^\| (`dicom_node_[^|]*) \| (\w+) \|", table, re.MULTILINE):
        for name, labels in re.findall(r"`(dicom_node_\w+)(?:\{([\w,]+)\})?`", names):
            found[name] = (frozenset(labels.split(",")) if labels else frozenset(), kind)
    return found


def _exported_metrics(settings: Settings, database: Database) -> tuple[Samples, dict[str, str]]:
    """Samples of each metric by its documented name, and the type of each."""
    values: Samples = {}
    types = {}
    for family in text_string_to_metric_families(metrics.render(read_node(settings, database)).decode()):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        types[name] = family.type
        for sample in family.samples:
            labels = tuple(sorted((key, value) for key, value in sample.labels.items() if key != "le"))
            values.setdefault(name, {})[(*labels, (sample.name, sample.labels.get("le", "")))] = sample.value
    return values, types


def _cause_every_event(database: Database, blobs: Blobs) -> None:
    """Cause an event of every kind that a metric counts."""
    heartbeats.record_heartbeat(database, "send", "host:1", {f"{UNREACHABLE}pacs": "30"})
    old = Unit(database, blobs, 1).report().deliver()
    _age(database, 31)
    (kind,) = retention.retention_rules(RetentionSection(images_days=30))
    assert retention.apply_rule(database, blobs, kind, actor="t", limit=10).objects == 1
    assert not blobs.path(old.image.sha256).exists()
    source = Sender(database)
    for number, priority in enumerate((Priority.ROUTINE, Priority.URGENT, Priority.ROUTINE), start=2):
        source.send(number, series=f"1.2.3.{number}", study=f"1.2.3.{number}")
        complete(database, plan(destinations=("one", "two"), priority=priority), study=f"1.2.3.{number}")
    finish(database, claim(database))  # the urgent one
    (sent, _) = delivery_leases.claim_deliveries(database, sender="s", lease_s=60, limit=2)
    record_stored(database, sent, status=0)
    job_leases.fail_job(database, claim(database), error="x", permanent=True, retry_in_s=0, max_attempts=3)
    source.send(8, series="1.2.3.8", study="1.2.3.8")
    complete(database, study="1.2.3.8")  # without a job
    source.send(9, series="1.2.3.9", study="1.2.3.9")  # open
    source.send(9, series="1.2.3.9", study="1.2.3.9", content="another")  # undecided
    quarantine_instance(
        database, blob=old.result, reason="x", status=0xC000, sop_class_uid="", sop_instance_uid="", association_id=source.id,
        source="PACS", max_bytes=1000,
    )  # fmt: skip
    run(database, "UPDATE jobs SET queued_at = node_now() - interval '9 seconds' WHERE state = 'queued'")
    run(database, "UPDATE deliveries SET created_at = node_now() - interval '9 seconds'")
    for reason in ("disk", "queue"):
        alerts.begin_alert(database, PAUSED, reason, {}, actor="listen", webhook=True)
    notification = claim_notification(database, lease_s=60)
    assert notification is not None
    record_sent(database, notification)
    with database.begin() as connection:
        keep_state(connection, 1, "0" * 64, "")
    run(database, "UPDATE audit_anchor SET checked_at = checked_at - interval '9 seconds'")
    counts = ReceiveCounts(database)
    counts.add(0x0000, 100)
    counts.add(0xA700, 100)
    counts.write()


@pytest.fixture(scope="module")
def documented() -> dict[str, tuple[frozenset[str], str]]:
    found = _documented_metrics()
    assert len(found) > 30
    return found


def test_documented_and_exported_metrics_are_the_same_and_each_changes(
    database: Database, tmp_path: Path, documented: dict[str, tuple[frozenset[str], str]]
) -> None:
    settings = Settings(node=NodeSection(data_dir=tmp_path / "data"), receive=ReceiveSection(min_free_bytes=1))
    unavailable = Database.open("postgresql://nobody@127.0.0.1:1/none")
    without, _ = _exported_metrics(settings, unavailable)  # no database, no data folder
    unavailable.dispose()
    before, _ = _exported_metrics(settings, database)
    blobs = Blobs(tmp_path / "data" / "blobs")
    for role in ROLES:
        heartbeats.record_heartbeat(database, role, "host:1", {})
    ready, _ = _exported_metrics(settings, database)
    _cause_every_event(database, blobs)
    after, types = _exported_metrics(settings, database)
    assert set(after) == set(documented)
    assert {name: kind for name, (_, kind) in documented.items()} == types
    for name, (labels, _) in documented.items():
        for sample in after[name]:
            assert {key for key, _ in sample[:-1]} == labels, name
        first = {"dicom_node_database_up": without, "dicom_node_ready": ready}.get(name, before)
        assert after[name] != first.get(name, {}), f"{name} does not change"


def test_no_metric_holds_patient_data_or_uids(database: Database, tmp_path: Path) -> None:
    settings = Settings(node=NodeSection(data_dir=tmp_path / "data"))
    _cause_every_event(database, Blobs(tmp_path / "data" / "blobs"))
    page = metrics.render(read_node(settings, database)).decode()
    for value in ("Doe", "P1", "A1", "1.2.3", "PACS"):
        assert value not in page
