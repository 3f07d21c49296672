"""The answer of /api/v1/predict: where an analysis stands, and what it found."""

from typing import Any

from pydantic import BaseModel, Field

from core.states import Outcome, ResultKind, Tier
from db.uploads.upload_records import Upload
from db.worklist.study import JobDetails, StudyDetails


class ResultLinks(BaseModel):
    """Paths of result objects as DICOM files; null where the destinations of the route take no such object."""

    report: str | None = Field(description="Structured report (SR)")
    heat_map: str | None = Field(description="Heat map")
    pdf: str | None = Field(description="Page for clinicians (Encapsulated PDF)")


class UnitAnalysis(BaseModel):
    """The result for one photograph or series."""

    sop_instance_uid: str = Field(description="The photograph; empty for a series")
    series_instance_uid: str
    model: str
    model_version: str
    outcome: Outcome | None = Field(description="null while it is not analysed")
    newer_images: bool = Field(description="Images have arrived or changed since the result was made: it does not cover them")
    reason: str = Field(description="Why there is no result")
    category: str = Field(description="Label of the first finding; empty without a finding")
    category_meaning: str
    probability: float | None = Field(description="Calibrated probability of the category")
    tier: Tier | None = Field(description="Confidence tier of the first finding")
    probabilities: dict[str, float] = Field(description="Calibrated probability of every class")
    findings: int
    links: ResultLinks


class RefusedPart(BaseModel):
    """A file, or an entry of an archive, that was not taken."""

    name: str
    message: str


class AnalysisResponse(BaseModel):
    """One call of predict."""

    id: int
    url: str = Field(description="Poll this path")
    state: str = Field(description="receiving, running, done or refused")
    message: str = Field(description="Why it was refused")
    refused: list[RefusedPart] = Field(description="Entries of an archive that were not taken")
    instances: int = Field(description="Images that are stored now")
    already_known: int = Field(description="Those of them that had been stored before")
    studies: list[int] = Field(description="Numbers of the studies, for `/studies/{study_id}`")
    results: list[UnitAnalysis] = Field(description="Results of these studies")


def analysis_response(upload: Upload, studies: list[StudyDetails], *, final: bool) -> AnalysisResponse:
    """Return the answer. ``studies`` are those of the upload, ``final`` says that no further result is expected."""
    file = upload.files[0]
    if file.state in ("refused", "expired", "cancelled"):
        state = "refused"
    elif upload.finished_at is None:
        state = "receiving"
    else:
        state = "done" if final else "running"
    units = [unit for study in studies for unit in study.units]
    results = [_result(unit.row, job) for unit in units for job in (*unit.current, *((None,) if not unit.current else ()))]
    return AnalysisResponse(
        id=upload.id,
        url=f"/api/v1/predict/{upload.id}",
        state=state,
        message=file.message if state == "refused" else "",
        refused=[RefusedPart(name=problem.name, message=problem.message) for problem in file.problems],
        instances=file.instances,
        already_known=file.known,
        studies=list(upload.studies),
        results=results,
    )


def _result(unit: Any, job: JobDetails | None) -> UnitAnalysis:
    """Result of one job on a unit; ``job`` is None where the unit has none."""
    first = job.findings[0] if job is not None and job.findings else None
    return UnitAnalysis(
        sop_instance_uid=unit.sop_instance_uid,
        series_instance_uid=unit.series_instance_uid,
        model="" if job is None else job.row.model,
        model_version="" if job is None else job.row.model_version,
        outcome=unit.outcome if job is None else job.row.outcome,
        newer_images=job is not None and job.newer_images,
        reason=unit.reason if job is None else job.row.reason,
        category="" if first is None else first.label,
        category_meaning="" if first is None else first.code_meaning,
        probability=None if first is None else first.probability,
        tier=None if first is None else first.tier,
        probabilities={} if job is None else dict(job.row.probabilities or {}),
        findings=0 if job is None else len(job.findings),
        links=_links([] if job is None else job.objects),
    )


def _links(objects: list[Any]) -> ResultLinks:
    def path(kind: ResultKind) -> str | None:
        return next((f"/api/v1/objects/{item.id}" for item in objects if item.kind == kind and item.removed_at is None), None)

    return ResultLinks(report=path(ResultKind.SR), heat_map=path(ResultKind.HEATMAP), pdf=path(ResultKind.PDF))
