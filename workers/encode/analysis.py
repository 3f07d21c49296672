"""The input of every encoder of result objects."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from core.records import HeatMap, ModelIdentity, Prediction
from core.states import ResultKind
from imaging.decoded_unit import DecodedUnit
from workers.encode.source_images.source import ResultSource


@dataclass(frozen=True, slots=True)
class Predecessor:
    """The report on an older revision that a destination has stored."""

    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str


@dataclass(frozen=True, slots=True)
class RelatedObject:
    """Another object of the same result, which the report refers to.

    ``segments``: for a segmentation, the segment number of each finding that has one, by the finding's number; both from 1.
    """

    kind: ResultKind
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    segments: Mapping[int, int] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Analysis:
    """One analysis of one unit.

    Attributes
    ----------
    installation, key, revision, run
        What the UIDs of its objects are derived from.
    identity, prediction
        The model, and its answer.
    source
        What is taken over from the images.
    started_at
        Start of the analysis, with time zone; the content date and time of its objects.
    frame_of_reference_uid
        Of the volume; "" if it has none. Then locations are given on single images.
    time_zone
        "+0100" or an IANA name, used if the source gives no offset; "" if the site gives none.
    limits
        Known limits of the model, one sentence each.
    remarks
        What else a reader of this result has to know, one sentence each, beside the notes of the prediction.
    advice
        One sentence to the reader, by label.
    predecessors
        Reports that this report replaces.
    item
        The unit as the model saw it; None if it could not be read.
    heat
        The heat map; None if no destination takes one or the model gave none.
    related_objects
        The other objects that the destinations of the report receive.
    max_object_bytes
        A larger object is left out, and the report says so.
    """

    installation: UUID
    key: str
    revision: int
    run: int
    identity: ModelIdentity
    prediction: Prediction
    source: ResultSource
    started_at: datetime
    frame_of_reference_uid: str = ""
    time_zone: str = ""
    limits: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    advice: Mapping[str, str] = field(default_factory=dict)
    predecessors: tuple[Predecessor, ...] = ()
    item: DecodedUnit | None = None
    heat: HeatMap | None = None
    related_objects: tuple[RelatedObject, ...] = ()
    max_object_bytes: int = 1 << 30
