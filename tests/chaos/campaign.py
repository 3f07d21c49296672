"""A seeded run: studies stream in, faults strike beside them, then it is quiet, and what must hold is checked.

The same seed sends the same studies in the same manners and draws the same faults; the instants at which they strike are the machine's.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from core.errors import NodeError
from db.deliveries import delivery_leases
from tests.chaos import faults_worker
from tests.chaos.faults import KILLS, OTHERS, draw
from tests.chaos.invariants import restless, violations
from tests.chaos.modality import MANNERS
from tests.chaos.studies import Pool
from tests.chaos.table import table
from tests.chaos.ward import Ward

SENDERS = 2
MOST_WAITING = 25
AHEAD = 3  # faults that the studies may be ahead of
SAY_EVERY_S = 10.0
QUIET_S = 900.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done. ``kills`` and ``others`` (faults) are spread over the studies; ``poison``: one study kills every worker."""

    seed: int
    studies: int
    kills: int
    others: int
    poison: bool = True
    say: Callable[[str], None] = print


@dataclass(slots=True)
class Campaign:
    """One run of a plan against a ward."""

    ward: Ward
    pool: Pool
    plan: Plan
    began: float = field(default_factory=time.monotonic)
    sent: int = 0
    instances: int = 0
    strikes: int = 0
    manners: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> dict[str, Any]:
        """Everything, and the table of it."""
        strikers = [
            threading.Thread(target=self._guard, args=(self._kills,)),
            threading.Thread(target=self._guard, args=(self._others,)),
        ]
        senders = [threading.Thread(target=self._guard, args=(self._sends, number)) for number in range(SENDERS)]
        for thread in (*strikers, *senders):
            thread.start()
        waiting = [*senders, *strikers]
        while any(thread.is_alive() for thread in waiting):
            self._say()
            for thread in waiting:
                thread.join(SAY_EVERY_S / len(waiting))
        for label in self.ward.arms.armed():
            if label != "worker.prepared" or not self.ward.poisoned:
                self.ward.arms.disarm(label)
        self.ward.end_twins()
        self._quiet()
        return table(self.ward, self._about(), violations(self.ward), self.errors)

    def _guard(self, work: Callable[..., None], *arguments: Any) -> None:
        try:
            work(*arguments)
        except BaseException as error:
            self.errors.append(f"{type(error).__name__}: {error}")
            self.over.set()

    def _sends(self, sender: int) -> None:
        names, weights = list(MANNERS), [weight for _, weight in MANNERS.values()]
        for number in range(sender, self.plan.studies, SENDERS):
            if self.over.is_set():
                return
            dice = random.Random(f"{self.plan.seed}/{number}")
            study = self.pool.study(number)
            (name,) = dice.choices(names, weights)
            self._pace(number)
            if self.plan.poison and number == self.plan.studies // 2:
                faults_worker.poison(self.ward, study.uid, "kill")
                name = "plain"
            MANNERS[name][0](self.ward, study, dice)
            self.manners[name] += 1
            with self.ward.lock:
                self.sent += 1
                self.instances += len(study.instances)

    def _pace(self, number: int) -> None:
        """Faults are to strike all along the run and all of the pipeline: studies wait for them, and for the worker."""
        share = number / self.plan.studies
        while not self.over.is_set():
            late = self.ward.kills + AHEAD < share * self.plan.kills or self.strikes + AHEAD < share * self.plan.others
            if not late and self.ward.number("SELECT count(*) FROM jobs WHERE state IN ('queued', 'running')") <= MOST_WAITING:
                return
            time.sleep(0.3)

    def _kills(self) -> None:
        """So many processes, each once its share of the studies was sent. One that was just not there is not counted."""
        plan, dice = self.plan, random.Random(f"{self.plan.seed}/kills")
        while self.ward.kills < plan.kills and not self.over.is_set():
            if self.sent >= plan.studies * self.ward.kills / plan.kills:
                draw(KILLS, dice)(self.ward, dice)
            time.sleep(dice.uniform(0.1, 0.5))

    def _others(self) -> None:
        """The other faults, in the same way."""
        plan, dice = self.plan, random.Random(f"{self.plan.seed}/others")
        while self.strikes < plan.others and not self.over.is_set():
            if self.sent >= plan.studies * self.strikes / plan.others:
                draw(OTHERS, dice)(self.ward, dice)
                self.strikes += 1
            time.sleep(dice.uniform(0.1, 0.5))

    def _quiet(self) -> None:
        deadline = time.monotonic() + QUIET_S
        while time.monotonic() < deadline:
            try:
                self._operate()
                left = restless(self.ward)
            except NodeError:
                left = {"database": 1}
            if not left:
                return
            self._say(f"waiting for {left}")
            time.sleep(SAY_EVERY_S / 4)

    def _operate(self) -> None:
        """What a person does about what needs one: deliveries that were refused for good are sent again."""
        rows = self.ward.rows(
            "SELECT d.id FROM deliveries d JOIN jobs j ON j.id = d.job_id WHERE d.state IN ('held', 'failed') AND j.state <> 'superseded'"
        )
        if rows:
            done = delivery_leases.retry(self.ward.database, [row.id for row in rows], "chaos")
            self.ward.struck["sent again by a person"] += len(done)

    def _say(self, more: str = "") -> None:
        ward = self.ward
        others = sum(ward.struck.values()) + len(ward.arms.fired()) - ward.kills
        done = f"{self.sent}/{self.plan.studies} studies, {self.instances} instances, {ward.kills} kills, {others} other faults"
        self.plan.say(f"{time.monotonic() - self.began:6.0f} s  {done}  {more}".rstrip())

    def _about(self) -> dict[str, Any]:
        return {
            "seed": self.plan.seed,
            "real data": self.pool.real,
            "seconds": round(time.monotonic() - self.began),
            "studies": self.sent,
            "instances": self.instances,
            "manners": dict(self.manners),
        }
