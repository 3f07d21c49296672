"""One run: studies are sent while faults are injected, then the node finishes its work, and the invariants are checked.

The same seed sends the same studies in the same way and draws the same faults. The times of the faults depend on the machine.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from core.errors import NodeError
from db.deliveries.delivery_admin import retry_deliveries
from tests.chaos import faults_worker
from tests.chaos.faults import KILLS, OTHER_FAULTS, WeightedFaults, draw_fault
from tests.chaos.invariants import unfinished_work, violations
from tests.chaos.node_under_test import NodeUnderTest
from tests.chaos.senders import BEHAVIOURS, Behaviour
from tests.chaos.study_generator import StudyGenerator
from tests.chaos.summary import summarise

SENDERS = 2
MAXIMUM_JOBS = 25  # queued or running: more studies would only wait
FAULTS_BEHIND = 3  # how many faults the injection may be behind the studies
PROGRESS_EVERY_S = 10.0
FINISH_TIMEOUT_S = 900.0


@dataclass(frozen=True, slots=True)
class ChaosPlan:
    """What to do. ``kills`` and ``other_faults`` are spread over the studies; ``killer_input``: one study kills every worker."""

    seed: int
    studies: int
    kills: int
    other_faults: int
    killer_input: bool = True
    on_progress: Callable[[str], None] = print
    kill_faults: WeightedFaults = KILLS
    faults: WeightedFaults = OTHER_FAULTS
    ways_to_send: Mapping[str, tuple[Behaviour, int]] = field(default_factory=lambda: BEHAVIOURS)


@dataclass(slots=True)
class ChaosRun:
    """Carries out a plan."""

    target: NodeUnderTest
    generator: StudyGenerator
    plan: ChaosPlan
    began: float = field(default_factory=time.monotonic)
    sent: int = 0
    instances: int = 0
    faults_injected: int = 0
    behaviours: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    failed: threading.Event = field(default_factory=threading.Event)

    def run(self) -> dict[str, Any]:
        """Run everything and return the summary."""
        injectors = [
            threading.Thread(target=self._run_guarded, args=(self._inject_kills,)),
            threading.Thread(target=self._run_guarded, args=(self._inject_other_faults,)),
        ]
        senders = [threading.Thread(target=self._run_guarded, args=(self._send_studies, number)) for number in range(SENDERS)]
        for thread in (*injectors, *senders):
            thread.start()
        threads = [*senders, *injectors]
        while any(thread.is_alive() for thread in threads):
            self._print_progress()
            for thread in threads:
                thread.join(PROGRESS_EVERY_S / len(threads))
        for failpoint in self.target.failpoints.armed():
            if failpoint != "worker.prepared" or not self.target.killer_inputs:
                self.target.failpoints.disarm(failpoint)
        self.target.end_second_processes()
        self._wait_until_finished()
        return summarise(self.target, self._about(), violations(self.target), self.errors)

    def _run_guarded(self, work: Callable[..., None], *arguments: Any) -> None:
        try:
            work(*arguments)
        except BaseException as error:
            self.errors.append(f"{type(error).__name__}: {error}")
            self.failed.set()

    def _send_studies(self, sender: int) -> None:
        ways = self.plan.ways_to_send
        names, weights = list(ways), [weight for _, weight in ways.values()]
        for number in range(sender, self.plan.studies, SENDERS):
            if self.failed.is_set():
                return
            rng = random.Random(f"{self.plan.seed}/{number}")
            study = self.generator.study(number)
            (name,) = rng.choices(names, weights)
            self._pace(number)
            if self.plan.killer_input and number == self.plan.studies // 2:
                faults_worker.add_killer_input(self.target, study.uid, "kill")
                name = "plain"
            ways[name][0](self.target, study, rng)
            self.behaviours[name] += 1
            with self.target.lock:
                self.sent += 1
                self.instances += len(study.instances)

    def _pace(self, number: int) -> None:
        """Wait while the faults or the worker are behind, so that faults are spread over the whole run."""
        share = number / self.plan.studies
        while not self.failed.is_set():
            behind = (
                self.target.kills + FAULTS_BEHIND < share * self.plan.kills
                or self.faults_injected + FAULTS_BEHIND < share * self.plan.other_faults
            )
            if not behind and self.target.number("SELECT count(*) FROM jobs WHERE state IN ('queued', 'running')") <= MAXIMUM_JOBS:
                return
            time.sleep(0.3)

    def _inject_kills(self) -> None:
        """Kill processes, spread over the studies. A process that does not run at that moment is not counted."""
        plan, rng = self.plan, random.Random(f"{self.plan.seed}/kills")
        while self.target.kills < plan.kills and not self.failed.is_set():
            if self.sent >= plan.studies * self.target.kills / plan.kills:
                draw_fault(plan.kill_faults, rng)(self.target, rng)
            time.sleep(rng.uniform(0.1, 0.5))

    def _inject_other_faults(self) -> None:
        """Inject the other faults, in the same way."""
        plan, rng = self.plan, random.Random(f"{self.plan.seed}/others")
        while self.faults_injected < plan.other_faults and not self.failed.is_set():
            if self.sent >= plan.studies * self.faults_injected / plan.other_faults:
                draw_fault(plan.faults, rng)(self.target, rng)
                self.faults_injected += 1
            time.sleep(rng.uniform(0.1, 0.5))

    def _wait_until_finished(self) -> None:
        deadline = time.monotonic() + FINISH_TIMEOUT_S
        while time.monotonic() < deadline:
            try:
                self._retry_failed_deliveries()
                unfinished = unfinished_work(self.target)
            except NodeError:
                unfinished = {"database": 1}
            if not unfinished:
                return
            self._print_progress(f"waiting for {unfinished}")
            time.sleep(PROGRESS_EVERY_S / 4)

    def _retry_failed_deliveries(self) -> None:
        """Retry deliveries that failed permanently, as an administrator would."""
        rows = self.target.rows(
            "SELECT d.id FROM deliveries d JOIN jobs j ON j.id = d.job_id WHERE d.state IN ('held', 'failed') AND j.state <> 'superseded'"
        )
        if rows:
            done = retry_deliveries(self.target.database, [row.id for row in rows], "chaos")
            self.target.faults_done["retried by hand"] += len(done)

    def _print_progress(self, more: str = "") -> None:
        target = self.target
        others = sum(target.faults_done.values()) + len(target.failpoints.fired()) - target.kills
        done = f"{self.sent}/{self.plan.studies} studies, {self.instances} instances, {target.kills} kills, {others} other faults"
        self.plan.on_progress(f"{time.monotonic() - self.began:6.0f} s  {done}  {more}".rstrip())

    def _about(self) -> dict[str, Any]:
        return {
            "seed": self.plan.seed,
            "real data": self.generator.real,
            "seconds": round(time.monotonic() - self.began),
            "studies": self.sent,
            "instances": self.instances,
            "behaviours": dict(self.behaviours),
        }
