"""A seeded run: studies stream in, faults strike beside them, then it is quiet, and what must hold is checked.

The same seed sends the same studies in the same manners and draws the same faults; the instants at which they strike are the machine's.
"""

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.errors import NodeError
from core.steps import STEPS
from db import deliveries
from tests.chaos import faults_clock, faults_destinations, faults_disk, faults_processes, faults_servers, faults_worker
from tests.chaos.invariants import restless, violations
from tests.chaos.modality import MANNERS
from tests.chaos.studies import Pool
from tests.chaos.ward import Ward

Strike = Callable[[Ward, random.Random], None]
KILLS: tuple[tuple[Strike, int], ...] = (
    (faults_processes.at_a_step, 50),
    (faults_processes.at_random, 40),
    (faults_processes.worker_child, 3),
    (faults_processes.all_roles, 2),
)
OTHERS: tuple[tuple[Strike, int], ...] = (
    (faults_servers.database_restarted, 4),
    (faults_servers.database_connections_cut, 8),
    (faults_servers.database_backend_killed, 4),
    (faults_servers.broker_emptied, 6),
    (faults_servers.broker_with_old_data, 4),
    (faults_servers.message_twice, 6),
    (faults_servers.message_late, 6),
    (faults_servers.message_never, 6),
    (faults_destinations.bad_mood, 20),
    (faults_destinations.away, 6),
    (faults_destinations.away_for_72_hours, 3),
    (faults_destinations.back_with_half, 5),
    (faults_worker.out_of_memory, 4),
    (faults_worker.out_of_gpu_memory, 4),
    (faults_worker.hanging, 2),
    (faults_worker.wedged, 2),
    (faults_disk.at_a_write, 8),
    (faults_disk.full, 4),
    (faults_clock.forward, 3),
    (faults_clock.back, 3),
    (faults_processes.two_of_a_kind, 2),
)
SENDERS = 2
MOST_WAITING = 100
AHEAD = 3  # faults that the studies may be ahead of
SAY_EVERY_S = 10.0
QUIET_S = 420.0


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
        return self._table(violations(self.ward))

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
                _draw(KILLS, dice)(self.ward, dice)
            time.sleep(dice.uniform(0.1, 0.5))

    def _others(self) -> None:
        """The other faults, in the same way."""
        plan, dice = self.plan, random.Random(f"{self.plan.seed}/others")
        while self.strikes < plan.others and not self.over.is_set():
            if self.sent >= plan.studies * self.strikes / plan.others:
                _draw(OTHERS, dice)(self.ward, dice)
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
            done = deliveries.retry(self.ward.database, [row.id for row in rows], "chaos")
            self.ward.struck["sent again by a person"] += len(done)

    def _say(self, more: str = "") -> None:
        ward = self.ward
        others = sum(ward.struck.values()) + len(ward.arms.fired()) - ward.kills
        done = f"{self.sent}/{self.plan.studies} studies, {self.instances} instances, {ward.kills} kills, {others} other faults"
        self.plan.say(f"{time.monotonic() - self.began:6.0f} s  {done}  {more}".rstrip())

    def _table(self, found: dict[str, list[str]]) -> dict[str, Any]:
        ward = self.ward
        fired = Counter(f"{do} at {label}" for label, do in ward.arms.fired())
        at_steps = {label for label, do in ward.arms.fired() if do == "kill"}
        states = {row.state: row.count for row in ward.rows("SELECT state, count(*) AS count FROM jobs GROUP BY state")}
        return {
            "seed": self.plan.seed,
            "real data": self.pool.real,
            "studies": self.sent,
            "instances": self.instances,
            "acknowledged": len(ward.acknowledged),
            "not acknowledged at first": ward.refused,
            "seconds": round(time.monotonic() - self.began),
            "kills": ward.kills,
            "steps killed at": len(at_steps),
            "steps never reached": sorted(set(STEPS) - at_steps),
            "faults": dict(sorted((fired + ward.struck).items())),
            "manners": dict(self.manners),
            "jobs": states,
            "attempts": {row.result: row.count for row in ward.rows("SELECT result, count(*) AS count FROM attempts GROUP BY result")},
            "forgotten by a destination": sum(peer.forgotten for peer in ward.peers),
            "clock moved by, s": round(ward.clock_s),
            "blobs without a row": _orphans(ward),
            "errors": self.errors,
            "violations": {name: found[name][:5] for name in found if found[name]},
        }


def _draw(faults: tuple[tuple[Strike, int], ...], dice: random.Random) -> Strike:
    (drawn,) = dice.choices([fault for fault, _ in faults], [weight for _, weight in faults])
    return drawn


def _orphans(ward: Ward) -> int:
    """What a kill between the blob and its row leaves: no temporary file, but nobody's."""
    rows = ward.rows("SELECT sha256 FROM instances UNION SELECT sha256 FROM reports UNION SELECT sha256 FROM quarantine")
    known = {row.sha256 for row in rows}
    return sum(len(path.name) == 64 and path.name not in known for path in (ward.data / "blobs").rglob("*"))


def held(table: dict[str, Any]) -> bool:
    """Whether the run ended as it must."""
    return not table["violations"] and not table["errors"]


def show(table: dict[str, Any], json_file: Path | None = None) -> str:
    """The table as text; as JSON into a file."""
    if json_file is not None:
        json_file.write_text(json.dumps(table, indent=2) + "\n")
    lines = [f"{name:<28} {_words(value)}" for name, value in table.items()]
    return "\n".join((*lines, "ALL INVARIANTS HELD" if held(table) else "NOT ALL INVARIANTS HELD"))


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_words(item)}" for name, item in value.items()) or "none"
    if isinstance(value, list):
        return "; ".join(map(str, value)) or "none"
    return str(value)
