"""Two sources, two destinations, any interleaving: one current result, and at each destination a chain of reports to it."""

from contextlib import suppress
from itertools import pairwise

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from core.errors import LeaseLost
from core.records import ResultObject
from core.states import Outcome, ResultKind
from db.complete import units
from db.complete.content_conflicts import list_undecided, settle_conflict
from db.deliveries import delivery_leases
from db.deliveries.delivery_leases import ClaimedDelivery
from db.deliveries.delivery_results import record_stored, retry_delivery_later
from db.engine import Database
from db.jobs import job_leases
from db.jobs.claim import claim_jobs, claim_not_analysed
from db.jobs.finish import commit_result
from db.jobs.job_admin import requeue_jobs, show_job
from db.jobs.job_records import ClaimedJob, StoredObject
from db.listings.jobs import list_jobs
from tests.support.records import SR, Sender, blob, complete, identity, plan, prediction, run, scalar, timings

SEG = "1.2.840.10008.5.1.4.1.1.66.4"
DESTINATIONS = ("archive", "workstation")
SENDING = st.tuples(st.sampled_from(["send"]), st.integers(0, 1), st.integers(1, 3))  # which sender, which slice
CHANGING = st.tuples(st.sampled_from(["send changed"]), st.integers(0, 1), st.integers(1, 3))
OTHERS = st.tuples(
    st.sampled_from(
        ["settle same", "settle changed", "conduct", "claim", "finish", "fail", "make failure report", "worker lost", "requeue"]
        + ["analyse", "take", "store", "busy", "sender lost", "deliver"] * 2
    ),
    st.integers(0, 1),
    st.integers(0, 0),
)
STEPS = st.lists(st.one_of(SENDING, CHANGING, OTHERS), max_size=30)


class Simulation:
    """One series in one node, and what the two destinations have stored, in order."""

    def __init__(self, database: Database, study: str) -> None:
        self.database, self.study = database, study
        self.senders = [Sender(database, "SCANNER"), Sender(database, "ROUTER")]
        self.claims: list[ClaimedJob] = []
        self.on_the_wire: list[ClaimedDelivery] = []
        self.stored: dict[str, list[tuple[str, str]]] = {name: [] for name in DESTINATIONS}  # (kind, UID)
        self.made: dict[str, ClaimedJob] = {}  # by the UID of the report
        self.changes = 0

    def step(self, name: str, who: int, number: int) -> None:
        """Do one act of a role; ``who``: of the two sources, or whether the oldest claim is finished."""
        database = self.database
        if name == "send":
            self.senders[who].send(number, study=self.study, series=f"{self.study}.9")
        elif name == "send changed":
            self.changes += 1
            self.senders[who].send(number, study=self.study, series=f"{self.study}.9", content=f"{self.study} change {self.changes}")
        elif name.startswith("settle"):
            for conflict in list_undecided(database, 1):
                settle_conflict(database, conflict.id, same=name == "settle same")
        elif name == "conduct" and units.units_of_study(database, self.study):
            complete(database, plan(destinations=DESTINATIONS), study=self.study)
        elif name == "claim":
            self.claims += claim_jobs(database, worker="w", priorities=None, models=None, lease_s=600)
        elif name == "make failure report":
            self.claims += claim_not_analysed(database, worker="w", priorities=None, lease_s=600)
        elif name == "finish" and self.claims:
            self.finish(self.claims.pop(0 if who else -1))
        elif name == "fail" and self.claims:
            with suppress(LeaseLost):
                job_leases.fail_job(database, self.claims.pop(), error="no memory", permanent=True, retry_in_s=0, max_attempts=3)
        elif name == "worker lost":
            for job in self.claims:
                job_leases.renew_job(database, job, -1.0)
            job_leases.reap_jobs(database, max_attempts=2)
        elif name == "requeue":
            requeue_jobs(database, [row["job_id"] for row in list_jobs(database, limit=1)], "admin")
        elif name == "analyse":
            for part in ("conduct", "claim", "finish", "make failure report", "finish"):
                self.step(part, 0, 0)
        else:
            self.deliver(name)

    def deliver(self, name: str) -> None:
        """Do one act of a result sender."""
        if name in ("take", "deliver"):
            self.on_the_wire += delivery_leases.claim_deliveries(self.database, sender="s", lease_s=600, limit=1 if name == "take" else 10)
        while self.on_the_wire and name in ("store", "busy", "deliver"):
            delivery = self.on_the_wire.pop(0)
            with suppress(LeaseLost):
                if name == "busy":
                    retry_delivery_later(self.database, delivery, error="busy", in_s=0)
                else:
                    record_stored(self.database, delivery, status=0)
                    self.stored[delivery.destination].append((delivery.kind, delivery.sop_instance_uid))
            if name != "deliver":
                break
        if name == "sender lost":
            run(self.database, "UPDATE deliveries SET lease_until = node_now() - interval '1 s' WHERE state = 'sending'")
            delivery_leases.reap_deliveries(self.database)
            self.on_the_wire.clear()

    def finish(self, job: ClaimedJob) -> None:
        """Commit a result: a segmentation and a report, or the report that the job was not analysed."""
        uid = f"2.25.{int(job.key[:24], 16)}{job.revision}{job.run}{int(job.failure_state is not None)}"
        objects = []
        for kind, sop_class in ((ResultKind.SEG, SEG), (ResultKind.SR, SR)):
            if kind is ResultKind.SR or job.failure_state is None:
                made = ResultObject(kind, kind.value, sop_class, f"{uid}.{len(objects)}", f"{uid}.9", b"")
                objects.append(StoredObject(made, blob(made.sop_instance_uid), job.destinations))
        answer = prediction(1) if job.failure_state is None else prediction(0)
        with suppress(LeaseLost):
            commit_result(self.database, job, prediction=answer, identity=identity(), objects=tuple(objects), timings=timings())
            self.made[objects[-1].report.sop_instance_uid] = job

    def finish_everything(self) -> None:
        """Both sources send once more, and the roles work until nothing is left to do."""
        for who in (0, 1):
            self.step("send", who, 1)
        for conflict in list_undecided(self.database, 100):
            settle_conflict(self.database, conflict.id, same=True)
        if units.units_of_study(self.database, self.study)[0].state == "open":
            self.step("conduct", 0, 0)
        for part in ("worker lost", "sender lost", "claim", "finish", "worker lost", "claim", "finish", "make failure report", "finish"):
            if part == "worker lost":
                self.claims.clear()
                run(self.database, "UPDATE jobs SET lease_until = node_now() - interval '1 s' WHERE state = 'running'")
            self.step(part, 0, 0)
        for _ in range(50):
            self.deliver("deliver")
            if not scalar(self.database, "SELECT count(*) FROM deliveries WHERE state IN ('pending', 'sending')"):
                return
        raise AssertionError("a delivery that is due is never claimed")

    def check(self) -> None:
        """Compare what is stored at the destinations with the one current job."""
        rows = [row for row in list_jobs(self.database, limit=1000) if row["study_instance_uid"] == self.study]
        (current,) = [row for row in rows if row["job_state"] not in ("superseded", "cancelled")]
        (unit,) = units.units_of_study(self.database, self.study)
        assert (current["revision"], unit.state) == (unit.revision, "complete")
        assert current["job_state"] in ("delivered", "failed", "quarantined")
        assert current["outcome"] in (Outcome.FINDINGS, Outcome.NOT_ANALYSED)  # never without a report
        shown = show_job(self.database, current["job_id"])
        (last,) = [row["sop_instance_uid"] for row in shown["reports"] if row["kind"] == "sr"]
        for name, got in self.stored.items():
            reports = list(dict.fromkeys(uid for kind, uid in got if kind == "sr"))
            assert reports[-1] == last, "the destination's latest report is the current one"
            for before, after in pairwise(reports):
                assert self.made[after].predecessors[name][1] == before, "each report names the one that it replaces"
            assert name not in self.made[reports[0]].predecessors
            older = {uid for kind, uid in got if kind == "seg"} - {row["sop_instance_uid"] for row in shown["reports"]}
            assert older == {item.sop_instance_uid for item in self.made[last].outdated if item.destination == name}
        for row in rows:
            states = {one["state"] for one in show_job(self.database, row["job_id"])["deliveries"]}
            assert states <= ({"stored"} if row is current else {"stored", "withdrawn"})
            assert (row["job_state"] == "superseded") == (row is not current)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate, Phase.shrink])
@given(steps=STEPS)
def test_one_current_result_and_an_unbroken_chain_at_every_destination(database: Database, steps: list[tuple[str, int, int]]) -> None:
    run(database, "UPDATE deliveries SET state = 'withdrawn' WHERE state = 'pending'")  # left by an example that failed
    simulation = Simulation(database, f"1.8.{scalar(database, 'SELECT count(*) FROM studies')}")
    for step in steps:
        simulation.step(*step)
    simulation.finish_everything()
    simulation.check()


def test_both_sources_send_the_whole_series_at_the_same_time(database: Database) -> None:
    """Slice by slice in turn, completed after each by the conductor, and delivered each time."""
    simulation = Simulation(database, "1.8.0")
    for number in (1, 2, 3):
        for who in (0, 1):
            simulation.step("send", who, number)
            simulation.step("analyse", 0, 0)
            simulation.step("deliver", 0, 0)
    simulation.finish_everything()
    simulation.check()
    assert [len(got) for got in simulation.stored.values()] == [6, 6]  # a report and a segmentation for each of three revisions
