"""The pause between two checks of a condition that a test waits for."""

import time

CHECKS_SHARE = 10  # at most a tenth of the time is spent on checks, some of which ask a database many questions
LONGEST_S = 1.0


def pause(began: float, every_s: float) -> None:
    """Sleep after a check that ``began`` then (``time.monotonic``): at least ``every_s``, longer where checks take long."""
    checked_s = time.monotonic() - began
    time.sleep(max(every_s, min(LONGEST_S, (CHECKS_SHARE - 1) * checked_s)))
