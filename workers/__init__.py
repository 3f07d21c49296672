"""Celery workers: queue, child process, attempt, results and their encoding.

The folders depend on each other in one direction: ``queue`` -> ``attempt`` -> ``child``, ``results`` -> ``encode``.
"""
