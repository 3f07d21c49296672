"""What may be let go."""

from dataclasses import asdict
from typing import Annotated

import typer

from deploy.cli.common import AsJson, Config, listing, opened, operator, say

app = typer.Typer(help="Bytes of what is delivered everywhere, let go by the policy of [retention].")

COLUMNS = ("kind", "days", "units", "objects", "size_bytes")


@app.callback()
def _group() -> None:
    """Keeps `retention run` a command of a group."""


@app.command()
def run(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would go, and remove nothing")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, help="at most this many units of each kind")] = 10_000,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Let go what [retention] allows; rows, hashes and the audit trail stay. Without a policy nothing is."""
    from db.blobs import orphaned_blobs, removals
    from db.blobs.store import Blobs
    from db.commitment import expiry
    from db.operations import retention

    with opened(config) as (settings, database):
        policy, blobs = settings.retention, Blobs(settings.blobs_dir)
        rules = retention.rules(policy)
        if dry_run:
            found = [retention.plan(database, kind) for kind in rules]
        else:
            found = [retention.let_go(database, blobs, kind, actor=operator(), limit=limit) for kind in rules]
            removals.carry_out(database, blobs)  # what a run that was killed left to be done, also where no rule is on
        rows = [asdict(one) for one in found]
        if policy.records_days:
            if dry_run:
                count = expiry.count(database, policy.records_days)
            else:
                count = expiry.forget(database, policy.records_days, actor=operator(), limit=limit)
            rows.append({"kind": "records", "days": policy.records_days, "units": 0, "objects": count, "size_bytes": 0})
        if policy.strays_days:
            if dry_run:
                files, size = orphaned_blobs.count(database, blobs, policy.strays_days)
            else:
                files, size = orphaned_blobs.remove(database, blobs, policy.strays_days, actor=operator(), limit=limit)
            rows.append({"kind": "strays", "days": policy.strays_days, "units": 0, "objects": files, "size_bytes": size})
    if not rows:
        say("[retention] allows nothing to be removed: every number of days is 0")
    listing(rows, COLUMNS, title="would be removed" if dry_run else "removed", as_json=as_json)
