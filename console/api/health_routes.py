"""/healthz, /readyz, /metrics and /api/v1, for monitoring. Responses hold no patient data."""

from collections.abc import Callable
from datetime import datetime

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel

from console import metrics
from console.health import NodeSnapshot


class LivenessResponse(BaseModel):
    """Response of /healthz."""

    status: str


class ReadinessResponse(BaseModel):
    """Response of /readyz. ``missing`` names what keeps the node from receiving, queueing or storing."""

    ready: bool
    missing: list[str]


class RoleProcess(BaseModel):
    """A process of a role, and the age of its last heartbeat in seconds."""

    role: str
    name: str
    age_s: float


class OpenAlert(BaseModel):
    """An open alert and its age in seconds.

    Kinds: ``receive.paused``, ``destination.away``, ``role.silent``, ``backlog``, ``disk.low``,
    ``units.without_result``, ``units.unreadable``.
    """

    kind: str
    subject: str
    age_s: float


class LastAnchor(BaseModel):
    """The last anchor of the audit trail: up to which event, when, how long ago it was compared with the chain, and what is wrong."""

    number: int
    anchored_at: datetime
    age_s: float
    problem: str


class Status(BaseModel):
    """Roles, alerts and counts from one transaction. Counts are null while the database is unavailable."""

    ready: bool
    missing: list[str]
    ae_title: str
    alerts: list[OpenAlert] = []
    at: datetime | None = None
    roles: list[RoleProcess] = []
    instances: int | None = None
    units_open: int | None = None
    undecided: int | None = None
    associations_open: int | None = None
    outbox_backlog: int | None = None
    oldest_queued_s: float | None = None
    oldest_delivery_s: float | None = None
    notifications_waiting: int | None = None
    audit_unchained: int | None = None
    audit_anchor: LastAnchor | None = None
    quarantine_items: int | None = None
    quarantine_bytes: int | None = None
    disk_free_bytes: int | None = None
    jobs: dict[str, int] = {}
    deliveries: dict[str, dict[str, int]] = {}


def status_response(snapshot: NodeSnapshot, ae_title: str) -> Status:
    """Return the response of /api/v1/status."""
    ready = snapshot.readiness
    answer = Status(ready=ready.ready, missing=list(ready.missing), ae_title=ae_title, disk_free_bytes=snapshot.free_bytes)
    if snapshot.status is None:
        return answer
    counts = snapshot.status
    return answer.model_copy(
        update={
            "at": counts.at,
            "roles": [RoleProcess(role=beat.role, name=beat.name, age_s=round(beat.age_s, 1)) for beat in counts.heartbeats],
            "alerts": [OpenAlert(kind=alert.kind, subject=alert.subject, age_s=round(alert.age_s, 1)) for alert in counts.alerts],
            "instances": counts.instances,
            "units_open": counts.units_open,
            "undecided": counts.undecided,
            "associations_open": counts.associations_open,
            "outbox_backlog": counts.outbox_backlog,
            "oldest_queued_s": counts.oldest_queued_s,
            "oldest_delivery_s": counts.oldest_delivery_s,
            "notifications_waiting": counts.notifications_waiting,
            "audit_unchained": counts.audit_unchained,
            "audit_anchor": LastAnchor.model_validate(counts.anchor, from_attributes=True) if counts.anchor is not None else None,
            "quarantine_items": counts.quarantine_items,
            "quarantine_bytes": counts.quarantine_bytes,
            "jobs": dict(counts.jobs),
            "deliveries": {destination: dict(states) for destination, states in counts.deliveries.items()},
        }
    )


def router(read_snapshot: Callable[[], NodeSnapshot], ae_title: str) -> APIRouter:
    """Return the routes. Each request calls ``read_snapshot``; nothing is cached."""
    routes = APIRouter()

    @routes.get("/healthz", tags=["health"], summary="The console answers")
    def healthz() -> LivenessResponse:
        """Return ok while the console runs."""
        return LivenessResponse(status="ok")

    @routes.get(
        "/readyz",
        tags=["health"],
        summary="The node can receive, queue and store",
        responses={503: {"model": ReadinessResponse, "description": "It cannot; `missing` names the reasons"}},
    )
    def readyz(response: Response) -> ReadinessResponse:
        """Return 200 where the node can receive, queue and store, else 503 and the reasons."""
        readiness = read_snapshot().readiness
        response.status_code = 200 if readiness.ready else 503
        return ReadinessResponse(ready=readiness.ready, missing=list(readiness.missing))

    @routes.get("/metrics", tags=["health"], summary="Prometheus", response_class=Response)
    def prometheus() -> Response:
        """Return the metrics in the text format of Prometheus."""
        return Response(metrics.render(read_snapshot()), media_type=CONTENT_TYPE_LATEST)

    @routes.get("/api/v1/status", tags=["status"], summary="Roles, queues and counts")
    def status() -> Status:
        """Return roles, queues and counts."""
        return status_response(read_snapshot(), ae_title)

    return routes
