"""Commands on jobs, deliveries, commitment reports, units, quarantine, notifications, routes and destinations under /api/v1."""

from typing import Any

from fastapi import APIRouter, Response

from console.api.commands import ACCEPTED, CommandEntry, NamedOrder, NamedSubject, Reason, Rerun, Resend, Wait, build_asking
from console.api.description import API_ROUTES
from console.auth.guard import Accounts, AsViewer
from console.parameters import RowId
from db.operations.command_kinds import CommandKind

_ANSWERS: dict[str, Any] = {"responses": ACCEPTED}


def build_router(accounts: Accounts) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(prefix="/api/v1", tags=["operations"], **API_ROUTES)
    ask = build_asking(accounts.database)

    @routes.post("/jobs/{job_id}/requeue", summary="Queue a failed, quarantined or cancelled job again", **_ANSWERS)
    async def requeue_job(job_id: RowId, why: Reason, viewer: AsViewer, response: Response, wait: Wait = 0.0) -> CommandEntry:
        """Queue a job of a current revision again; its attempts are counted from 0."""
        return await ask(response, viewer, CommandKind.JOB_REQUEUE, str(job_id), why.reason, wait)

    @routes.post("/jobs/{job_id}/cancel", summary="Cancel a job that has no result", **_ANSWERS)
    async def cancel_job(job_id: RowId, why: Reason, viewer: AsViewer, response: Response, wait: Wait = 0.0) -> CommandEntry:
        """Cancel a job; a running one loses its lease."""
        return await ask(response, viewer, CommandKind.JOB_CANCEL, str(job_id), why.reason, wait)

    @routes.post("/jobs/{job_id}/rerun", summary="Run a job again that has a result", **_ANSWERS)
    async def rerun_job(job_id: RowId, how: Rerun, viewer: AsViewer, response: Response, wait: Wait = 0.0) -> CommandEntry:
        """Analyse the images again; the new result supersedes this one and goes to everybody who has received it."""
        return await ask(response, viewer, CommandKind.JOB_RERUN, str(job_id), how.reason, wait, {"version": how.version})

    @routes.post("/jobs/{job_id}/resend", summary="Send the result of a job again", **_ANSWERS)
    async def resend_result(job_id: RowId, where: Resend, viewer: AsViewer, response: Response, wait: Wait = 0.0) -> CommandEntry:
        """Send what was stored again, or the result to another destination, in the objects that it takes."""
        return await ask(response, viewer, CommandKind.DELIVERY_RESEND, str(job_id), where.reason, wait, {"to": where.to})

    @routes.post("/deliveries/{delivery_id}/retry", summary="Send a delivery now that is not stored, release a held one", **_ANSWERS)
    async def retry_delivery(delivery_id: RowId, why: Reason, viewer: AsViewer, response: Response, wait: Wait = 0.0) -> CommandEntry:
        """Make a delivery due now that is not stored. One that waits for a clinician's verdict is released under `/results`."""
        return await ask(response, viewer, CommandKind.DELIVERY_RETRY, str(delivery_id), why.reason, wait)

    @routes.post("/deliveries/{delivery_id}/give-up", summary="Give up a delivery that is not stored", **_ANSWERS)
    async def give_up_delivery(delivery_id: RowId, why: Reason, viewer: AsViewer, response: Response, wait: Wait = 0.0) -> CommandEntry:
        """Send a delivery no more; `retry` takes that back. What waits for its report at this destination is given up with it."""
        return await ask(response, viewer, CommandKind.DELIVERY_GIVE_UP, str(delivery_id), why.reason, wait)

    @routes.post("/units/{unit_id}/requeue", summary="Route a unit again that no route took", **_ANSWERS)
    async def requeue_unit(unit_id: RowId, why: Reason, viewer: AsViewer, response: Response, wait: Wait = 0.0) -> CommandEntry:
        """Open a unit, so that it is completed and routed again."""
        return await ask(response, viewer, CommandKind.UNIT_REQUEUE, str(unit_id), why.reason, wait)

    @routes.post("/quarantine/{item_id}/requeue", summary="Receive a refused data set again", **_ANSWERS)
    async def receive_again(item_id: RowId, why: Reason, viewer: AsViewer, response: Response, wait: Wait = 0.0) -> CommandEntry:
        """Have the listener receive a data set again from the quarantine."""
        return await ask(response, viewer, CommandKind.QUARANTINE_REQUEUE, str(item_id), why.reason, wait)

    @routes.post("/commitments/{report_id}/retry", summary="Send a storage commitment report again", **_ANSWERS)
    async def retry_report(report_id: RowId, why: Reason, viewer: AsViewer, response: Response, wait: Wait = 0.0) -> CommandEntry:
        """Send a report now that a source did not accept."""
        return await ask(response, viewer, CommandKind.COMMITMENT_RETRY, str(report_id), why.reason, wait)

    @routes.post("/commitments/{report_id}/give-up", summary="Give up a storage commitment report", **_ANSWERS)
    async def give_up_report(report_id: RowId, why: Reason, viewer: AsViewer, response: Response, wait: Wait = 0.0) -> CommandEntry:
        """Send a report no more that a source did not accept; `retry` takes that back."""
        return await ask(response, viewer, CommandKind.COMMITMENT_GIVE_UP, str(report_id), why.reason, wait)

    @routes.post("/notifications/{notification_id}/retry", summary="Post a notification again", **_ANSWERS)
    async def post_again(notification_id: RowId, why: Reason, viewer: AsViewer, response: Response, wait: Wait = 0.0) -> CommandEntry:
        """Post a message now that the webhook has not accepted."""
        return await ask(response, viewer, CommandKind.NOTIFICATION_RETRY, str(notification_id), why.reason, wait)

    @routes.post("/routes/pause", summary="Pause a route", **_ANSWERS)
    async def pause_route(order: NamedOrder, viewer: AsViewer, response: Response, wait: Wait = 0.0) -> CommandEntry:
        """Begin no analysis for a route until it is resumed; its jobs wait in the queue."""
        return await ask(response, viewer, CommandKind.ROUTE_PAUSE, order.name, order.reason, wait)

    @routes.post("/routes/resume", summary="Resume a route", **_ANSWERS)
    async def resume_route(order: NamedOrder, viewer: AsViewer, response: Response, wait: Wait = 0.0) -> CommandEntry:
        """Resume a paused route."""
        return await ask(response, viewer, CommandKind.ROUTE_RESUME, order.name, order.reason, wait)

    @routes.post("/destinations/pause", summary="Pause a destination", **_ANSWERS)
    async def pause_destination(order: NamedOrder, viewer: AsViewer, response: Response, wait: Wait = 0.0) -> CommandEntry:
        """Send nothing to a destination until it is resumed; its deliveries wait."""
        return await ask(response, viewer, CommandKind.DESTINATION_PAUSE, order.name, order.reason, wait)

    @routes.post("/destinations/resume", summary="Resume a destination", **_ANSWERS)
    async def resume_destination(order: NamedOrder, viewer: AsViewer, response: Response, wait: Wait = 0.0) -> CommandEntry:
        """Resume a paused destination."""
        return await ask(response, viewer, CommandKind.DESTINATION_RESUME, order.name, order.reason, wait)

    @routes.post("/destinations/give-up", summary="Give up everything that a destination has not received", **_ANSWERS)
    async def give_up_destination(order: NamedOrder, viewer: AsViewer, response: Response, wait: Wait = 0.0) -> CommandEntry:
        """Give up what waits for a destination, has failed or is held, and what it has not committed to store.

        It may be one that the configuration no longer has. `/deliveries/{delivery_id}/retry` sends one of them after all.
        """
        return await ask(response, viewer, CommandKind.DESTINATION_GIVE_UP, order.name, order.reason, wait)

    @routes.post("/destinations/echo", summary="Test whether a destination answers", **_ANSWERS)
    async def test_destination(subject: NamedSubject, viewer: AsViewer, response: Response, wait: Wait = 0.0) -> CommandEntry:
        """Send a C-ECHO, or for STOW-RS a search, or write a file into the folder."""
        return await ask(response, viewer, CommandKind.DESTINATION_ECHO, subject.name, "", wait)

    return routes
