"""Actions on many jobs: queue failed ones again, and run those again that have a result."""

from collections.abc import Callable, Mapping

from console.bulk.bulk_action import BulkAction
from console.bulk.preview import MOST_CHOICES, PLANNED, PlanWords, Preview, PreviewRow, preview_of
from console.bulk.selection_form import FormField, choice_field, counted_choices, read_value, time_field
from core.states import ModelState
from db.bulk.arguments import failed_selection, rerun_selection
from db.jobs.requeue_plan import PlannedRequeue, failure_causes, plan_requeue
from db.jobs.rerun import RerunTarget
from db.jobs.rerun_plan import PlannedRun, plan_reruns
from db.operations.command_kinds import CommandKind
from db.operations.model_registry import registered_models
from db.worklist.studies import filter_choices
from models import installed


class RequeueAction(BulkAction):
    """Queues failed jobs again: all, those of a model, or those with one reason."""

    path = "/operations/jobs/requeue"
    kind = CommandKind.JOB_REQUEUE_MANY
    title = "Requeue failed jobs"
    button = "Requeue"
    explain = (
        "When the cause is repaired: the jobs are queued again, with attempts counted from 0. A job whose report says that it was not "
        "analysed runs as a new job, whose result supersedes that report."
    )

    def fields(self, form: Mapping[str, str]) -> list[FormField]:
        """Return the lists of models and of reasons, with how many jobs have failed so."""
        causes = failure_causes(self.database, limit=MOST_CHOICES)
        return [
            choice_field(form, "model", "Model", "every model", counted_choices((one.model, one.number) for one in causes)),
            choice_field(form, "cause", "Reason", "every reason", counted_choices((one.cause, one.number) for one in causes)),
        ]

    def read(self, form: Mapping[str, str]) -> dict[str, str]:
        """Return model and reason."""
        return {name: read_value(form, name) for name in ("model", "cause")}

    def preview(self, args: Mapping[str, str]) -> Preview:
        """Return which failed jobs would be queued again."""
        plan = plan_requeue(self.database, failed_selection(args), PLANNED)
        words = PlanWords(("job", "jobs"), "queued again", ("Job", "Model", "State", "Reason", "What happens"))
        return preview_of(plan, words, number=lambda row: row.job_id, refusal=lambda row: row.refusal, shown=self._row)

    @staticmethod
    def _row(row: PlannedRequeue) -> PreviewRow:
        happens = f"not queued: {row.refusal}" if row.refusal else "queue again"
        return PreviewRow(str(row.job_id), row.study_instance_uid, (f"{row.model} {row.model_version}", row.state, row.cause, happens))


class RerunAction(BulkAction):
    """Runs jobs again that have a result: of a model, a version and a time, on the version that serves or another one."""

    path = "/operations/results/run"
    kind = CommandKind.JOB_RERUN_MANY
    title = "Run results again"
    button = "Run again"
    explain = (
        "The images are analysed again. Each new result supersedes the one before and goes to everybody who has received that. Times are "
        "those of the results."
    )
    choose = "Choose from when, or the version that made the results."

    def fields(self, form: Mapping[str, str]) -> list[FormField]:
        """Return the lists of versions, and the time."""
        known = registered_models(self.database)
        names = sorted({*filter_choices(self.database)["models"], *(one.name for one in known)})
        made = [(name, f"{name}, any version") for name in names]
        made += [(f"{one.name}@{one.version}", f"{one.name} {one.version}") for one in known]
        able = sorted({one.version for one in known if one.state in (ModelState.ACTIVE, ModelState.STANDBY)})
        chosen = {**form, "made": _made(form)}
        return [
            choice_field(chosen, "made", "Made by", "every model", sorted(made)),
            time_field(form, "since", "From", self.zone),
            time_field(form, "until", "Until, or empty for now", self.zone),
            choice_field(form, "version", "Run on", "the version that serves", [(version, version) for version in able]),
        ]

    def read(self, form: Mapping[str, str]) -> dict[str, str]:
        """Return model, version and time; a time without end ends now, so that no new result is among them."""
        model, _, made_by = _made(form).partition("@")
        args = {"model": model, "made_by": made_by, "version": read_value(form, "version")}
        return args | self.read_times(form, end_now=True)

    def preview(self, args: Mapping[str, str]) -> Preview | None:
        """Return which results would be made again, and on which version."""
        selection = rerun_selection(args)
        if selection.everything:
            return None
        plan = plan_reruns(self.database, selection, self._find(args.get("version", "")), PLANNED)
        words = PlanWords(("job", "jobs"), "run again", ("Job", "Model", "Outcome", "Destinations", "What happens"))
        return preview_of(plan, words, number=lambda row: row.job_id, refusal=lambda row: row.refusal, shown=self._row)

    def _find(self, wanted: str) -> Callable[[str], RerunTarget]:
        """Return what finds the version on which jobs of a model would run, as the conductor does."""

        folder = self.current().node.data_dir / installed.FOLDER

        def find(model: str) -> RerunTarget:
            found = installed.version_for_rerun(model, wanted, registered_models(self.database, model), folder)
            return RerunTarget(found.card.version, found.digest)

        return find

    @staticmethod
    def _row(row: PlannedRun) -> PreviewRow:
        cells = (f"{row.model} {row.model_version}", row.outcome.replace("_", " "), ", ".join(row.destinations), row.action)
        return PreviewRow(str(row.job_id), row.study_instance_uid, cells)


def _made(form: Mapping[str, str]) -> str:
    """Return ``MODEL@VERSION`` of the list, or of the hidden fields of a selection that was shown."""
    made_by = read_value(form, "made_by")
    return read_value(form, "made") or read_value(form, "model") + (f"@{made_by}" if made_by else "")
