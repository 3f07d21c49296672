"""Every number of a snapshot reaches the metrics, the API and the page. Each number is different."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from console.app import create_app
from console.auth.guard import Accounts
from console.current_settings import CurrentSettings
from console.health import NodeReadiness, NodeSnapshot
from core.settings.settings import Settings
from core.states import DeliveryState, JobState
from db.accounts.sessions import SessionLimits
from db.engine import Database
from db.operations.alerts import Alert
from db.operations.status import NodeStatus, QueueStatus
from db.roles.heartbeats import Heartbeat

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
STATUS = NodeStatus(
    at=AT,
    instances=1001,
    undecided=1002,
    units_open=1003,
    associations_open=1004,
    outbox_backlog=1005,
    oldest_queued_s=1006.0,
    oldest_delivery_s=1007.0,
    audit_unchained=1008,
    quarantine_items=1009,
    quarantine_bytes=1010,
    jobs={JobState.QUEUED: 1011, JobState.QUARANTINED: 1012},
    deliveries={"<b>pacs</b>": {DeliveryState.STORED: 1013, DeliveryState.HELD: 1014}},
    heartbeats=(Heartbeat("relay", "host:1", AT, 2.5, {}), Heartbeat("relay", "host:2", AT, 1.5, {})),
    notifications_waiting=1016,
    queues={"urgent": QueueStatus(1017, 1018.0), "routine": QueueStatus(1019, 1020.0)},
    alerts=(Alert("receive.paused", "queue", 75.2, {}), Alert("destination.away", "<i>pacs</i>", 10.0, {})),
    counters={
        "received": {("stored",): 1021.0},
        "received_bytes": {(): 1022.0},
        "outcomes": {("skin", "findings"): 1023.0},
        "attempts": {("skin", "failed"): 1024.0},
        "delivery_attempts": {("<b>pacs</b>", "retry"): 1025.0},
        "alerts": {("receive.paused",): 1026.0},
        "notifications": {("sent",): 1027.0},
        "removed": {("images",): 1028.0},
        "removed_bytes": {(): 1029.0},
        "dwell": {("reported", "2.5"): 2.0, ("reported", "10"): 1.0, ("reported", "+Inf"): 1.0},
        "dwell_sum": {("reported",): 1030.0},
    },
)


Get = Callable[[str], httpx.Response]


@pytest.fixture(scope="module")
def get() -> Get:
    # Never connected: what is shown here needs no sign-in.
    database = Database.open("postgresql://nobody@127.0.0.1:9/none")
    accounts = Accounts(database, SessionLimits(60, 60), secure=False, ae_title="TESTNODE")
    application = create_app(
        lambda: NodeSnapshot(NodeReadiness(("relay: <i>failing</i>",)), STATUS, 1015, 1031), accounts, CurrentSettings(Settings())
    )

    async def ask(path: str) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url="http://node") as client:
            return await client.get(path)

    return lambda path: asyncio.run(ask(path))


def test_numbers_in_the_metrics(get: Get) -> None:
    samples = [sample for family in text_string_to_metric_families(get("/metrics").text) for sample in family.samples]
    assert sorted(sample.value for sample in samples if sample.value > 1000) == list(range(1001, 1032))
    ages = {sample.labels["role"]: sample.value for sample in samples if sample.name == "dicom_node_heartbeat_age_seconds"}
    assert ages == {"relay": 1.5}
    states = {sample.labels["state"] for sample in samples if sample.name == "dicom_node_deliveries"}
    assert states == set(DeliveryState)
    paused = {sample.labels["reason"]: sample.value for sample in samples if sample.name == "dicom_node_receive_paused"}
    assert paused == {"disk": 0, "queue": 1}
    buckets = {sample.labels["le"]: sample.value for sample in samples if sample.name == "dicom_node_dwell_seconds_bucket"}
    assert len(buckets) == 14
    assert [buckets[bound] for bound in ("1.0", "2.5", "5.0", "10.0", "86400.0", "+Inf")] == [0, 2, 2, 3, 3, 4]


def test_numbers_in_the_api(get: Get) -> None:
    shown = get("/api/v1/status").json()
    flat = [value for value in shown.values() if isinstance(value, (int, float)) and not isinstance(value, bool)]
    assert sorted(flat) == [*range(1001, 1011), 1015, 1016]
    assert shown["jobs"] == {"queued": 1011, "quarantined": 1012}
    assert shown["deliveries"] == {"<b>pacs</b>": {"stored": 1013, "held": 1014}}
    assert [(alert["kind"], alert["age_s"]) for alert in shown["alerts"]] == [("receive.paused", 75.2), ("destination.away", 10.0)]
    assert [role["name"] for role in shown["roles"]] == ["host:1", "host:2"]
    assert (shown["ready"], shown["missing"]) == (False, ["relay: <i>failing</i>"])


def test_numbers_on_the_page(get: Get) -> None:
    page = get("/status").text
    for number in (1001, 1002, 1003, 1004, 1005, 1008, 1009, 1011, 1012, 1013, 1014, 1016):
        assert f">{number}" in page
    assert "16 min 46 s" in page
    assert "16 min 47 s" in page
    assert "1010 B" in page
    assert "Not ready." in page
    assert "Receiving is paused: too many units wait to be analysed, for 1 min 15 s" in page
    assert "2026-01-02 03:04:05 UTC" in page
    assert ">given up</th>" in page
    assert "given_up" not in page, "no word of the database"


def test_names_are_escaped_on_the_page(get: Get) -> None:
    page = get("/status").text
    assert "<b>" not in page
    assert "<i>" not in page
    assert "&lt;b&gt;pacs" in page
