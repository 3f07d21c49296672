"""Actions on what was received: check refused data sets again, and route units again that no route took."""

from collections.abc import Mapping
from typing import Any

from console.bulk.bulk_action import BulkAction
from console.bulk.preview import MOST_CHOICES, PLANNED, PlanWords, Preview, PreviewRow, preview_of
from console.bulk.selection_form import FormField, choice_field, counted_choices, read_value, time_field
from console.formats import format_moment, format_size
from core.policy.routes.unrouted_reason import short_reason
from db.bulk.arguments import quarantine_selection, unrouted_selection
from db.complete.unrouted import IMAGES_DELETED
from db.listings.quarantine import QuarantinedItem, refusal_causes, select_quarantined
from db.listings.unrouted import select_unrouted, sources_of_unrouted
from db.operations.command_kinds import CommandKind


class ReceiveAction(BulkAction):
    """Checks refused data sets again, as if they came now."""

    path = "/operations/quarantine/receive"
    kind = CommandKind.QUARANTINE_REQUEUE_MANY
    title = "Receive refused data sets again"
    button = "Receive again"
    explain = (
        "After an upgrade or a change of [receive]: each data set is checked again, as if it came now. What is refused again stays in "
        "the quarantine, with the reason."
    )

    def fields(self, form: Mapping[str, str]) -> list[FormField]:
        """Return the lists of reasons and of sources, with how many data sets were refused so."""
        causes = refusal_causes(self.database, limit=MOST_CHOICES)
        return [
            choice_field(form, "cause", "Reason", "every reason", counted_choices((one.cause, one.number) for one in causes)),
            choice_field(form, "source", "Source", "every source", counted_choices((one.source, one.number) for one in causes)),
        ]

    def read(self, form: Mapping[str, str]) -> dict[str, str]:
        """Return reason and source."""
        return {name: read_value(form, name) for name in ("cause", "source")}

    def preview(self, args: Mapping[str, str]) -> Preview:
        """Return which data sets would be checked again. Only the listener finds out which of them are accepted."""
        found = select_quarantined(self.database, quarantine_selection(args), PLANNED)
        words = PlanWords(("data set", "data sets"), "checked again", ("Item", "Status", "Source", "Size", "Last", "Reason"))
        return preview_of(found, words, number=lambda item: item.id, refusal=lambda _: "", shown=self._row)

    def _row(self, item: QuarantinedItem) -> PreviewRow:
        cells = (f"0x{item.status:04X}", item.source, format_size(item.size_bytes), format_moment(item.last_at, self.zone), item.reason)
        return PreviewRow(str(item.id), "", cells)


class RouteAction(BulkAction):
    """Applies the present routes to units that no route took."""

    path = "/operations/units/route"
    kind = CommandKind.UNIT_REQUEUE_MANY
    title = "Route units again"
    button = "Route again"
    explain = (
        "After a route was corrected: the present routes are applied to series and images that no route took, without a new transfer. "
        "What no route takes again comes back to the list with the new reason."
    )

    def fields(self, form: Mapping[str, str]) -> list[FormField]:
        """Return the list of sources, and the time at which units were complete."""
        sources = sources_of_unrouted(self.database, limit=MOST_CHOICES)
        return [
            choice_field(form, "source", "Source", "every source", counted_choices(sources)),
            time_field(form, "since", "Completed from", self.zone),
            time_field(form, "until", "Until", self.zone),
        ]

    def read(self, form: Mapping[str, str]) -> dict[str, str]:
        """Return source and time."""
        return {"source": read_value(form, "source"), **self.read_times(form, end_now=False)}

    def preview(self, args: Mapping[str, str]) -> Preview:
        """Return which units would be routed again. Only the conductor finds out which route takes them."""
        found = select_unrouted(self.database, unrouted_selection(args), PLANNED)
        words = PlanWords(("unit", "units"), "routed again", ("Unit", "Source", "Modality", "Completed", "Reason", "What happens"))
        return preview_of(found, words, number=lambda row: int(row["unit_id"]), refusal=_refusal, shown=self._row)

    def _row(self, row: dict[str, Any]) -> PreviewRow:
        why = _refusal(row)
        happens = f"not routed: {why}" if why else "route again"
        at = format_moment(row["completed_at"], self.zone)
        cells = (str(row["source"]), str(row["modality"]), at, short_reason(row["reason"]), happens)
        return PreviewRow(str(row["unit_id"]), row["study_instance_uid"], cells)


def _refusal(row: dict[str, Any]) -> str:
    return IMAGES_DELETED if row["let_go"] else ""
