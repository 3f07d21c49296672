"""Destinations that refuse, hang, answer late, break off, are away for days, and come back with half."""

import random
import time

from tests.chaos.faults_clock import jump
from tests.chaos.peer import BAD_MOODS
from tests.chaos.ward import Ward


def bad_mood(ward: Ward, dice: random.Random) -> None:
    """For some seconds."""
    peer, mood = dice.choice(ward.peers), dice.choice(BAD_MOODS)
    peer.mood = mood
    time.sleep(dice.uniform(2.0, 8.0))
    peer.mood = "well"
    ward.count(f"destination {mood}")


def away(ward: Ward, dice: random.Random) -> None:
    """Its port is closed."""
    with dice.choice(ward.peers).away():
        time.sleep(dice.uniform(2.0, 10.0))
    ward.count("destination away")


def away_for_72_hours(ward: Ward, dice: random.Random) -> None:
    """By the node's clock."""
    with dice.choice(ward.peers).away():
        for _ in range(3):
            time.sleep(1.5)
            jump(ward, 24 * 3600.0)
    ward.count("destination away for 72 h")


def back_with_half(ward: Ward, dice: random.Random) -> None:
    """A restored backup: what it had not committed to is half gone. Only where commitment is asked for can this be noticed."""
    peer = ward.peers[0]
    with peer.away():
        time.sleep(dice.uniform(0.5, 3.0))
        peer.forget_half()
    ward.count("destination back with half")
