"""All that a result object is made from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from core.records import HeatMap, ModelIdentity, Prediction
from core.states import ResultKind
from imaging.photograph.read import Photograph
from imaging.volume.volume import Volume
from workers.encode.source import Source


@dataclass(frozen=True, slots=True)
class Predecessor:
    """The document of an older revision that a destination has stored."""

    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str


@dataclass(frozen=True, slots=True)
class Companion:
    """Another object of the same result, that the report refers to.

    ``segments``: for a segmentation, the segment number of each finding that has one, by the finding's number (from 1).
    """

    kind: ResultKind
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    segments: Mapping[int, int] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Analysis:
    """One analysed unit: who asked, who answers, what the answer is.

    ``item``: the unit as the model saw it, None where it could not be read. ``heat``: the evidence for the answer, where a
    destination takes it and the model gave it. ``companions``: the other objects that go to the report's destinations.

    ``frame_of_reference_uid``: of the volume, "" where it has none; then locations are given on single images.
    ``started_at``: start of the analysis, with time zone; the document's content date and time.
    ``time_zone``: "+0100" or an IANA name, used where the source gives no offset; "" where the site gives none.
    ``max_object_bytes``: a larger object is left out, and the report says so.
    ``limits``: known limits of the model, one sentence each. ``advice``: by label, one sentence to the reader.
    """

    installation: UUID
    key: str
    revision: int
    run: int
    identity: ModelIdentity
    prediction: Prediction
    source: Source
    started_at: datetime
    frame_of_reference_uid: str = ""
    time_zone: str = ""
    limits: tuple[str, ...] = ()
    advice: Mapping[str, str] = field(default_factory=dict)
    predecessors: tuple[Predecessor, ...] = ()
    item: Volume | Photograph | None = None
    heat: HeatMap | None = None
    companions: tuple[Companion, ...] = ()
    max_object_bytes: int = 1 << 30
