"""What Operations says of roles, destinations and numbers, where the node is not in order."""

from datetime import UTC, datetime

import pytest

from console.operations.overview import RoleRow, destination_rows, role_rows, totals
from core.settings.settings import Settings
from db.deliveries.giving_up import Undelivered
from db.operations.status import NodeStatus
from db.roles.heartbeats import Heartbeat

AT = datetime(2026, 11, 30, tzinfo=UTC)
SETTINGS = Settings.model_validate({"destinations": [{"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": 4242}]})


def _beat(role: str, age_s: float, name: str = "a:1", **details: str) -> Heartbeat:
    return Heartbeat(role, name, AT, age_s, details)


def _status(*beats: Heartbeat, jobs: dict[str, int] | None = None, deliveries: dict[str, dict[str, int]] | None = None) -> NodeStatus:
    return NodeStatus(
        at=AT, instances=0, undecided=0, units_open=0, associations_open=0, outbox_backlog=0, oldest_queued_s=0, oldest_delivery_s=0,
        audit_unchained=0, quarantine_items=7, quarantine_bytes=0, jobs=jobs or {}, deliveries=deliveries or {}, heartbeats=beats,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("beats", "state"),
    [
        ([], "missing"),
        ([_beat("worker", 200)], "silent"),
        ([_beat("worker", 2)], "running"),
        ([_beat("worker", 2, problem="the broker does not answer")], "hindered"),
        ([_beat("worker", 2, problem="the broker does not answer"), _beat("worker", 3, "b:1")], "running"),
        ([_beat("worker", 2, problem="the broker does not answer"), _beat("worker", 200, "b:1")], "hindered"),
    ],
)
def test_a_role_runs_only_where_one_of_its_processes_can_work(beats: list[Heartbeat], state: str) -> None:
    """As the readiness of the node says (`console.health.check_roles`)."""
    (worker,) = (row for row in role_rows(_status(*beats)) if row.role == "worker")
    assert worker.state == state


def test_a_process_that_has_ended_beside_a_living_one_is_marked() -> None:
    row = RoleRow("worker", (_beat("worker", 2), _beat("worker", 120, "b:1")))
    assert [row.is_alive(process) for process in row.processes] == [True, False]


@pytest.mark.parametrize(("beats", "served"), [([], False), ([_beat("send", 120)], False), ([_beat("send", 1)], True)])
def test_nothing_is_sent_where_no_sender_is_alive(beats: list[Heartbeat], served: bool) -> None:
    (row,) = destination_rows(SETTINGS, _status(*beats), (), {})
    assert row.served is served


def test_numbers_are_those_of_the_node_and_not_of_the_lists_which_are_cut() -> None:
    jobs = {"running": 120, "failed": 30, "quarantined": 25, "queued": 4, "delivered": 9000}
    found = totals(_status(jobs=jobs, deliveries={"pacs": {"held": 60, "failed": 2, "stored": 8, "pending": 70}, "ward": {"failed": 1}}))
    assert found == {"failed": 55, "running": 120, "queued": 4, "deliveries": 63, "waiting": 70, "quarantine": 7}


def test_a_destination_that_the_configuration_no_longer_has_is_listed_while_something_waits_for_it() -> None:
    """Also where it has stored what it was asked to commit to: no state of a delivery says that."""
    found = destination_rows(SETTINGS, _status(), (), {"gone": Undelivered(2, 812)})
    assert [(row.name, row.configured, row.undelivered) for row in found] == [("pacs", True, None), ("gone", False, Undelivered(2, 812))]
