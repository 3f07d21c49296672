"""A regular stop of a busy worker logs no error; a child that was killed is an error."""

import logging
import threading

import pytest
from billiard.exceptions import WorkerLostError

from workers.queue.expected_end import CELERY_LOGGER, ExpectedEnd


def test_a_child_that_gave_its_jobs_back_is_no_error_while_the_worker_stops(caplog: pytest.LogCaptureFixture) -> None:
    logger, stopping = logging.getLogger(CELERY_LOGGER), threading.Event()
    expected_end = ExpectedEnd(stopping.is_set)
    logger.addFilter(expected_end)
    try:
        with caplog.at_level(logging.ERROR, CELERY_LOGGER):
            for _ in range(2):
                for error in (WorkerLostError("Worker exited prematurely: exitcode 0"), ValueError("another")):
                    logger.error("Task handler raised error: %r", error)
                stopping.set()
    finally:
        logger.removeFilter(expected_end)
    kinds = ["WorkerLostError" if "WorkerLostError" in line else "ValueError" for line in caplog.messages]
    assert kinds == ["WorkerLostError", "ValueError", "ValueError"]
