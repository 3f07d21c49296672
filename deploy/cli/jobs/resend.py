"""``deliveries resend``: sends results again, also what was stored or committed, to the same or another destination."""

from dataclasses import asdict
from typing import Annotated

import typer

from core.counted import counted
from core.errors import ConfigurationError, NodeError
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

COLUMNS = ("job_id", "delivery_id", "object", "destination", "state", "accession_number", "action")
DeliveryIds = Annotated[
    list[int] | None, typer.Argument(metavar="ID", max=MOST_ID, help="deliveries, see `deliveries list`", show_default=False)
]
JobIds = Annotated[list[int] | None, typer.Option("--job", metavar="ID", max=MOST_ID, help="all objects of these jobs", show_default=False)]
To = Annotated[str, typer.Option("--to", metavar="NAME", help="destination that receives the selected results", show_default=False)]
Missing = Annotated[bool, typer.Option("--missing", help="with --to: only what the destination has not stored yet")]
At = Annotated[str, typer.Option("--destination", metavar="NAME", help="only what was sent to this destination", show_default=False)]


def resend_deliveries(
    ids: DeliveryIds = None, job: JobIds = None, study: Study = "", since: Since = None, until: Until = None, to: To = "",
    missing: Missing = False, destination: At = "", reason: ReasonOption = "", dry_run: DryRun = False, yes: Yes = False,
    config: Config = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Send results again, also what was stored or committed.

    To where they were sent, or with --to to one destination, for example one that was configured later: then the whole results
    that are selected go there, in the objects that it takes. Without --to, times are those at which the objects were stored;
    with --to those of the results. The role send carries it out.
    """
    from db.deliveries.resend_plan import ResendSelection, ResendTargets, plan_resend, unselected
    from db.operations.command_kinds import CommandKind

    options = CommandOptions(reason, dry_run, yes, as_json)
    options.check()
    if missing and not to:
        raise ConfigurationError("--missing compares with one destination", hint="add --to NAME")
    if destination and to:
        raise ConfigurationError("--destination selects what was sent there, --to sends results elsewhere", hint="give one of them")
    selection = ResendSelection(
        tuple(ids or ()), tuple(job or ()), study, parse_time(since), parse_time(until, "--until"), to, missing, destination
    )  # fmt: skip
    require_selection(selection.everything)
    with open_database(config) as (settings, database):
        require_destination(settings, to)
        planned = plan_resend(database, selection, ResendTargets.configured(settings))
        if absent := unselected(database, selection, planned):
            raise NodeError("; ".join(absent), hint="see `deliveries list` and `jobs list`")
        sent = [row for row in planned if not row.refusal]
        args = {"subject": counted(len(sent), "object"), "to": to, "missing": "yes" if missing else ""}
        if to:
            args["jobs"] = ",".join(str(id) for id in sorted({row.job_id for row in sent}))
        else:
            args["deliveries"] = ",".join(str(row.delivery_id) for row in sent)
        plan = Plan(
            title=f"{'would be sent' if dry_run else 'to be sent'}: {len(sent)} of {len(planned)} objects",
            columns=COLUMNS,
            rows=[asdict(row) | {"action": row.action} for row in planned],
            count=len(sent),
            what=f"{counted(len(sent), 'object')} will be sent{f' to {to}' if to else ' again'}",
        )
        carry_out(database, CommandKind.DELIVERY_RESEND, {key: value for key, value in args.items() if value}, plan, options)
