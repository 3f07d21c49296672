"""The Celery application, its tasks, and the relay from the outbox to the broker."""
