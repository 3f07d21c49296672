"""Studies with their units, jobs and results, as the API returns them."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from core.states import Outcome, Tier


class Resource(BaseModel):
    """Something that is read from the attributes of a row or record."""

    model_config = ConfigDict(from_attributes=True)


class StudyEntry(Resource):
    """A study as the worklist shows it."""

    id: int = Field(description="Number of the study, for `/studies/{study_id}`")
    study_instance_uid: str
    patient_name: str = Field(description="Patient's Name (0010,0010), as it was received")
    patient_id: str
    accession_number: str
    study_description: str
    study_date: str = Field(description="Study Date (0008,0020), YYYYMMDD")
    first_received_at: datetime
    last_received_at: datetime | None
    reported_at: datetime | None
    modalities: list[str]
    series: int
    units: int = Field(description="Units of analysis: CT series and photographs")
    complete: int = Field(description="Complete units")
    instances: int
    state: str = Field(description="failed, receiving, queued, running, reported, delivered or not_routed")
    outcomes: list[str]
    models: list[str] = Field(description="Models with their versions")
    urgent: bool
    findings: int
    tier: Tier | None = Field(description="Highest tier of the findings")
    newer_images: bool = Field(description="Images have arrived or changed since one of the results was made: it does not cover them")


class FindingResource(Resource):
    """One finding of a job."""

    id: int
    ordinal: int
    label: str
    code_value: str
    code_scheme: str
    code_meaning: str
    probability: float | None = Field(description="Calibrated, 0 to 1")
    score: float | None = Field(description="Score of a detection, not a probability")
    tier: Tier
    position_mm: list[float] | None = Field(description="x, y, z in LPS, millimetres")
    diameter_mm: float | None
    sop_instance_uid: str = Field(description="Image that shows it best")
    frame: int | None
    image_point: list[float] | None = Field(description="Column and row in that image, pixels")
    measurements: list[dict[str, Any]] = Field(description="Coded measurements with value and unit")
    evaluations: list[dict[str, Any]] = Field(description="Coded evaluations, each with name and value: place, density, margin, suspicion")
    comparison: dict[str, Any] | None = Field(
        description="What the comparison with the newest of the earlier results says: its job, version, study date and days before; "
        "`change` (not_matched, not_judged, within_error, larger or smaller); the matched finding, its sizes and the differences, or the "
        "reason. Matched automatically: a reader has to check it"
    )


class FindingEntry(FindingResource):
    """One finding with its study and model."""

    study_id: int
    study_instance_uid: str
    series_instance_uid: str
    patient_id: str
    accession_number: str
    job_id: int
    model: str
    model_version: str
    model_digest: str
    reported_at: datetime | None


class AttemptResource(Resource):
    """One attempt at a job."""

    number: int
    kind: str
    worker: str
    started_at: datetime
    ended_at: datetime | None
    result: str
    error: str


class ObjectResource(Resource):
    """One result object."""

    id: int = Field(description="Number of the object, for `/objects/{object_id}`")
    kind: str = Field(description="sr, seg, heatmap, parametric_map, key_images, pdf, rejection, ...")
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    sha256: str
    size_bytes: int
    created_at: datetime
    removed_at: datetime | None = Field(description="When retention deleted it")


class DeliveryResource(Resource):
    """One object for one destination."""

    id: int
    destination: str
    kind: str = Field(description="Kind of the object")
    sop_instance_uid: str
    state: str = Field(description="pending, sending, stored, committed, held, failed, withdrawn or given_up")
    attempts: int
    note: str = Field(description="Why it is in this state")
    stored_at: datetime | None
    committed_at: datetime | None


class JobResult(Resource):
    """One job with what came of it."""

    id: int
    state: str
    outcome: Outcome | None
    reason: str
    revision: int
    newer_images: bool = Field(
        False,
        description="Images have arrived or changed since the result was made: it does not cover them. "
        "It counts until the unit is complete and was analysed again",
    )
    run: int
    model: str
    model_version: str
    pipeline_digest: str
    routes: list[str]
    priority: str
    probabilities: dict[str, float] = Field(description="All class probabilities of a classifier")
    notes: list[str]
    inferred_at: datetime | None
    reported_at: datetime | None
    delivered_at: datetime | None
    findings: list[FindingResource] = []
    attempts_made: list[AttemptResource] = []
    objects: list[ObjectResource] = []
    deliveries: list[DeliveryResource] = []


class UnitResult(Resource):
    """One unit of analysis: a CT series or a photograph."""

    id: int
    kind: str = Field(description="series or image")
    series_instance_uid: str
    sop_instance_uid: str = Field(description="Of the image, where the unit is one")
    modality: str
    series_description: str
    state: str
    revision: int
    held: int = Field(description="Instances that the node holds")
    source: str
    evidence: dict[str, Any] | None = Field(description="Why it counts as complete")
    reason: str = Field(description="Why no route took it")
    current: list[JobResult] = Field([], description="Jobs whose results count")
    earlier: list[JobResult] = Field([], description="Superseded and cancelled jobs")
    shadows: list[JobResult] = Field([], description="Jobs on trial, whose results are not reported")


class StudyView(Resource):
    """An earlier view of the study by a person."""

    at: datetime
    actor: str
    address: str | None


class StudyResult(Resource):
    """One study with its results."""

    id: int
    study_instance_uid: str
    patient_name: str
    patient_id: str
    issuer_of_patient_id: str
    patient_birth_date: str
    patient_sex: str
    accession_number: str
    study_date: str
    study_description: str
    first_received_at: datetime
    units: list[UnitResult] = []
    views: list[StudyView] = Field([], description="The last views by people, the newest first")
