"""Growing pauses between attempts while the database, the broker, a peer or a file is unavailable."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 5.0


class BackOff:
    """Pauses that double from 0.2 s to ``longest_s``, and start again at 0.2 s after a success."""

    def __init__(self, longest_s: float = LONGEST_PAUSE_S) -> None:
        self._pause_s = FIRST_PAUSE_S
        self._longest_s = longest_s

    def next_pause_s(self) -> float:
        """Seconds to wait after a failure; the pause after the next failure is twice as long."""
        pause_s = self._pause_s
        self._pause_s = min(pause_s * 2, self._longest_s)
        return pause_s

    def reset(self) -> None:
        """Report a success."""
        self._pause_s = FIRST_PAUSE_S
