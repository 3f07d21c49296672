"""Celery workers: queue, child process, attempt, results and their encoding.

The folders depend on each other in one direction: ``queue`` -> ``attempt`` -> ``child``, ``results`` -> ``encode``.
"""

import imaging  # noqa: F401  (imports pydicom faster than pydicom itself would)
