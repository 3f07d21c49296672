"""In any order of the acts of sources, conductor, workers and result senders, a unit has one current result at the end."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Event

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from core.errors import LeaseLost
from core.states import JobState
from db import audit
from db.complete import units
from db.complete.completion import complete_unit
from db.complete.content_conflicts import list_undecided, settle_conflict
from db.complete.unit_records import UnitView
from db.deliveries import delivery_leases
from db.deliveries.delivery_results import fail_delivery, record_stored
from db.engine import Database
from db.jobs import job_leases, outbox
from db.jobs.claim import claim_jobs
from db.jobs.job_admin import cancel_job, requeue_jobs, show_job
from db.jobs.job_records import ClaimedJob
from db.listings.jobs import list_jobs
from tests.support.records import Sender, evidence, finish, plan, scalar

STEPS = (
    "new",
    "other bytes",
    "settle same",
    "settle changed",
    "read",
    "complete",
    "claim",
    "finish oldest",
    "finish newest",
    "expire",
    "replace the worker",
    "replace the sender",
    "cancel",
    "requeue",
    "deliver",
    "restart",
    "analyse",  # read, complete, claim and finish together: otherwise few runs get so far
    "analyse",
)


class Node:
    """One unit of one study, and the views and claims that the roles have, however old."""

    def __init__(self, database: Database, study: str) -> None:
        self.database, self.study, self.sender = database, study, Sender(database)
        self.sent = 0
        self.views: list[UnitView] = []
        self.claims: list[ClaimedJob] = []

    def step(self, name: str) -> None:
        """Do one act of a role."""
        database = self.database
        if name == "new" or not self.sent:
            self.sent += 1
            self.sender.send(self.sent, study=self.study, series=f"{self.study}.9")
        elif name == "other bytes":
            self.sender.send(
                1,
                study=self.study,
                series=f"{self.study}.9",
                content=f"{self.study} changed {scalar(database, 'SELECT count(*) FROM instances')}",
            )
        elif name.startswith("settle"):
            for conflict in list_undecided(database, 1):
                settle_conflict(database, conflict.id, same=name == "settle same")
        elif name == "read":
            self.views = units.units_of_study(database, self.study)
        elif name == "complete" and self.views:
            self.complete(self.views[0])
        elif name == "claim":
            self.claims += claim_jobs(database, worker="w", priorities=None, models=None, lease_s=60)
        elif name.startswith("finish") and self.claims:
            self.finish(self.claims.pop(0 if name == "finish oldest" else -1))
        elif name == "expire":
            for job in self.claims:
                job_leases.renew_job(database, job, -1.0)
            job_leases.reap_jobs(database, max_attempts=99)
        elif name == "replace the worker":  # two workers have the same job, and the first does not know
            for part in ("claim", "expire", "claim"):
                self.step(part)
        elif name == "replace the sender":
            self.replace_the_sender()
        elif name in ("cancel", "requeue"):
            for row in list_jobs(database, limit=1):
                cancel_job(database, row["job_id"], "a") if name == "cancel" else requeue_jobs(database, [row["job_id"]], "a")
        elif name == "analyse":
            for part in ("read", "complete", "claim", "finish newest"):
                self.step(part)
        elif name == "deliver":
            self.deliver()
        elif name == "restart":
            self.views, self.claims = [], []

    def complete(self, unit: UnitView) -> None:
        """Complete from a view of any age: what is completed is what was read."""
        done = complete_unit(self.database, unit, evidence=evidence(unit.held), plans=(plan(),), routes=(), selected=None, reason="")
        (now,) = units.units_of_study(self.database, self.study)
        assert done is None or (now.held, now.revision) == (unit.held, unit.revision)

    def finish(self, job: ClaimedJob) -> None:
        """Finish by a worker of any age: only the holder of the lease writes, at the current revision."""
        (now,) = units.units_of_study(self.database, self.study)
        holder = scalar(self.database, f"SELECT token FROM jobs WHERE id = {job.id}")
        try:
            finish(self.database, job)
        except LeaseLost:
            return
        assert (job.token, job.revision) == (holder, now.revision)

    def replace_the_sender(self) -> None:
        """A sender's lease expires while it sends, and another one sends the same: the first one writes nothing."""
        late = delivery_leases.claim_deliveries(self.database, sender="s1", lease_s=-1, limit=1)
        delivery_leases.reap_deliveries(self.database)
        again = delivery_leases.claim_deliveries(self.database, sender="s2", lease_s=60, limit=1)
        for delivery in late:
            with pytest.raises(LeaseLost):
                fail_delivery(self.database, delivery, error="no answer", status=None)
        for delivery in again:
            record_stored(self.database, delivery, status=0)

    def deliver(self) -> None:
        """Deliver one object."""
        for delivery in delivery_leases.claim_deliveries(self.database, sender="s", lease_s=60, limit=1):
            record_stored(self.database, delivery, status=0)

    def finish_everything(self) -> None:
        """Let the roles work until nothing is left to do."""
        database = self.database
        self.step("new")
        for conflict in list_undecided(database, 100):
            settle_conflict(database, conflict.id, same=True)
        self.step("read")
        self.complete(self.views[0])
        self.step("expire")
        for job in claim_jobs(database, worker="w", priorities=None, models=None, lease_s=60, limit=100):
            finish(database, job)
        for _ in range(200):
            self.deliver()
            if not scalar(database, "SELECT count(*) FROM deliveries WHERE state = 'pending'"):
                return
        raise AssertionError("a pending delivery is never claimed")

    def check(self) -> None:
        """One job is current and delivered, with the current instances and one report."""
        rows = [row for row in list_jobs(self.database, limit=1000) if row["study_instance_uid"] == self.study]
        (unit,) = units.units_of_study(self.database, self.study)
        held = units.instances_of_unit(self.database, unit.id)
        assert len(held) == unit.held == len({item.header.sop_instance_uid for item in held})
        current = [row for row in rows if row["job_state"] not in ("superseded", "cancelled")]
        assert [row["job_state"] for row in current] == [JobState.DELIVERED]
        assert current[0]["revision"] == unit.revision
        shown = show_job(self.database, current[0]["job_id"])
        assert [image["sha256"] for image in shown["images"]] == [item.sha256 for item in held]
        assert len(shown["reports"]) == len(shown["deliveries"]) == 1
        assert all(row["reported_at"] is None or row["job_state"] in ("superseded", "delivered") for row in rows)


@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
)
@example(steps=["new", "read", "complete", "replace the worker", "finish oldest", "finish newest"])  # refused by the token
@example(steps=["new", "read", "complete", "claim", "new", "finish oldest"])  # refused by the revision
@example(steps=["new", "read", "new", "complete"])  # what is completed is what was read
@example(steps=["new", "analyse", "replace the sender"])
@given(steps=st.lists(st.sampled_from(STEPS), max_size=25))
def test_one_current_result_at_the_end(database: Database, steps: list[str]) -> None:
    study = f"1.5.{scalar(database, 'SELECT count(*) FROM studies')}"
    node = Node(database, study)
    for name in steps:
        node.step(name)
    node.finish_everything()
    node.check()


@pytest.mark.parametrize("series", [1, 3])
def test_all_roles_at_the_same_time(database: Database, series: int) -> None:
    """Threads of all roles on the same few units: no deadlock, nothing twice, nothing lost."""
    done, slices = Event(), 12
    nodes = [Node(database, f"1.4.{number}") for number in range(series)]

    def send(node: Node, odd: int) -> None:
        sender = Sender(database)
        for number in range(1, slices + 1):
            if number % 2 == odd or number % 5 == 0:  # every fifth instance is sent on both associations
                sender.send(number, study=node.study, series=f"{node.study}.9")

    def conduct() -> None:
        while not done.is_set():
            for unit in units.due_units(database, limit=10):
                complete_unit(database, unit, evidence=evidence(unit.held), plans=(plan(),), routes=(), selected=None, reason="")

    def relay() -> None:
        while not done.is_set():
            outbox.mark_published(database, [row.id for row in outbox.pending_wake_ups(database, 100)])
            outbox.republish_stale(database, dwell_s=0, cap=100)
            job_leases.reap_jobs(database, max_attempts=10**6)
            audit.chain(database)

    def work(lease_s: float) -> None:
        while not done.is_set():
            for job in claim_jobs(database, worker="w", priorities=None, models=None, lease_s=lease_s):
                with suppress(LeaseLost):
                    finish(database, job)

    def deliver(lease_s: float) -> None:
        while not done.is_set():
            for delivery in delivery_leases.claim_deliveries(database, sender="s", lease_s=lease_s, limit=2):
                with suppress(LeaseLost):
                    record_stored(database, delivery, status=0)
            delivery_leases.reap_deliveries(database)

    with ThreadPoolExecutor(16) as pool:
        roles = [pool.submit(conduct), pool.submit(conduct), pool.submit(relay), pool.submit(work, 60), pool.submit(work, 0.001),
                 pool.submit(deliver, 60), pool.submit(deliver, 0.001)]  # fmt: skip
        senders = [pool.submit(send, node, odd) for node in nodes for odd in (0, 1)]
        for sender in senders:
            sender.result()
        done.set()
        for role in roles:
            role.result()
    for node in nodes:
        node.finish_everything()
        node.check()
        assert units.units_of_study(database, node.study)[0].held == slices
    while audit.chain(database):
        pass
    check = audit.verify(database)
    assert (check.broken, check.unchained) == (None, 0)
