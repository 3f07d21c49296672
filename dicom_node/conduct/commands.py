"""Commands of people that the conductor carries out: on jobs, units, routes and models, retention, and the erasure of a person."""

from collections.abc import Mapping

from core.errors import NodeError
from core.settings.settings import Settings
from db.complete.unrouted import reopen_refusals, reopen_unrouted
from db.engine import Database
from db.jobs.job_admin import cancel_job, requeue_jobs
from db.jobs.refusal_reasons import job_refusals
from db.jobs.rerun_plan import RerunSelection, plan_reruns, rerun
from db.operations.command_kinds import CommandKind
from db.operations.pauses import PauseKind
from db.roles.command_runner import Handler, numbers, require_done, require_number, summarise
from db.roles.commands import ClaimedCommand
from dicom_node.conduct.bulk_commands import BulkCommands
from dicom_node.conduct.model_commands import ModelCommands
from dicom_node.conduct.model_versions import rerun_versions
from dicom_node.erasure.command import PersonCommands
from dicom_node.pause_commands import PauseCommands
from models import installed


def command_handlers(settings: Settings, database: Database) -> Mapping[str, Handler]:
    """Return the handlers of the kinds that the role ``conduct`` owns."""
    own = RouteCommands(settings, database)
    pauses = PauseCommands(database, PauseKind.ROUTE, own.require_route, "its jobs wait in the queue")
    return {
        CommandKind.JOB_REQUEUE: own.requeue_job,
        CommandKind.JOB_CANCEL: own.cancel_job,
        CommandKind.JOB_RERUN: own.rerun_jobs,
        CommandKind.UNIT_REQUEUE: own.route_again,
        CommandKind.ROUTE_PAUSE: pauses.pause,
        CommandKind.ROUTE_RESUME: pauses.resume,
        **BulkCommands(settings, database).handlers(),
        **ModelCommands(settings, database).handlers(),
        **PersonCommands(settings, database).handlers(),
    }


class RouteCommands:
    """Requeues, reruns and cancels jobs, and routes units again. Each method raises NodeError with the reason where it cannot."""

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

    def rerun_jobs(self, command: ClaimedCommand) -> str:
        """Run jobs again that have a result: those that the command lists, else the one that is its subject.

        ``version``: of their model; without it the one that serves. ``to``: a destination that receives the new results besides.
        """
        to = command.args.get("to", "")
        if to and self._settings.destination(to) is None:
            raise NodeError(f"no destination is named {to!r}", hint="the configuration of the conductor may be older or newer")
        selection = RerunSelection(numbers(command, "jobs") or (require_number(command),), to=(to,) if to else ())
        find = rerun_versions(self._database, self._settings.node.data_dir / installed.FOLDER, command.args.get("version", ""))
        refused = [row.refusal for row in plan_reruns(self._database, selection, find) if row.refusal]
        done = rerun(self._database, selection, find, actor=command.actor, reason=command.args.get("reason", ""))
        answer = f"job {done[0]} is queued" if len(done) == 1 else f"{len(done)} jobs are queued"
        return require_done(done, refused[:1], answer + summarise(refused))

    def route_again(self, command: ClaimedCommand) -> str:
        """Open a unit that no route took, so that the present routes are applied."""
        id = require_number(command)
        done = reopen_unrouted(self._database, [id], command.actor)
        return require_done(done, reopen_refusals(self._database, [id], done), f"unit {id} is routed again")

    def require_route(self, name: str) -> None:
        """Raise NodeError where no route has this name."""
        if name not in {route.name for route in self._settings.routes}:
            raise NodeError(f"no route is named {name!r}", hint="the configuration of the conductor may be older or newer")
