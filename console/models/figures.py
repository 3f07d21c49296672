"""Figures of models that are kept in memory until there is something new to count: reading them takes a while."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, tzinfo
from typing import Any

from db.engine import Database
from db.operations.model_performance import ModelPerformance, last_verdict, read_performance
from db.operations.shadow_comparison import compare_shadows, last_shadow_result

PERFORMANCE_S = 600.0  # the weeks that count end now, so that verdicts leave them although none is added
SHADOWS_S = 60.0  # of two results at the same time, the one with the lower number may be committed last
MOST_KEPT = 100
COMPARED_UNITS = 500


class KeptModelFigures:
    """Reads figures that are not in memory, or are older than what they count, or than a limit."""

    def __init__(self, database: Database, zone: tzinfo = UTC) -> None:
        """``zone``: of which the weeks are."""
        self._database = database
        self._zone = zone
        self._kept: dict[tuple[str, ...], tuple[int, float, Any]] = {}
        self._lock = threading.Lock()

    def performance(self, model: str, digest: str) -> ModelPerformance:
        """Return the figures of a model by verdicts; the calibration is that of the version with this digest."""
        last = last_verdict(self._database)
        found: ModelPerformance = self._read(
            ("performance", model, digest), last, PERFORMANCE_S, lambda: read_performance(self._database, model, digest, self._zone)
        )
        return found

    def shadows(self, model: str) -> list[dict[str, Any]]:
        """Return the comparison of the last results of shadows with those of the pipelines that reported."""
        last = last_shadow_result(self._database, model)
        found: list[dict[str, Any]] = self._read(
            ("shadows", model), last, SHADOWS_S, lambda: compare_shadows(self._database, model, units=COMPARED_UNITS)
        )
        return found

    def _read(self, name: tuple[str, ...], last: int, keep_s: float, read: Callable[[], Any]) -> Any:
        now = time.monotonic()
        with self._lock:
            kept, at, found = self._kept.get(name, (-1, now, None))
        if found is None or kept != last or now - at > keep_s:
            found = read()
            with self._lock:
                if len(self._kept) >= MOST_KEPT:
                    self._kept.clear()
                self._kept[name] = (last, now, found)
        return found
