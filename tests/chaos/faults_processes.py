"""Processes: kill -9 at random instants, at labelled steps, and a second one of every role that decides."""

import random
import time

from core.failpoints import STEPS
from tests.chaos.ward import ROLES, Ward

# A worker takes several seconds of processor time to start, the others one or two: it is killed less often.
VICTIMS = (*ROLES, "worker child", "listen", "conduct", "relay", "send", "postgres", "broker")
WORKER_AREAS = ("worker", "claim", "finish")
TWINS = ("conduct", "relay", "send")
STEP_WAIT_S = 3.0


def at_random(ward: Ward, dice: random.Random) -> None:
    """Any process, at any instant."""
    ward.kill(dice.choice(VICTIMS), dice)


def worker_child(ward: Ward, dice: random.Random) -> None:
    """The process that computes; its parent lives."""
    ward.kill("worker child", dice)


def all_roles(ward: Ward, dice: random.Random) -> None:
    """Every process but the servers, as when a machine's memory runs out."""
    for role in ROLES:
        ward.kill(role, dice)


def at_a_step(ward: Ward, dice: random.Random) -> None:
    """The next process that comes to a labelled step; each has its turn before one has it again."""
    struck = [label for label, do in ward.arms.fired() if do == "kill"]
    turns = {label: struck.count(label) * (3 if label.partition(".")[0] in WORKER_AREAS else 1) for label in STEPS}
    armed = set(ward.arms.armed())
    waiting = [label for label in STEPS if turns[label] == min(turns.values()) and label not in armed]
    if not waiting:
        return
    label = dice.choice(waiting)
    ward.arms.arm(label)
    deadline = time.monotonic() + STEP_WAIT_S
    while label in ward.arms.armed() and time.monotonic() < deadline:
        time.sleep(0.1)  # a step that nobody comes to stays armed


def two_of_a_kind(ward: Ward, dice: random.Random) -> None:
    """Two conductors, two relays, two senders at once; then the second ones are killed."""
    for role in TWINS:
        ward.twin(role)
    time.sleep(dice.uniform(6.0, 12.0))
    ward.count("two schedulers")
    ward.end_twins()
