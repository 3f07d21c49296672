"""The command that deletes files by the retention policy."""

from dataclasses import asdict
from typing import Annotated

import typer

from core.counted import counted
from deploy.cli.common import AsJson, Config, open_database, operator_name
from deploy.terminal import print_json, print_message, print_table

app = typer.Typer(help="Delete files by the policy in [retention].")

COLUMNS = ("kind", "days", "units", "objects", "size_bytes")


@app.callback()
def _group() -> None:
    """Make `retention run` a command of a group; a group with one command would otherwise be that command."""


@app.command()
def run(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print what would be deleted, and delete nothing")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, help="maximum number of units of each kind")] = 10_000,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Delete the files that [retention] allows to delete.

    Rows, hashes and the audit trail stay. Without a policy nothing is deleted.
    """
    from db.blobs import orphaned_blobs, removals
    from db.blobs.open_blobs import open_blobs
    from db.bulk.retention_run import apply_kind, plan_kind, retention_kinds

    with open_database(config) as (settings, database):
        policy, blobs = settings.retention, open_blobs(settings)
        kinds = retention_kinds(policy)
        if dry_run:
            found = [plan_kind(database, policy, kind, limit=limit) for kind in kinds]
        else:
            found = [apply_kind(database, blobs, policy, kind, actor=operator_name(), limit=limit) for kind in kinds]
            removals.remove_blobs(database, blobs)  # finishes what an interrupted run had begun, also where no rule is enabled
        rows = [asdict(one) for one in found]
        if policy.strays_days:
            if dry_run:
                files, size = orphaned_blobs.count_orphans(database, blobs, policy.strays_days, limit=limit)
            else:
                files, size = orphaned_blobs.remove_orphans(database, blobs, policy.strays_days, actor=operator_name(), limit=limit)
            rows.append({"kind": "strays", "days": policy.strays_days, "units": 0, "objects": files, "size_bytes": size})
    if not rows:
        print_message("[retention] allows nothing to be deleted: every number of days is 0")
    if as_json:
        print_json(rows)
        return
    units, objects, size = (sum(row[key] for row in rows) for key in ("units", "objects", "size_bytes"))
    title = f"{'would be deleted' if dry_run else 'deleted'}: {counted(units, 'unit')}, {counted(objects, 'object')}, {size} bytes"
    print_table(title, COLUMNS, [[row[column] for column in COLUMNS] for row in rows])
