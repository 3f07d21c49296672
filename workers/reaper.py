"""What nobody comes back for: leases that ran out, and queued jobs whose wake-up was lost."""

import structlog

from core.settings import Settings
from db import jobs, outbox
from db.base import Database

EVERY_S = 2.0
REPUBLISH_CAP = 500  # wake-ups a round: a dead worker's backlog must not flood the broker

log = structlog.get_logger()


def reap(settings: Settings, database: Database) -> int:
    """Queue abandoned jobs again (or quarantine them), and wake for jobs that wait too long. How many were touched."""
    worker = settings.worker
    lost = jobs.reap(database, max_attempts=worker.max_attempts)
    if lost:
        log.warning("leases ran out: their workers were killed, or hung", count=lost)
    again = outbox.republish_stale(database, dwell_s=worker.republish_after_s, cap=REPUBLISH_CAP)
    if again:
        log.info("wake-ups published again", count=again)
    return lost + again
