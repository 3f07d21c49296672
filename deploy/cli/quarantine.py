"""What senders were refused, kept for a person to look at."""

from dataclasses import asdict

import typer

from deploy.cli.common import AsJson, Config, listing, opened
from deploy.cli.jobs import Limit

app = typer.Typer(help="Instances that were refused with a failure status; their bytes are blobs.")

COLUMNS = ("id", "status", "reason", "source", "times", "size_bytes", "first_at", "last_at", "sha256")


@app.callback()
def _group() -> None:
    """Keeps `quarantine list` a command of a group."""


@app.command("list")
def quarantine_list(config: Config = None, as_json: AsJson = False, limit: Limit = 200) -> None:
    """What could not be taken and why, the latest first; the bytes are in DATA_DIR/blobs under their sha256."""
    from db.quarantine import quarantined

    with opened(config) as (_, database):
        rows = [asdict(item) | {"status": f"0x{item.status:04X}"} for item in quarantined(database, limit)]
    listing(rows, COLUMNS, title="quarantine", as_json=as_json)
