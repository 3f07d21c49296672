"""Faults of processes: SIGKILL at random times and at failpoints, and second processes of roles that must not act twice."""

import random
import time

from core.failpoints import FAILPOINTS
from tests.chaos.node_under_test import ROLES, NodeUnderTest

# A worker takes several seconds of processor time to start, the others one or two: it is killed less often.
VICTIMS = (*ROLES, "worker child", "listen", "conduct", "relay", "send", "postgres", "broker")
WORKER_AREAS = ("worker", "claim", "finish")
COMMAND_AREAS = ("erase",)  # of commands, which the node under test does not run: tests/deploy/cli/patients kills them
DECIDING_ROLES = ("conduct", "relay", "send")
FAILPOINT_WAIT_S = 3.0


def kill_any(target: NodeUnderTest, rng: random.Random) -> None:
    """Kill any process."""
    target.kill(rng.choice(VICTIMS), rng)


def kill_worker_child(target: NodeUnderTest, rng: random.Random) -> None:
    """Kill the process that computes; its parent survives."""
    target.kill("worker child", rng)


def kill_all_roles(target: NodeUnderTest, rng: random.Random) -> None:
    """Kill every process except the servers, as when a machine runs out of memory."""
    for role in ROLES:
        target.kill(role, rng)


def kill_at_failpoint(target: NodeUnderTest, rng: random.Random) -> None:
    """Kill the next process that reaches a failpoint. All failpoints are used before one is used again."""
    killed_at = [failpoint for failpoint, fault in target.failpoints.fired() if fault == "kill"]
    reached = [name for name in FAILPOINTS if name.partition(".")[0] not in COMMAND_AREAS]
    times = {name: killed_at.count(name) * (3 if name.partition(".")[0] in WORKER_AREAS else 1) for name in reached}
    armed = set(target.failpoints.armed())
    candidates = [name for name in reached if times[name] == min(times.values()) and name not in armed]
    if not candidates:
        return
    failpoint = rng.choice(candidates)
    target.failpoints.arm(failpoint)
    deadline = time.monotonic() + FAILPOINT_WAIT_S
    while failpoint in target.failpoints.armed() and time.monotonic() < deadline:
        time.sleep(0.1)  # one that no process reaches stays armed


def run_second_processes(target: NodeUnderTest, rng: random.Random) -> None:
    """Run a second conductor, relay and sender for some seconds."""
    for role in DECIDING_ROLES:
        target.start_second_process(role)
    time.sleep(rng.uniform(6.0, 12.0))
    target.count("second processes")
    target.end_second_processes()
