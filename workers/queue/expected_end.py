"""Celery's message about a child that ended before its task did, where the node wants it to: a worker that stops waits for no computation.

Such a child has given its jobs back (`workers.child.runtime`), and Celery takes it for lost.
"""

import logging
from collections.abc import Callable

from billiard.exceptions import WorkerLostError

CELERY_LOGGER = "celery.worker.request"


class ExpectedEnd(logging.Filter):
    """Removes that message, with its traceback, while the worker stops. At any other time it stays: then a child was killed."""

    def __init__(self, is_stopping: Callable[[], bool]) -> None:
        super().__init__()
        self._is_stopping = is_stopping

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the message is logged."""
        arguments = record.args if isinstance(record.args, tuple) else ()
        return not (any(isinstance(argument, WorkerLostError) for argument in arguments) and self._is_stopping())


def hide_expected_end(is_stopping: Callable[[], bool]) -> None:
    """Add the filter to Celery's logger of this process."""
    logging.getLogger(CELERY_LOGGER).addFilter(ExpectedEnd(is_stopping))
