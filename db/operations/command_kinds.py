"""The commands of people: which there are, and which role carries each of them out."""

from dataclasses import dataclass
from enum import StrEnum

SELECTION = "selection"
"""Subject of a command on many rows."""


class CommandKind(StrEnum):
    """What a person may ask of a role."""

    JOB_REQUEUE = "job.requeue"
    JOB_CANCEL = "job.cancel"
    JOB_RERUN = "job.rerun"
    JOB_REQUEUE_MANY = "job.requeue_many"
    JOB_RERUN_MANY = "job.rerun_many"
    UNIT_REQUEUE = "unit.requeue"
    UNIT_REQUEUE_MANY = "unit.requeue_many"
    ROUTE_PAUSE = "route.pause"
    ROUTE_RESUME = "route.resume"
    DESTINATION_ECHO = "destination.echo"
    DESTINATION_PAUSE = "destination.pause"
    DESTINATION_RESUME = "destination.resume"
    DESTINATION_GIVE_UP = "destination.give_up"
    DELIVERY_RETRY = "delivery.retry"
    DELIVERY_RESEND = "delivery.resend"
    DELIVERY_RETRY_MANY = "delivery.retry_many"
    DELIVERY_RESEND_MANY = "delivery.resend_many"
    DELIVERY_GIVE_UP = "delivery.give_up"
    COMMITMENT_RETRY = "commitment.retry"
    COMMITMENT_RETRY_MANY = "commitment.retry_many"
    COMMITMENT_GIVE_UP = "commitment.give_up"
    NOTIFICATION_RETRY = "notification.retry"
    QUARANTINE_REQUEUE = "quarantine.requeue"
    QUARANTINE_REQUEUE_MANY = "quarantine.requeue_many"
    RETENTION_RUN = "retention.run"
    MODEL_ACTIVATE = "model.activate"
    MODEL_SHADOW = "model.shadow"
    MODEL_RETIRE = "model.retire"
    MODEL_ROLLBACK = "model.rollback"
    PATIENT_REFUSED = "patient.refused"
    PATIENT_ERASE = "patient.erase"


@dataclass(frozen=True, slots=True)
class CommandRule:
    """How a command is asked for.

    Attributes
    ----------
    role
        The role that carries it out.
    label
        What it does, in words.
    subject
        What its subject is: the number of a row, a name in the configuration, or how many rows a command on many is for.
    needs_reason
        Whether a person has to say why.
    """

    role: str
    label: str
    subject: str
    needs_reason: bool = True


COMMANDS: dict[CommandKind, CommandRule] = {
    CommandKind.JOB_REQUEUE: CommandRule("conduct", "Requeue job", "job"),
    CommandKind.JOB_CANCEL: CommandRule("conduct", "Cancel job", "job"),
    CommandKind.JOB_RERUN: CommandRule("conduct", "Run job again", "job"),
    CommandKind.JOB_REQUEUE_MANY: CommandRule("conduct", "Requeue failed jobs", SELECTION),
    CommandKind.JOB_RERUN_MANY: CommandRule("conduct", "Run results again", SELECTION),
    CommandKind.UNIT_REQUEUE: CommandRule("conduct", "Route unit again", "unit"),
    CommandKind.UNIT_REQUEUE_MANY: CommandRule("conduct", "Route units again", SELECTION),
    CommandKind.ROUTE_PAUSE: CommandRule("conduct", "Pause route", "route"),
    CommandKind.ROUTE_RESUME: CommandRule("conduct", "Resume route", "route"),
    CommandKind.DESTINATION_ECHO: CommandRule("send", "Test destination", "destination", needs_reason=False),
    CommandKind.DESTINATION_PAUSE: CommandRule("send", "Pause destination", "destination"),
    CommandKind.DESTINATION_RESUME: CommandRule("send", "Resume destination", "destination"),
    CommandKind.DESTINATION_GIVE_UP: CommandRule("send", "Give up what waits for destination", "destination"),
    CommandKind.DELIVERY_RETRY: CommandRule("send", "Send delivery again", "delivery"),
    CommandKind.DELIVERY_RESEND: CommandRule("send", "Send result again", "job"),
    CommandKind.DELIVERY_RETRY_MANY: CommandRule("send", "Send failed deliveries again", SELECTION),
    CommandKind.DELIVERY_RESEND_MANY: CommandRule("send", "Send results again", SELECTION),
    CommandKind.DELIVERY_GIVE_UP: CommandRule("send", "Give up delivery", "delivery"),
    CommandKind.COMMITMENT_RETRY: CommandRule("send", "Send commitment report again", "report"),
    CommandKind.COMMITMENT_RETRY_MANY: CommandRule("send", "Send commitment reports again", SELECTION),
    CommandKind.COMMITMENT_GIVE_UP: CommandRule("send", "Give up commitment report", "report"),
    CommandKind.NOTIFICATION_RETRY: CommandRule("send", "Post notification again", "notification"),
    CommandKind.QUARANTINE_REQUEUE: CommandRule("listen", "Receive again from quarantine", "item"),
    CommandKind.QUARANTINE_REQUEUE_MANY: CommandRule("listen", "Receive refused data sets again", SELECTION),
    CommandKind.RETENTION_RUN: CommandRule("conduct", "Delete by retention", SELECTION),
    CommandKind.MODEL_ACTIVATE: CommandRule("conduct", "Activate version", "version"),
    CommandKind.MODEL_SHADOW: CommandRule("conduct", "Run version as shadow", "version"),
    CommandKind.MODEL_RETIRE: CommandRule("conduct", "Retire version", "version"),
    CommandKind.MODEL_ROLLBACK: CommandRule("conduct", "Roll back model", "model"),
    CommandKind.PATIENT_REFUSED: CommandRule("conduct", "Look for a person in refused data sets", "person", needs_reason=False),
    CommandKind.PATIENT_ERASE: CommandRule("conduct", "Erase a person", "person"),
}

ON_MANY = frozenset(kind for kind, rule in COMMANDS.items() if rule.subject == SELECTION)
"""Commands on many rows. A person sees what such a command would do before it is asked for."""
