"""Commands on many jobs, results and units, and the policy of retention: carried out in turns, between which other commands come."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from core.counted import counted
from core.errors import NodeError
from core.settings.settings import Settings
from db.blobs import removals
from db.blobs.open_blobs import open_blobs
from db.bulk.arguments import failed_selection, rerun_selection, unrouted_selection
from db.bulk.retention_run import RECORDS, apply_kind, policy_in_words, removed_in_words, retention_kinds
from db.bulk.turns import TURN_S, BatchResult, BulkWork, work_in_turns
from db.complete.unrouted import IMAGES_DELETED, reopen_unrouted
from db.engine import Database
from db.jobs.job_admin import requeue_jobs
from db.jobs.requeue_plan import PlannedRequeue, plan_requeue
from db.jobs.rerun_plan import PlannedRun, plan_reruns, run_planned
from db.listings.unrouted import select_unrouted
from db.operations.command_kinds import CommandKind
from db.roles.command_runner import Handler, Unfinished
from db.roles.commands import ClaimedCommand
from dicom_node.conduct.model_versions import rerun_versions
from models import installed

UNITS_AT_ONCE = 10  # whose files are deleted between two looks at the clock
RECORDS_AT_ONCE = 500
ROWS_AT_ONCE = 50


class BulkCommands:
    """Carries out the commands of ``conduct`` on many rows. Each method works for one turn, and raises NodeError where nothing is done."""

    def __init__(self, settings: Settings, database: Database, turn_s: float = TURN_S) -> None:
        self._settings = settings
        self._database = database
        self._turn_s = turn_s

    def handlers(self) -> Mapping[str, Handler]:
        """Return the handlers by kind."""
        return {
            CommandKind.JOB_REQUEUE_MANY: self.requeue_failed,
            CommandKind.JOB_RERUN_MANY: self.rerun_results,
            CommandKind.UNIT_REQUEUE_MANY: self.route_again,
            CommandKind.RETENTION_RUN: self.delete_by_retention,
        }

    def requeue_failed(self, command: ClaimedCommand) -> str | Unfinished:
        """Queue failed jobs again, of a model or with a reason."""
        selection = failed_selection(command.args)

        work: BulkWork[PlannedRequeue] = BulkWork(
            plan=lambda part: plan_requeue(self._database, selection, part),
            number=lambda row: row.job_id,
            refusal=lambda row: row.refusal,
            act=lambda rows: BatchResult(len(requeue_jobs(self._database, [row.job_id for row in rows], command.actor))),
            in_words=lambda count: f"{counted(count, 'job is', 'jobs are')} queued again",
            at_once=ROWS_AT_ONCE,
        )
        return work_in_turns(command, work, turn_s=self._turn_s)

    def rerun_results(self, command: ClaimedCommand) -> str | Unfinished:
        """Run jobs again that have a result: of a model, a version and a time. ``version``: on which; without it the one that serves."""
        selection, reason = rerun_selection(command.args), command.args.get("reason", "")
        if selection.everything:
            raise NodeError("the command selects everything")
        find = rerun_versions(self._database, self._settings.node.data_dir / installed.FOLDER, command.args.get("version", ""))

        def act(rows: Sequence[PlannedRun]) -> BatchResult:
            (row,) = rows
            return BatchResult(int(run_planned(self._database, row, actor=command.actor, reason=reason) is not None))

        work: BulkWork[PlannedRun] = BulkWork(
            plan=lambda part: plan_reruns(self._database, selection, find, part),
            number=lambda row: row.job_id,
            refusal=lambda row: row.refusal,
            act=act,
            in_words=lambda count: f"{counted(count, 'job is', 'jobs are')} queued to run again",
        )
        return work_in_turns(command, work, turn_s=self._turn_s)

    def route_again(self, command: ClaimedCommand) -> str | Unfinished:
        """Open units that no route took, so that the present routes are applied."""
        selection = unrouted_selection(command.args)

        work: BulkWork[dict[str, Any]] = BulkWork(
            plan=lambda part: select_unrouted(self._database, selection, part),
            number=lambda row: int(row["unit_id"]),
            refusal=lambda row: IMAGES_DELETED if row["let_go"] else "",
            act=lambda rows: BatchResult(len(reopen_unrouted(self._database, [int(row["unit_id"]) for row in rows], command.actor))),
            in_words=lambda count: f"{counted(count, 'unit is', 'units are')} routed again",
            at_once=ROWS_AT_ONCE,
        )
        return work_in_turns(command, work, turn_s=self._turn_s)

    def delete_by_retention(self, command: ClaimedCommand) -> str | Unfinished:
        """Delete what the policy allows to delete, as ``retention run`` does, but for orphaned blobs.

        Raises
        ------
        NodeError
            The person has seen another policy, or the files are on another machine.
        """
        policy = self._settings.retention
        if command.args.get("policy") != policy_in_words(policy):
            raise NodeError("the policy of the conductor is another one than that of the page", hint="dicom-node reload, then look again")
        blobs = open_blobs(self._settings)
        if not blobs.removes:
            raise NodeError("the conductor cannot remove files: its store is on another node", hint="run `dicom-node retention run` there")
        end = time.monotonic() + self._turn_s
        progress = command.progress or {"left": list(retention_kinds(policy)), "deleted": {}}
        left, deleted = list(progress["left"]), dict(progress["deleted"])
        while left:
            kind = left[0]
            at_once = RECORDS_AT_ONCE if kind == RECORDS else UNITS_AT_ONCE
            found = apply_kind(self._database, blobs, policy, kind, actor=command.actor, limit=at_once)
            if found.units or found.objects:
                units, objects = deleted.get(kind, (0, 0))
                deleted[kind] = [units + found.units, objects + found.objects]
            else:
                left.pop(0)
            if left and time.monotonic() >= end:
                return Unfinished(f"deleted so far: {_in_words(deleted) or 'nothing'}", {"left": left, "deleted": deleted})
        removals.remove_blobs(self._database, blobs)  # finishes what an interrupted run had begun
        words = _in_words(deleted)
        return f"deleted: {words}" if words else "nothing is deleted: nothing is old enough, or all of it is still needed"


def _in_words(deleted: Mapping[str, Sequence[int]]) -> str:
    return ", ".join(removed_in_words(kind, units, objects) for kind, (units, objects) in deleted.items())
