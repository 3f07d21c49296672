"""When to take nothing more: early, while senders can still keep what they have, and not back and forth. Pure.

Beginning and end have a distance of their own (hysteresis): at one limit a node that frees a megabyte would take one image, and refuse
the next.
"""

from dataclasses import dataclass

RELIEF = 0.1  # of the limit, beyond it, before anything is taken again


@dataclass(frozen=True, slots=True)
class Measure:
    """What is measured against a limit. ``least``: there must be at least this much (disk); else at most (queue). Limit 0: none."""

    reason: str
    value: int
    limit: int
    least: bool

    def paused(self, now_paused: bool) -> bool:
        """Whether nothing may be taken, given whether that was so until now."""
        if self.limit <= 0:
            return False
        if self.least:
            return self.value < (self.limit * (1 + RELIEF) if now_paused else self.limit)
        return self.value > (self.limit * (1 - RELIEF) if now_paused else self.limit)


def disk(free_bytes: int, min_free_bytes: int) -> Measure:
    return Measure("disk", free_bytes, min_free_bytes, least=True)


def queue(waiting: int, max_waiting: int) -> Measure:
    return Measure("queue", waiting, max_waiting, least=False)


WORDS = {"disk": "the disk is nearly full", "queue": "too much waits to be analysed"}
