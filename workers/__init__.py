"""Celery workers, the pipeline, the encoding of results, the relay and the reaper."""
