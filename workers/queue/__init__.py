"""Celery application, worker process, task, relay and reaper: how a queued job reaches a worker.

The modules depend on each other in this order: ``queue_names``, ``celery_app``, ``tasks`` (on ``workers.attempt``), ``worker``. The
relay and the reaper use only the first two, so that their process imports neither the task nor what the task needs.
"""
