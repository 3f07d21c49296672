"""What nobody comes back for: leases that ran out, and queued jobs whose wake-up was lost."""

from collections.abc import Callable

import structlog

from core.settings.settings import Settings
from db.engine import Database
from db.jobs import job_leases, outbox
from workers.queue.queue_names import QUEUES

EVERY_S = 2.0
REPUBLISH_CAP = 500  # wake-ups in a queue: each works off whatever is due, and a dead worker's backlog must not flood the broker

log = structlog.get_logger()


def reap(settings: Settings, database: Database, waiting: Callable[[str], int]) -> int:
    """Queue abandoned jobs again (or quarantine them), and wake for jobs that wait too long. How many were touched.

    ``waiting`` says how many messages a queue holds: where nobody reads them, no more are added.
    """
    worker = settings.worker
    lost = job_leases.reap(database, max_attempts=worker.max_attempts, retry_base_s=worker.retry_base_s)
    if lost:
        log.warning("leases ran out: their workers were killed, or hung", count=lost)
    again = 0
    for queue in QUEUES:
        room = REPUBLISH_CAP - waiting(queue)
        if room > 0:
            again += outbox.republish_stale(database, dwell_s=worker.republish_after_s, cap=room, queue=queue)
    if again:
        log.info("wake-ups published again", count=again)
    return lost + again
