"""A discrete-event simulation of a node: listener, conductor, queue, workers, sender.

It knows what the node does and how long each step takes, and nothing of the node's code: what it predicts is compared with a run of the
real node (`tests/bench/load.py`) and with the formulas of docs/scale.md.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import simpy

CHUNK = 25  # instances that are received in one event: the simulated hour of a hospital group has 720,000 of them


@dataclass(frozen=True, slots=True)
class Constants:
    """Seconds of each step.

    Parameters
    ----------
    receive_s
        Of an instance, for which a listener process is busy.
    wire_s
        Of an instance, for which the network is busy. 0: not simulated.
    complete_s
        From the last instance of a unit to its queued job: evidence, settling, routing.
    wake_s
        From a queued job to its claim by a worker that is free: relay, broker, claim.
    work_s
        For which a worker child is busy with a unit: preparation, inference, encoding.
    deliver_s
        For which the sender is busy with a result.
    """

    receive_s: float
    complete_s: float
    wake_s: float
    work_s: float
    deliver_s: float
    wire_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Study:
    """A study with one unit. ``work_s``: seconds of this unit, where they were measured, instead of those of the constants."""

    arrives_s: float
    instances: int
    work_s: float | None = None


@dataclass(slots=True)
class StudyTimes:
    """When a study was received, queued, claimed, reported and delivered, in seconds from the begin."""

    received_s: float = 0.0
    queued_s: float = 0.0
    claimed_s: float = 0.0
    reported_s: float = 0.0
    delivered_s: float = 0.0

    @property
    def dwell_s(self) -> float:
        """From the last instance to the stored report."""
        return self.delivered_s - self.received_s


@dataclass(slots=True)
class Simulation:
    """A node with a number of processes of each kind. `run` may be called once."""

    constants: Constants
    listeners: int = 1
    children: int = 1
    senders: int = 1
    busy_s: dict[str, float] = field(default_factory=lambda: dict.fromkeys(("network", "listeners", "workers", "senders"), 0.0))

    def run(self, studies: Sequence[Study]) -> list[StudyTimes]:
        """Simulate until every study is delivered; return their times in the order given."""
        env = simpy.Environment()
        amounts = {"network": 1, "listeners": self.listeners, "workers": self.children, "senders": self.senders}
        places = {name: simpy.Resource(env, amount) for name, amount in amounts.items()}
        times = [StudyTimes() for _ in studies]
        for study, found in zip(studies, times, strict=True):
            env.process(self._way(env, places, study, found))
        env.run()
        return times

    def utilisation(self, horizon_s: float) -> dict[str, float]:
        """Return for each kind of process the share of ``horizon_s`` for which it was busy, 1 for all of them busy all the time."""
        amounts = {"network": 1, "listeners": self.listeners, "workers": self.children, "senders": self.senders}
        return {name: busy / amounts[name] / horizon_s for name, busy in self.busy_s.items()}

    def _way(self, env: simpy.Environment, places: dict[str, simpy.Resource], study: Study, found: StudyTimes) -> Iterator[Any]:
        """Follow one study."""
        constants = self.constants
        yield env.timeout(study.arrives_s)
        for begin in range(0, study.instances, CHUNK):
            count = min(CHUNK, study.instances - begin)
            if constants.wire_s:
                yield from self._use(env, places, "network", count * constants.wire_s)
            yield from self._use(env, places, "listeners", count * constants.receive_s)
        found.received_s = env.now
        yield env.timeout(constants.complete_s)
        found.queued_s = env.now
        yield env.timeout(constants.wake_s)
        work_s = constants.work_s if study.work_s is None else study.work_s
        yield from self._use(env, places, "workers", work_s)
        found.reported_s, found.claimed_s = env.now, env.now - work_s
        yield from self._use(env, places, "senders", constants.deliver_s)
        found.delivered_s = env.now

    def _use(self, env: simpy.Environment, places: dict[str, simpy.Resource], name: str, seconds: float) -> Iterator[Any]:
        """Wait for one of the processes, first come, first served, and keep it busy for some seconds."""
        with places[name].request() as turn:
            yield turn
            yield env.timeout(seconds)
        self.busy_s[name] += seconds


def poisson_arrivals(studies_per_hour: float, hours: float, instances: int, seed: int) -> list[Study]:
    """Return studies that arrive independently of each other."""
    random, studies, at = Random(seed), [], 0.0
    while (at := at + random.expovariate(studies_per_hour / 3600)) < hours * 3600:
        studies.append(Study(at, instances))
    return studies
