"""Commands on many deliveries, results and commitment reports: carried out in turns, between which other commands come."""

from collections.abc import Mapping, Sequence

from core.counted import counted
from core.errors import NodeError
from core.settings.settings import Settings
from db.bulk.arguments import failed_deliveries_selection, resend_selection
from db.bulk.turns import TURN_S, BatchResult, BulkWork, work_in_turns
from db.commitment.failed_reports import FailedReport, retry_reports, select_failed_reports
from db.deliveries.delivery_admin import retry_deliveries
from db.deliveries.resend import resend_selected
from db.deliveries.resend_plan import PlannedSending, ResendTargets, plan_resend
from db.deliveries.retry_plan import PlannedRetry, plan_retry
from db.engine import Database
from db.operations.command_kinds import CommandKind
from db.roles.command_runner import Handler, Unfinished
from db.roles.commands import ClaimedCommand

ROWS_AT_ONCE = 50


class BulkDeliveryCommands:
    """Carries out the commands of ``send`` on many rows. Each method works for one turn, and raises NodeError where nothing is done."""

    def __init__(self, settings: Settings, database: Database, turn_s: float = TURN_S) -> None:
        self._database, self._turn_s = database, turn_s
        self._targets = ResendTargets.configured(settings)

    def handlers(self) -> Mapping[str, Handler]:
        """Return the handlers by kind."""
        return {
            CommandKind.DELIVERY_RETRY_MANY: self.retry_failed,
            CommandKind.DELIVERY_RESEND_MANY: self.resend_stored,
            CommandKind.COMMITMENT_RETRY_MANY: self.report_again,
        }

    def retry_failed(self, command: ClaimedCommand) -> str | Unfinished:
        """Make deliveries due now that have failed: of a destination, or with a reason."""
        selection = failed_deliveries_selection(command.args)

        work: BulkWork[PlannedRetry] = BulkWork(
            plan=lambda part: plan_retry(self._database, selection, part),
            number=lambda row: row.delivery_id,
            refusal=lambda row: row.refusal,
            act=lambda rows: BatchResult(len(retry_deliveries(self._database, [row.delivery_id for row in rows], command.actor))),
            in_words=lambda count: f"{counted(count, 'delivery is', 'deliveries are')} sent again",
            at_once=ROWS_AT_ONCE,
        )
        return work_in_turns(command, work, turn_s=self._turn_s)

    def resend_stored(self, command: ClaimedCommand) -> str | Unfinished:
        """Send again what a destination has stored in a time: the objects of one result together."""
        selection, targets = resend_selection(command.args), self._targets
        if not selection.destination or selection.everything:
            raise NodeError("the command names no destination, or no time")
        reason = command.args.get("reason", "")

        def act(rows: Sequence[PlannedSending]) -> BatchResult:  # of one job
            more = resend_selected(self._database, selection, rows[0].job_id, targets, actor=command.actor, reason=reason)
            return BatchResult(len(more.all))

        work: BulkWork[PlannedSending] = BulkWork(
            plan=lambda part: plan_resend(self._database, selection, targets, part),
            number=lambda row: row.job_id,
            refusal=lambda row: row.refusal,
            act=act,
            in_words=lambda count: f"{counted(count, 'object is', 'objects are')} sent again",
        )
        return work_in_turns(command, work, turn_s=self._turn_s)

    def report_again(self, command: ClaimedCommand) -> str | Unfinished:
        """Send storage commitment reports again that a source, or any, did not accept."""
        source = command.args.get("source", "")

        work: BulkWork[FailedReport] = BulkWork(
            plan=lambda part: select_failed_reports(self._database, source, part),
            number=lambda row: row.id,
            act=lambda rows: BatchResult(len(retry_reports(self._database, [row.id for row in rows], command.actor))),
            in_words=lambda count: f"{counted(count, 'report is', 'reports are')} sent again",
            at_once=ROWS_AT_ONCE,
        )
        return work_in_turns(command, work, turn_s=self._turn_s)
