"""Actions on what is sent: failed deliveries, what a destination has stored in a time, and storage commitment reports."""

from collections.abc import Mapping

from console.bulk.bulk_action import BulkAction
from console.bulk.preview import MOST_CHOICES, PLANNED, PlanWords, Preview, PreviewRow, preview_of
from console.bulk.selection_form import FormField, choice_field, counted_choices, read_value, time_field
from console.formats import format_moment, format_words
from db.bulk.arguments import failed_deliveries_selection, resend_selection
from db.commitment.failed_reports import FailedReport, select_failed_reports, sources_of_failed_reports
from db.deliveries.resend_plan import PlannedSending, ResendTargets, plan_resend
from db.deliveries.retry_plan import PlannedRetry, delivery_causes, plan_retry
from db.operations.command_kinds import CommandKind


class RetryAction(BulkAction):
    """Sends failed deliveries again: all, those of a destination, or those with one reason."""

    path = "/operations/deliveries/send"
    kind = CommandKind.DELIVERY_RETRY_MANY
    title = "Send failed deliveries again"
    button = "Send again"
    explain = (
        "When the cause is repaired: the deliveries are due at once, with attempts counted from 0. What is held is released one by one, "
        "because a rule or a person has stopped it."
    )

    def fields(self, form: Mapping[str, str]) -> list[FormField]:
        """Return the lists of destinations and of reasons, with how many deliveries have failed so."""
        causes = delivery_causes(self.database, limit=MOST_CHOICES)
        return [
            choice_field(
                form, "destination", "Destination", "every destination", counted_choices((one.destination, one.number) for one in causes)
            ),
            choice_field(form, "cause", "Reason", "every reason", counted_choices((one.cause, one.number) for one in causes)),
        ]

    def read(self, form: Mapping[str, str]) -> dict[str, str]:
        """Return destination and reason."""
        return {name: read_value(form, name) for name in ("destination", "cause")}

    def preview(self, args: Mapping[str, str]) -> Preview:
        """Return which failed deliveries would be sent again."""
        plan = plan_retry(self.database, failed_deliveries_selection(args), PLANNED)
        words = PlanWords(("delivery", "deliveries"), "sent again", ("Delivery", "Job", "Destination", "Object", "Reason", "What happens"))
        return preview_of(plan, words, number=lambda row: row.delivery_id, refusal=lambda row: row.refusal, shown=self._row)

    @staticmethod
    def _row(row: PlannedRetry) -> PreviewRow:
        happens = f"not sent: {row.refusal}" if row.refusal else "send again"
        cells = (str(row.job_id), row.destination, format_words(row.object), row.cause, happens)
        return PreviewRow(str(row.delivery_id), row.study_instance_uid, cells)


class ResendAction(BulkAction):
    """Sends again what a destination has stored, committed or refused permanently in a time."""

    path = "/operations/results/send"
    kind = CommandKind.DELIVERY_RESEND_MANY
    title = "Send results again"
    button = "Send again"
    explain = (
        "For a destination that has lost what it had stored: everything that it stored in this time is sent to it again, also what it "
        "refused permanently. What is held or was given up is left out. Nothing changes at other destinations."
    )
    choose = "Choose a destination and from when."

    def fields(self, form: Mapping[str, str]) -> list[FormField]:
        """Return the list of destinations, and the time."""
        names = [(one.name, one.name) for one in self.current().destinations]
        return [
            choice_field(form, "destination", "Destination", "choose one", names),
            time_field(form, "since", "Stored from", self.zone),
            time_field(form, "until", "Until, or empty for now", self.zone),
        ]

    def read(self, form: Mapping[str, str]) -> dict[str, str]:
        """Return destination and time; a time without end ends now."""
        args = {"destination": read_value(form, "destination")}
        return args | self.read_times(form, end_now=True)

    def preview(self, args: Mapping[str, str]) -> Preview | None:
        """Return which objects would be sent again."""
        selection = resend_selection(args)
        if not selection.destination or selection.everything:
            return None
        plan = plan_resend(self.database, selection, ResendTargets.configured(self.current()), PLANNED)
        columns = ("Delivery", "Job", "Object", "State", "What happens")
        words = PlanWords(("object", "objects"), "sent again", columns, of=f" to {selection.destination}")
        return preview_of(plan, words, number=lambda row: row.job_id, refusal=lambda row: row.refusal, shown=self._row)

    @staticmethod
    def _row(row: PlannedSending) -> PreviewRow:
        return PreviewRow(
            str(row.delivery_id), row.study_instance_uid, (str(row.job_id), format_words(row.object), row.state, row.action)
        )  # fmt: skip


class ReportAction(BulkAction):
    """Sends storage commitment reports again that a source did not accept."""

    path = "/operations/commitments/send"
    kind = CommandKind.COMMITMENT_RETRY_MANY
    title = "Send storage commitment reports again"
    button = "Send again"
    explain = "When the source accepts reports again: they are sent at once, with attempts counted from 0."

    def fields(self, form: Mapping[str, str]) -> list[FormField]:
        """Return the list of sources, with how many reports each did not accept."""
        return [choice_field(form, "source", "Source", "every source", counted_choices(sources_of_failed_reports(self.database)))]

    def read(self, form: Mapping[str, str]) -> dict[str, str]:
        """Return the source."""
        return {"source": read_value(form, "source")}

    def preview(self, args: Mapping[str, str]) -> Preview:
        """Return which reports would be sent again."""
        found = select_failed_reports(self.database, args.get("source", ""), PLANNED)
        words = PlanWords(("report", "reports"), "sent again", ("Report", "Source", "Images", "Attempts", "Since", "Reason"))
        return preview_of(found, words, number=lambda row: row.id, refusal=lambda _: "", shown=self._row)

    def _row(self, row: FailedReport) -> PreviewRow:
        cells = (row.source, str(row.instances), str(row.attempts), format_moment(row.failed_at, self.zone), row.note)
        return PreviewRow(str(row.id), "", cells)
