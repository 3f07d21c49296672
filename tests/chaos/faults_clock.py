"""The node's clock, which is PostgreSQL's ``node_now()``: it jumps."""

import random

from tests.chaos.ward import Ward


def jump(ward: Ward, seconds: float) -> None:
    """Forward, or back."""
    ward.clock_s += seconds
    ward.rows(
        "CREATE OR REPLACE FUNCTION node_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS "
        f"'SELECT clock_timestamp() + make_interval(secs => {ward.clock_s:.3f})'"
    )


def forward(ward: Ward, dice: random.Random) -> None:
    """By seconds to hours: every lease runs out at once."""
    jump(ward, 10 ** dice.uniform(0.5, 4.0))
    ward.count("clock forward")


def back(ward: Ward, dice: random.Random) -> None:
    """By seconds: what was due waits as much longer."""
    jump(ward, -dice.uniform(1.0, 8.0))
    ward.count("clock back")
