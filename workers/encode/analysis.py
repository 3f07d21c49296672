"""The input of every encoder of result objects."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from core.policy.priors.choice import PriorRule
from core.policy.priors.same_patient import LeftOut
from core.records import HeatMap, ModelIdentity, Prediction, PriorResult
from core.states import ResultKind
from imaging.decoded_unit import DecodedUnit
from workers.encode.source_images.source import ResultSource


@dataclass(frozen=True, slots=True)
class Predecessor:
    """A report that a destination has stored: on an older revision, or on an earlier examination."""

    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str


@dataclass(frozen=True, slots=True)
class EarlierResults:
    """The earlier results with which a result is compared.

    Attributes
    ----------
    rule
        By which they were chosen.
    priors
        The newest first; () if there is none.
    matched
        Whether the findings were matched to those of the first one.
    referenced
        Of these results, those whose report the destinations of this report have stored, with that report.
    left_out
        How many results of the same Patient ID were left out, because they are not surely of the patient.
    """

    rule: PriorRule
    priors: tuple[PriorResult, ...] = ()
    matched: bool = False
    referenced: tuple[tuple[PriorResult, Predecessor], ...] = ()
    left_out: LeftOut = ()

    def for_destinations(self, names: Collection[str]) -> "EarlierResults":
        """Return the same with references to the reports that all these destinations have stored; none without a destination."""
        found = []
        for prior in self.priors:
            stored = {prior.reports.get(name) for name in names}
            uids = stored.pop() if len(stored) == 1 else None
            if uids is not None:
                found.append((prior, Predecessor(*uids)))
        return replace(self, referenced=tuple(found))


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
    earlier
        The earlier results with which this one is compared; None if the route asks for no comparison.
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
    earlier: EarlierResults | None = None
    max_object_bytes: int = 1 << 30
