"""``jobs rerun``: runs jobs again that have a result, on the same or another version of their model."""

from dataclasses import asdict
from typing import Annotated

import typer

from core.counted import counted
from core.errors import NodeError
from deploy.cli.common import MOST_ID, AsJson, Config, open_database, parse_time
from deploy.cli.jobs.planned_commands import (
    CommandOptions,
    DryRun,
    Plan,
    ReasonOption,
    Since,
    Study,
    Until,
    Yes,
    carry_out,
    require_destination,
    require_selection,
)

COLUMNS = ("job_id", "model", "model_version", "state", "outcome", "accession_number", "destinations", "action")
JobArguments = Annotated[list[int] | None, typer.Argument(metavar="ID", max=MOST_ID, help="jobs, see `jobs list`", show_default=False)]
Model = Annotated[
    str,
    typer.Option(
        "--model",
        metavar="[NAME@]VERSION",
        help="version or digest to run on (default: the one that serves); with NAME@ only jobs of this model",
        show_default=False,
    ),
]
MadeBy = Annotated[
    str, typer.Option("--made-by", metavar="VERSION", help="only results that this version of the model made", show_default=False)
]
AddedDestination = Annotated[str, typer.Option("--to", metavar="NAME", help="a further destination of the results", show_default=False)]


def rerun_jobs(
    ids: JobArguments = None, study: Study = "", since: Since = None, until: Until = None, model: Model = "", made_by: MadeBy = "",
    to: AddedDestination = "", reason: ReasonOption = "", dry_run: DryRun = False, yes: Yes = False, config: Config = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Run jobs again that have a result, also delivered ones.

    On the version that serves, or with --model on another. The new result has new objects and supersedes the old one, whose
    recipients receive it. The role conduct carries it out.
    """
    from db.jobs.rerun_plan import RerunSelection, plan_reruns, unselected_jobs
    from db.operations.command_kinds import CommandKind
    from dicom_node.conduct.model_versions import rerun_versions
    from models import installed

    options = CommandOptions(reason, dry_run, yes, as_json)
    options.check()
    name, _, version = model.rpartition("@")
    selection = RerunSelection(
        tuple(ids or ()), study, parse_time(since), parse_time(until, "--until"), name, (to,) if to else (), made_by
    )  # fmt: skip
    require_selection(selection.everything)
    with open_database(config) as (settings, database):
        require_destination(settings, to)
        planned = plan_reruns(database, selection, rerun_versions(database, settings.node.data_dir / installed.FOLDER, version))
        if absent := unselected_jobs(database, selection, planned):
            raise NodeError("; ".join(absent), hint="see `jobs list`")
        runs = [row for row in planned if not row.refusal]
        args = {"subject": counted(len(runs), "job"), "jobs": ",".join(str(row.job_id) for row in runs), "version": version, "to": to}
        plan = Plan(
            title=f"{'would run' if dry_run else 'to run'}: {len(runs)} of {len(planned)} jobs",
            columns=COLUMNS,
            rows=[asdict(row) | {"action": row.action} for row in planned],
            count=len(runs),
            what=f"{counted(len(runs), 'job')} will run again; each new result supersedes the one before",
        )
        carry_out(database, CommandKind.JOB_RERUN, {key: value for key, value in args.items() if value}, plan, options)
