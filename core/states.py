"""The states things can be in. Stable words: people query the database by them."""

from enum import StrEnum


class UnitKind(StrEnum):
    """What is analysed as one: a whole series (CT) or one image (photographs)."""

    SERIES = "series"
    IMAGE = "image"


class UnitState(StrEnum):
    """Where a unit of analysis stands before it becomes a job."""

    OPEN = "open"  # instances may still come
    COMPLETE = "complete"  # decided by evidence; routed or recorded as not routed


class JobState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    REPORTED = "reported"  # objects and deliveries are committed
    DELIVERED = "delivered"  # every delivery stored, or committed where asked for
    FAILED = "failed"
    QUARANTINED = "quarantined"  # attempts used up; visible, requeued by a person
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"  # a newer revision of the same unit took its place


class Outcome(StrEnum):
    FINDINGS = "findings"
    NO_FINDING = "no_finding"
    ABSTAINED = "abstained"
    NOT_ANALYSED = "not_analysed"


class DeliveryState(StrEnum):
    PENDING = "pending"
    SENDING = "sending"
    STORED = "stored"
    COMMITTED = "committed"
    HELD = "held"  # a person or a policy has to let it go on
    FAILED = "failed"
    WITHDRAWN = "withdrawn"  # superseded before it was delivered


class Tier(StrEnum):
    """How much weight a reader may give a probability; limits live in the model card."""

    HIGH = "high"
    REVIEW = "review"
    UNCERTAIN = "uncertain"


class ReportKind(StrEnum):
    """The objects of a result profile (interface: ``objects = [...]``)."""

    SR = "sr"
    SEG = "seg"
    HEATMAP = "heatmap"
    PARAMETRIC_MAP = "parametric_map"
    KEY_IMAGES = "key_images"
    PDF = "pdf"
    REJECTION = "rejection"  # of what a destination stored of an older result: no part of a profile, see ``iocm``


class Priority(StrEnum):
    ROUTINE = "routine"
    URGENT = "urgent"


class ModelStatus(StrEnum):
    RESEARCH = "research"
    CLINICAL = "clinical"


class ModelState(StrEnum):
    """Where a pipeline digest stands; a model's name has at most one that is active."""

    ACTIVE = "active"  # new jobs are planned for it
    STANDBY = "standby"  # known, or active before: jobs planned for it still end, and it can be activated
    SHADOW = "shadow"  # runs beside the active one; stored and compared, never reported
    RETIRED = "retired"  # nothing is reported by it any more


class Origin(StrEnum):
    """Where a model's card and weights lie."""

    PACKAGE = "package"  # shipped with the release
    INSTALLED = "installed"  # put into node.data_dir/models by a person


OPEN_JOB_STATES = frozenset({JobState.QUEUED, JobState.RUNNING})
DONE_DELIVERY_STATES = frozenset({DeliveryState.STORED, DeliveryState.COMMITTED})
