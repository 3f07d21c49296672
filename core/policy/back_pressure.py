"""Decides when receiving pauses because disk or backlog is over a limit, and when it goes on.

Receiving pauses early, while senders can still keep their images. It goes on only at a distance from the limit (hysteresis): with a single
limit, a node that frees a megabyte would accept one image and refuse the next.
"""

from dataclasses import dataclass

HYSTERESIS = 0.1  # share of the limit beyond which receiving goes on


@dataclass(frozen=True, slots=True)
class ReceiveLimit:
    """A measured value and its limit: a minimum (free disk space) or a maximum (backlog). A limit of 0 is none."""

    reason: str
    value: int
    limit: int
    is_minimum: bool

    def should_pause(self, paused: bool) -> bool:
        """Whether receiving should be paused, given whether it is ``paused`` now."""
        if self.limit <= 0:
            return False
        if self.is_minimum:
            return self.value < (self.limit * (1 + HYSTERESIS) if paused else self.limit)
        return self.value > (self.limit * (1 - HYSTERESIS) if paused else self.limit)


def disk_limit(free_bytes: int, min_free_bytes: int) -> ReceiveLimit:
    """Return the limit on free disk space."""
    return ReceiveLimit("disk", free_bytes, min_free_bytes, is_minimum=True)


def backlog_limit(waiting: int, max_waiting: int) -> ReceiveLimit:
    """Return the limit on open units and queued jobs."""
    return ReceiveLimit("queue", waiting, max_waiting, is_minimum=False)


PAUSE_REASONS = {"disk": "the disk is nearly full", "queue": "too many units wait to be analysed"}
