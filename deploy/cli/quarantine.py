"""What senders were refused, kept for a person to look at."""

from dataclasses import asdict

import typer

from core.errors import IntakeError
from deploy.cli.common import AsJson, Config, listing, opened, operator, say
from deploy.cli.jobs import Ids, Limit

app = typer.Typer(help="Instances that were refused with a failure status; their bytes are blobs.")

COLUMNS = ("id", "status", "reason", "source", "times", "size_bytes", "first_at", "last_at", "sha256")


@app.command("list")
def quarantine_list(config: Config = None, as_json: AsJson = False, limit: Limit = 200) -> None:
    """What could not be taken and why, the latest first; the bytes are in DATA_DIR/blobs under their sha256."""
    from db.receive.quarantine import quarantined

    with opened(config) as (_, database):
        rows = [asdict(item) | {"status": f"0x{item.status:04X}"} for item in quarantined(database, limit)]
    listing(rows, COLUMNS, title="quarantine", as_json=as_json)


@app.command("requeue")
def quarantine_requeue(ids: Ids, config: Config = None) -> None:
    """Judge data sets again, as if they came in now: after an upgrade, or a change of [receive]. What is refused again stays."""
    from db.blobs.store import Blobs
    from dicom_node.receive.again import judge_again

    refused = 0
    with opened(config) as (settings, database):
        blobs = Blobs(settings.blobs_dir)
        for id in ids:
            try:
                found = judge_again(settings, database, blobs, id, actor=operator())
                say(f"{id}: taken, {found.result.value}")
            except IntakeError as error:
                refused += 1
                say(f"{id}: refused again: {error}")
    if refused:
        raise typer.Exit(1)
