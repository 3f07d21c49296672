"""States and kinds as they are stored in the database. The words are stable, because people query by them."""

from enum import StrEnum


class UnitKind(StrEnum):
    """Kind of a unit of analysis: a whole series (CT) or one image (photographs)."""

    SERIES = "series"
    IMAGE = "image"


class UnitState(StrEnum):
    """State of a unit of analysis before it becomes a job."""

    OPEN = "open"  # more instances may arrive
    COMPLETE = "complete"  # routed, or recorded as not routed


class JobState(StrEnum):
    """State of a job."""

    QUEUED = "queued"
    RUNNING = "running"
    REPORTED = "reported"  # objects and deliveries are committed
    DELIVERED = "delivered"  # every delivery stored, or committed where asked for
    FAILED = "failed"
    QUARANTINED = "quarantined"  # all attempts are used up; a person may requeue it
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"  # a newer revision of the same unit took its place


class Outcome(StrEnum):
    """Outcome of an analysis, apart from the state of its job."""

    FINDINGS = "findings"
    NO_FINDING = "no_finding"
    ABSTAINED = "abstained"
    NOT_ANALYSED = "not_analysed"


class DeliveryState(StrEnum):
    """State of a delivery: one result object to one destination."""

    PENDING = "pending"
    SENDING = "sending"
    STORED = "stored"
    COMMITTED = "committed"
    HELD = "held"  # a person has to release it
    FAILED = "failed"
    WITHDRAWN = "withdrawn"  # outdated before it was sent
    GIVEN_UP = "given_up"  # a person decided that it is not sent any more


class Tier(StrEnum):
    """Confidence tier of a probability. The limits are in the model card."""

    HIGH = "high"
    REVIEW = "review"
    UNCERTAIN = "uncertain"


class ResultKind(StrEnum):
    """Kind of a result object, as in ``objects = [...]`` of a destination."""

    SR = "sr"
    SEG = "seg"
    HEATMAP = "heatmap"
    PARAMETRIC_MAP = "parametric_map"
    KEY_IMAGES = "key_images"
    PDF = "pdf"
    ASSESSMENT = "assessment"  # what a clinician decided on the result
    REJECTION = "rejection"  # rejects stored objects of an older result; not part of a profile, see ``iocm``


class Priority(StrEnum):
    """Priority of a job; each has a queue of its own."""

    ROUTINE = "routine"
    URGENT = "urgent"


class ModelStatus(StrEnum):
    """What a model may be used for. Results of research models reach only destinations that accept them."""

    RESEARCH = "research"
    CLINICAL = "clinical"


class ModelState(StrEnum):
    """State of a pipeline digest in the registry. A model's name has at most one active digest."""

    ACTIVE = "active"  # new jobs are planned for it
    STANDBY = "standby"  # its jobs are still carried out, and it can be activated
    SHADOW = "shadow"  # runs beside the active one; its results are stored and compared, never reported
    RETIRED = "retired"  # none of its results is reported any more


class ModelOrigin(StrEnum):
    """Where the card and weights of a model come from."""

    PACKAGE = "package"  # shipped with the release
    INSTALLED = "installed"  # imported into node.data_dir/models


OPEN_JOB_STATES = frozenset({JobState.QUEUED, JobState.RUNNING})
DONE_DELIVERY_STATES = frozenset({DeliveryState.STORED, DeliveryState.COMMITTED})
