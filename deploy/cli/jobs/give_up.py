"""``deliveries give-up``: ends deliveries for good that have failed, are held or wait."""

from dataclasses import asdict
from typing import Annotated

import typer

from core.counted import counted
from core.errors import NodeError
from deploy.cli.common import AsJson, Config, open_database
from deploy.cli.jobs.planned_commands import CommandOptions, DryRun, Plan, ReasonOption, Study, Yes, carry_out, require_selection
from deploy.cli.jobs.resend import COLUMNS, DeliveryIds

To = Annotated[
    str,
    typer.Option("--to", metavar="NAME", help="what waits for this destination too, for example one that is gone", show_default=False),
]


def give_up_deliveries(
    ids: DeliveryIds = None, study: Study = "", to: To = "", reason: ReasonOption = "", dry_run: DryRun = False, yes: Yes = False,
    config: Config = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Give up deliveries for good.

    With --study and no ids: all that have failed or are held of this study. With --to and no ids: everything that this destination has
    not received, also what waits to be sent, and what it has not committed to store. What waits for a report that is given up (an
    assessment, a rejection) is given up with it. `deliveries retry` sends a delivery that was given up after all. The role send carries
    it out.
    """
    from db.deliveries.giving_up import plan_giving_up, unknown
    from db.operations.command_kinds import CommandKind

    options = CommandOptions(reason, dry_run, yes, as_json)
    options.check()
    require_selection(not ids and not study and not to, "give ids, --study or --to")
    wanted = tuple(ids or ())
    with open_database(config) as (_, database):
        planned = plan_giving_up(database, wanted, study, to)
        if absent := unknown(database, wanted, study, planned, to):
            raise NodeError("; ".join(absent), hint="see `deliveries list`")
        ended = [row for row in planned if not row.refusal]
        named = [row for row in ended if not row.waits]
        plan = Plan(
            title=f"{'would be given up' if dry_run else 'to be given up'}: {len(ended)} of {len(planned)} deliveries",
            columns=COLUMNS,
            rows=[asdict(row) | {"action": row.action} for row in planned],
            count=len(named),
            what=f"{counted(len(ended), 'delivery', 'deliveries')} will not be sent any more",
        )
        args = {"subject": counted(len(named), "delivery", "deliveries"), "deliveries": ",".join(str(row.delivery_id) for row in named)}
        carry_out(database, CommandKind.DELIVERY_GIVE_UP, args, plan, options)
