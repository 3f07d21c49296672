"""Commands of people that the sender carries out: on destinations, deliveries, results, commitment reports and notifications."""

from collections.abc import Mapping

from core.errors import NodeError
from core.settings.peers.destinations import Destination
from core.settings.settings import Settings
from db.commitment.failed_reports import give_up_reports, report_refusals, retry_reports
from db.deliveries.delivery_admin import retry_deliveries
from db.deliveries.giving_up import give_up_deliveries, plan_giving_up
from db.deliveries.resend import resend
from db.deliveries.resend_plan import ResendSelection, ResendTargets, plan_resend
from db.engine import Database
from db.jobs.refusal_reasons import delivery_refusals
from db.operations.command_kinds import CommandKind
from db.operations.pauses import PauseKind
from db.operations.webhook_notifications import post_again
from db.roles.command_runner import Handler, numbers, require_done, require_number, summarise
from db.roles.commands import ClaimedCommand
from dicom_node.deliver.bulk_commands import BulkDeliveryCommands
from dicom_node.deliver.transports import echo
from dicom_node.pause_commands import PauseCommands


class DestinationCommands:
    """Carries out the commands of the role ``send``. Each method raises NodeError with the reason where it cannot."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._pauses = PauseCommands(database, PauseKind.DESTINATION, self._destination, "its deliveries wait")

    def handlers(self) -> Mapping[str, Handler]:
        """Return the handlers by kind."""
        return {
            CommandKind.DESTINATION_ECHO: self.echo,
            CommandKind.DESTINATION_PAUSE: self._pauses.pause,
            CommandKind.DESTINATION_RESUME: self._pauses.resume,
            CommandKind.DESTINATION_GIVE_UP: self.give_up_all,
            CommandKind.DELIVERY_RETRY: self.send_again,
            CommandKind.DELIVERY_RESEND: self.resend,
            CommandKind.DELIVERY_GIVE_UP: self.give_up,
            CommandKind.COMMITMENT_RETRY: self.report_again,
            CommandKind.COMMITMENT_GIVE_UP: self.give_up_report,
            CommandKind.NOTIFICATION_RETRY: self.post_again,
            **BulkDeliveryCommands(self._settings, self._database).handlers(),
        }

    def echo(self, command: ClaimedCommand) -> str:
        """Test whether a destination answers: C-ECHO, a DICOMweb search, or a file in the folder."""
        destination = self._destination(command.args.get("subject", ""))
        ok, answer, seconds = echo(self._settings, destination)
        if not ok:
            raise NodeError(f"{destination.name}: {answer}")
        return f"{destination.name}: {answer} in {seconds * 1000:.0f} ms"

    def send_again(self, command: ClaimedCommand) -> str:
        """Make a held, failed, given up or waiting delivery due now."""
        id = require_number(command)
        done = retry_deliveries(self._database, [id], command.actor)
        return require_done(done, delivery_refusals(self._database, [id], done), f"delivery {id} is sent again")

    def resend(self, command: ClaimedCommand) -> str:
        """Send results again: the deliveries or jobs that the command lists, else the result of the job that is its subject.

        ``to``: the destination that receives them; without it each object goes to where it was sent.
        """
        deliveries, jobs = numbers(command, "deliveries"), numbers(command, "jobs")
        if not deliveries and not jobs:
            jobs = (require_number(command),)
        selection = ResendSelection(deliveries, jobs, to=command.args.get("to", ""), missing=bool(command.args.get("missing")))
        targets = ResendTargets.configured(self._settings)
        refused = [row.refusal for row in plan_resend(self._database, selection, targets) if row.refusal]
        done = resend(self._database, selection, targets, actor=command.actor, reason=command.args.get("reason", ""))
        return require_done(done.all, refused[:1], f"{done}{summarise(refused)}")

    def give_up(self, command: ClaimedCommand) -> str:
        """Give up deliveries: those that the command lists, else the one that is its subject."""
        ids = numbers(command, "deliveries") or (require_number(command),)
        refused = [row.refusal for row in plan_giving_up(self._database, ids) if row.refusal]
        done = give_up_deliveries(self._database, ids, actor=command.actor, reason=command.args.get("reason", ""))
        if not done.named and not refused:
            raise NodeError(f"there is no delivery {ids[0]}")
        return require_done(done.named, refused[:1], f"{done}{summarise(refused)}")

    def give_up_all(self, command: ClaimedCommand) -> str:
        """Give up what a destination has not received, or not committed to store; it may be one that the configuration no longer has.

        ``last``: of these, only deliveries up to this number. A person has seen how many they are; what came after that waits on.
        """
        name, last = command.args.get("subject", ""), numbers(command, "last")
        if not name:
            raise NodeError("the command names no destination")
        plan = [row for row in plan_giving_up(self._database, (), destination=name) if not last or row.delivery_id <= last[0]]
        refused = [row.refusal for row in plan if row.refusal]
        ids = [row.delivery_id for row in plan if not row.refusal]
        if not plan:
            raise NodeError(f"nothing waits for {name!r}: it may have been sent meanwhile, or is being sent now")
        done = give_up_deliveries(self._database, ids, actor=command.actor, reason=command.args.get("reason", ""))
        return require_done(done.named, refused[:1], f"{name}: {done}{summarise(refused)}")

    def report_again(self, command: ClaimedCommand) -> str:
        """Send a storage commitment report again that a source did not accept."""
        id = require_number(command)
        done = retry_reports(self._database, [id], command.actor)
        return require_done(done, report_refusals(self._database, [id], done), f"report {id} is sent again")

    def give_up_report(self, command: ClaimedCommand) -> str:
        """Give up a storage commitment report that a source did not accept."""
        id = require_number(command)
        done = give_up_reports(self._database, [id], actor=command.actor, reason=command.args.get("reason", ""))
        return require_done(done, report_refusals(self._database, [id], done), f"report {id} is given up")

    def post_again(self, command: ClaimedCommand) -> str:
        """Post a notification now that the webhook has not accepted."""
        if not self._settings.webhook.url:
            raise NodeError("no webhook is configured", hint="set webhook.url")
        id = require_number(command)
        if not post_again(self._database, id, command.actor):
            raise NodeError(f"there is no notification {id} that the webhook has not accepted")
        return f"notification {id} is posted again; it leaves the list when the webhook accepts it"

    def _destination(self, name: str) -> Destination:
        found = self._settings.destination(name)
        if found is None:
            raise NodeError(f"no destination is named {name!r}", hint="see [[destinations]]")
        return found
