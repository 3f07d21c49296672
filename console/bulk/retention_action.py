"""The action that deletes what the policy of retention allows to delete, with a preview of what that is."""

from collections.abc import Mapping

from console.bulk.bulk_action import BulkAction
from console.bulk.preview import SHOWN, Preview, PreviewRow
from console.bulk.selection_form import FormField, read_value
from console.formats import format_moment, format_size
from core.counted import counted
from db.bulk.retention_run import first_units, plan_kind, policy_in_words, removed_in_words, retention_kinds
from db.operations.command_kinds import CommandKind

MOST_UNITS = 10_000  # counted of each kind: as many as one run of the command line deletes
COLUMNS = ("Unit", "What", "Completed", "Objects", "Size")
WHAT = {"images": "images", "results": "result objects", "unrouted": "images that no route took"}


class RetentionAction(BulkAction):
    """Deletes the files of the policy now; without a policy there is nothing to do."""

    path = "/operations/retention"
    kind = CommandKind.RETENTION_RUN
    title = "Delete by retention"
    button = "Delete now, for good"
    explain = (
        "The section [retention] of the configuration says what may be deleted, and after how many days. Files are deleted; rows, hashes "
        "and the audit trail stay. Orphaned blobs (strays_days) are deleted by dicom-node retention run only."
    )
    choose = "Every number of days in [retention] is 0: nothing may be deleted."
    danger = True

    def fields(self, form: Mapping[str, str]) -> list[FormField]:
        """Return none: the policy decides."""
        return []

    def read(self, form: Mapping[str, str]) -> dict[str, str]:
        """Return the policy that the page shows; the conductor refuses another one.

        The form of a page that was opened before the policy was changed names that policy.
        """
        return {"policy": read_value(form, "policy") or policy_in_words(self.current().retention)}

    def preview(self, args: Mapping[str, str]) -> Preview | None:
        """Return what would be deleted now, and the units that are the first."""
        policy = self.current().retention
        kinds = retention_kinds(policy)
        if not kinds:
            return None
        planned = [plan_kind(self.database, policy, kind, limit=MOST_UNITS) for kind in kinds]
        due = [one for one in planned if one.objects]
        rows = [
            PreviewRow(
                str(unit.unit_id), unit.study_instance_uid,
                (WHAT[kind], format_moment(unit.completed_at, self.zone), str(unit.objects), format_size(unit.size_bytes)),
            )
            for kind in kinds
            for unit in first_units(self.database, policy, kind, limit=SHOWN)
        ]  # fmt: skip
        would = [
            removed_in_words(one.kind, one.units, one.objects)
            + (f" ({format_size(one.size_bytes)})" if one.size_bytes else "")
            + f" would be deleted by {one.kind}_days = {one.days}"
            for one in due
        ]
        if any(one.units >= MOST_UNITS for one in due):
            would.append(f"Only the first {MOST_UNITS} units of a kind were counted: more would be deleted")
        return Preview(
            would=tuple(would),
            columns=COLUMNS,
            rows=tuple(rows[:SHOWN]),
            total=sum(one.units for one in due),
            nothing="Nothing is old enough, or all of it is still needed",
            subject=counted(sum(one.objects for one in due), "object"),
        )
