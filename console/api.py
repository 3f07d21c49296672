"""/healthz, /readyz, /metrics and /api/v1: what monitoring asks. Nothing here holds patient data."""

from collections.abc import Callable
from datetime import datetime

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel

from console import metrics
from console.health import Look


class Alive(BaseModel):
    status: str


class Ready(BaseModel):
    ready: bool
    missing: list[str]


class Role(BaseModel):
    role: str
    name: str
    age_s: float


class Wrong(BaseModel):
    """Something that is wrong now: ``receive.paused`` for a reason, ``destination.away``, ``role.silent``, ``backlog``, ``disk.low``."""

    kind: str
    subject: str
    age_s: float


class Status(BaseModel):
    """The counts of one transaction. Absent (null) when the database is out of reach."""

    ready: bool
    missing: list[str]
    ae_title: str
    alerts: list[Wrong] = []
    at: datetime | None = None
    roles: list[Role] = []
    instances: int | None = None
    units_open: int | None = None
    undecided: int | None = None
    associations_open: int | None = None
    outbox_backlog: int | None = None
    oldest_queued_s: float | None = None
    oldest_delivery_s: float | None = None
    notices_waiting: int | None = None
    audit_unchained: int | None = None
    quarantine_items: int | None = None
    quarantine_bytes: int | None = None
    disk_free_bytes: int | None = None
    jobs: dict[str, int] = {}
    deliveries: dict[str, dict[str, int]] = {}


def status_of(seen: Look, ae_title: str) -> Status:
    """One look as the API shows it."""
    ready = seen.readiness
    answer = Status(ready=ready.ready, missing=list(ready.missing), ae_title=ae_title, disk_free_bytes=seen.free_bytes)
    if seen.status is None:
        return answer
    counts = seen.status
    return answer.model_copy(
        update={
            "at": counts.at,
            "roles": [Role(role=beat.role, name=beat.name, age_s=round(beat.age_s, 1)) for beat in counts.heartbeats],
            "alerts": [Wrong(kind=alert.kind, subject=alert.subject, age_s=round(alert.age_s, 1)) for alert in counts.alerts],
            "instances": counts.instances,
            "units_open": counts.units_open,
            "undecided": counts.undecided,
            "associations_open": counts.associations_open,
            "outbox_backlog": counts.outbox_backlog,
            "oldest_queued_s": counts.oldest_queued_s,
            "oldest_delivery_s": counts.oldest_delivery_s,
            "notices_waiting": counts.notices_waiting,
            "audit_unchained": counts.audit_unchained,
            "quarantine_items": counts.quarantine_items,
            "quarantine_bytes": counts.quarantine_bytes,
            "jobs": dict(counts.jobs),
            "deliveries": {destination: dict(states) for destination, states in counts.deliveries.items()},
        }
    )


def router(look: Callable[[], Look], ae_title: str) -> APIRouter:
    """The routes; ``look`` is asked at every request, nothing is cached."""
    routes = APIRouter()

    @routes.get("/healthz", tags=["health"], summary="The console answers")
    def healthz() -> Alive:
        return Alive(status="ok")

    @routes.get(
        "/readyz",
        tags=["health"],
        summary="The node can receive, queue and store",
        responses={503: {"model": Ready, "description": "It cannot; missing says why"}},
    )
    def readyz(response: Response) -> Ready:
        readiness = look().readiness
        response.status_code = 200 if readiness.ready else 503
        return Ready(ready=readiness.ready, missing=list(readiness.missing))

    @routes.get("/metrics", tags=["health"], summary="Prometheus", response_class=Response)
    def prometheus() -> Response:
        return Response(metrics.render(look()), media_type=CONTENT_TYPE_LATEST)

    @routes.get("/api/v1/status", tags=["status"], summary="Roles, queues and counts")
    def status() -> Status:
        return status_of(look(), ae_title)

    return routes
