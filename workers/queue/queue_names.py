"""Names of the Celery queues and of the task: what publishers and workers must agree on."""

from core.states import Priority

URGENT, ROUTINE = "infer.urgent", "infer.routine"
QUEUES = (URGENT, ROUTINE)
TASK = "infer"
PRIORITY_OF_QUEUE = {URGENT: Priority.URGENT, ROUTINE: Priority.ROUTINE}
