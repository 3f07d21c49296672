"""Returns jobs whose lease has expired to the queue, and republishes wake-ups that were lost."""

from collections.abc import Callable

import structlog

from core.settings.settings import Settings
from db.engine import Database
from db.jobs import job_leases, outbox
from workers.queue.queue_names import QUEUES

INTERVAL_S = 2.0
# Wake-ups in a queue. Each one works through all jobs that are due, so more would only fill the broker while no worker reads it.
REPUBLISH_CAP = 500

log = structlog.get_logger()


def reap(settings: Settings, database: Database, count_messages: Callable[[str], int]) -> int:
    """Queue jobs with expired leases again (or quarantine them), republish old wake-ups, and return how many rows were changed.

    Parameters
    ----------
    count_messages
        Returns how many messages a queue of the broker holds. No more than `REPUBLISH_CAP` are added to.

    Raises
    ------
    StorageError
        The database does not respond.
    """
    worker = settings.worker
    expired = job_leases.reap_jobs(database, max_attempts=worker.max_attempts, retry_base_s=worker.retry_base_s)
    if expired:
        log.warning("leases_expired", count=expired, hint="their workers were killed, or did not respond")
    republished = 0
    for queue in QUEUES:
        free = REPUBLISH_CAP - count_messages(queue)
        if free > 0:
            republished += outbox.republish_stale(database, dwell_s=worker.republish_after_s, cap=free, queue=queue)
    if republished:
        log.info("wake_ups_republished", count=republished)
    return expired + republished
