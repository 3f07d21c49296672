"""Faults of the node's clock, which is PostgreSQL's function ``node_now()``."""

import random

from tests.chaos.node_under_test import NodeUnderTest


def move_clock(target: NodeUnderTest, seconds: float) -> None:
    """Move the clock forward, or back for a negative number."""
    target.clock_s += seconds
    target.rows(
        "CREATE OR REPLACE FUNCTION node_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS "
        f"'SELECT clock_timestamp() + make_interval(secs => {target.clock_s:.3f})'"
    )


def move_forward(target: NodeUnderTest, rng: random.Random) -> None:
    """Move the clock forward by seconds to hours: every lease expires at once."""
    move_clock(target, 10 ** rng.uniform(0.5, 4.0))
    target.count("clock forward")


def move_back(target: NodeUnderTest, rng: random.Random) -> None:
    """Move the clock back by seconds: everything that is due waits longer."""
    move_clock(target, -rng.uniform(1.0, 8.0))
    target.count("clock back")
