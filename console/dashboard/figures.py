"""The figures of the dashboard, of which past days are kept in memory: they hardly change, and reading 90 days takes a while."""

import threading
import time
from datetime import UTC, date, tzinfo

from db.dashboard import BY_DAY, DayCounts, Figures, figures_of, last_days, read_days
from db.engine import Database

KEEP_S = 600.0
OPEN_DAYS = 2  # today and yesterday, on which jobs still end, are always read; of weeks, this one and the last
MOST_KEPT = 40  # combinations of route and day or week


class KeptFigures:
    """Reads days or weeks that are not in memory, or have been there for `KEEP_S`, and the last `OPEN_DAYS`."""

    def __init__(self, database: Database, zone: tzinfo = UTC) -> None:
        """``zone``: of which the days are."""
        self._database = database
        self._zone = zone
        self._kept: dict[tuple[str, str], dict[date, tuple[float, DayCounts]]] = {}
        self._lock = threading.Lock()

    def read(self, *, days: int, model: str, by: str = BY_DAY, route: str = "") -> Figures:
        """Return the figures of the last ``days`` days by day or week, of one model and route or of all."""
        wanted, now = last_days(self._database, days, by, self._zone), time.monotonic()
        with self._lock:
            if len(self._kept) > MOST_KEPT:
                self._kept.clear()
            kept = self._kept.setdefault((by, route), {})
            known = {day: counts for day, (at, counts) in kept.items() if now - at < KEEP_S}
            since = next((day for day in wanted[:-OPEN_DAYS] if day not in known), wanted[-OPEN_DAYS:][0])
            read = read_days(self._database, [day for day in wanted if day >= since], by=by, route=route, zone=self._zone)
            found = {day: read.get(day, DayCounts()) if day >= since else known[day] for day in wanted}
            self._kept[by, route] = {day: (now if day >= since else kept[day][0], counts) for day, counts in (known | found).items()}
        return figures_of(wanted, found, model)
