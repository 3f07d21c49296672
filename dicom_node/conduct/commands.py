"""Commands of people that the conductor carries out: on jobs, units and routes."""

from collections.abc import Mapping

from core.errors import NodeError
from core.settings.settings import Settings
from db.complete.unrouted import reopen_refusals, reopen_unrouted
from db.engine import Database
from db.jobs.job_admin import cancel_job, requeue_jobs
from db.jobs.refusal_reasons import job_refusals
from db.operations.command_kinds import CommandKind
from db.operations.pauses import PauseKind, pause, resume
from db.roles.command_runner import Handler, require_done, require_number
from db.roles.commands import ClaimedCommand
from dicom_node.conduct.model_commands import ModelCommands


def command_handlers(settings: Settings, database: Database) -> Mapping[str, Handler]:
    """Return the handlers of the kinds that the role ``conduct`` owns."""
    own = RouteCommands(settings, database)
    return {
        CommandKind.JOB_REQUEUE: own.requeue_job,
        CommandKind.JOB_CANCEL: own.cancel_job,
        CommandKind.UNIT_REQUEUE: own.route_again,
        CommandKind.ROUTE_PAUSE: own.pause_route,
        CommandKind.ROUTE_RESUME: own.resume_route,
        **ModelCommands(settings, database).handlers(),
    }


class RouteCommands:
    """Requeues and cancels jobs, routes units again, pauses and resumes routes. Each method raises NodeError with the reason otherwise."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database

    def requeue_job(self, command: ClaimedCommand) -> str:
        """Queue a failed, quarantined or cancelled job again."""
        id = require_number(command)
        done = requeue_jobs(self._database, [id], command.actor)
        return require_done(done, job_refusals(self._database, [id], done), f"job {id} is queued again")

    def cancel_job(self, command: ClaimedCommand) -> str:
        """Cancel a job that has no result."""
        id = require_number(command)
        done = [id] if cancel_job(self._database, id, command.actor) else []
        return require_done(done, job_refusals(self._database, [id], done), f"job {id} is cancelled")

    def route_again(self, command: ClaimedCommand) -> str:
        """Open a unit that no route took, so that the present routes are applied."""
        id = require_number(command)
        done = reopen_unrouted(self._database, [id], command.actor)
        return require_done(done, reopen_refusals(self._database, [id], done), f"unit {id} is routed again")

    def pause_route(self, command: ClaimedCommand) -> str:
        """Begin no analysis for a route until it is resumed."""
        name = command.args.get("subject", "")
        if name not in {route.name for route in self._settings.routes}:
            raise NodeError(f"no route is named {name!r}", hint="the configuration of the conductor may be older or newer")
        if not pause(self._database, PauseKind.ROUTE, name, reason=command.args.get("reason", ""), actor=command.actor):
            raise NodeError(f"route {name!r} is paused already")
        return f"route {name} is paused: its jobs wait in the queue"

    def resume_route(self, command: ClaimedCommand) -> str:
        """Analyse for a paused route again."""
        name = command.args.get("subject", "")
        if not resume(self._database, PauseKind.ROUTE, name, reason=command.args.get("reason", ""), actor=command.actor):
            raise NodeError(f"route {name!r} is not paused")
        return f"route {name} is resumed"
