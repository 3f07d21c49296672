"""The figures of models by verdicts, which are kept in memory until there is a further verdict: reading those of 26 weeks takes a while."""

import threading
import time

from db.engine import Database
from db.operations.model_performance import ModelPerformance, last_verdict, read_performance

KEEP_S = 600.0  # the weeks that count end now, so that verdicts leave them although none is added
MOST_KEPT = 100


class KeptPerformance:
    """Reads the figures of a version that are not in memory, or are older than the last verdict or `KEEP_S`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._kept: dict[tuple[str, str], tuple[int, float, ModelPerformance]] = {}
        self._lock = threading.Lock()

    def read(self, model: str, digest: str) -> ModelPerformance:
        """Return the figures of a model; the calibration is that of the version with this digest."""
        last, now = last_verdict(self._database), time.monotonic()
        with self._lock:
            verdict, at, found = self._kept.get((model, digest), (-1, now, None))
        if found is None or verdict != last or now - at > KEEP_S:
            found = read_performance(self._database, model, digest)
            with self._lock:
                if len(self._kept) >= MOST_KEPT:
                    self._kept.clear()
                self._kept[model, digest] = (last, now, found)
        return found
