"""Faults of destinations: refusals, hangs, late answers, aborts, being unreachable for days, lost objects."""

import random
import time

from tests.chaos.destination import FAULTS
from tests.chaos.faults_clock import move_clock
from tests.chaos.node_under_test import NodeUnderTest


def misbehave(target: NodeUnderTest, rng: random.Random) -> None:
    """Let a destination misbehave for some seconds."""
    destination, fault = rng.choice(target.destinations), rng.choice(FAULTS)
    destination.fault = fault
    time.sleep(rng.uniform(2.0, 8.0))
    destination.fault = ""
    target.count(f"destination {fault}")


def unreachable(target: NodeUnderTest, rng: random.Random) -> None:
    """Close the port of a destination for some seconds."""
    with rng.choice(target.destinations).unreachable():
        time.sleep(rng.uniform(2.0, 10.0))
    target.count("destination unreachable")


def unreachable_for_72_hours(target: NodeUnderTest, rng: random.Random) -> None:
    """Close the port of a destination while the node's clock moves by 72 hours."""
    with rng.choice(target.destinations).unreachable():
        for _ in range(3):
            time.sleep(1.5)
            move_clock(target, 24 * 3600.0)
    target.count("destination unreachable for 72 h")


def lose_half(target: NodeUnderTest, rng: random.Random) -> None:
    """Let a destination lose half of what it has not committed to, as after the restore of a backup.

    The node can notice this only at the destination that it requests storage commitment from.
    """
    destination = target.destinations[0]
    with destination.unreachable():
        time.sleep(rng.uniform(0.5, 3.0))
        destination.forget_half()
    target.count("destination lost half")
