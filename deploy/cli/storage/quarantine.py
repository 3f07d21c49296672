"""Commands on refused data sets, which are stored with the reason."""

from dataclasses import asdict

import typer

from core.errors import ConfigurationError, IntakeError
from deploy.cli.common import AsJson, Config, Ids, Limit, open_database, open_listing, operator_name
from deploy.terminal import print_message, print_rows

app = typer.Typer(help="List and requeue refused data sets.")

COLUMNS = ("id", "status", "reason", "source", "times", "size_bytes", "first_at", "last_at", "sha256")


@app.command("list")
def quarantine_list(config: Config = None, as_json: AsJson = False, limit: Limit = 200) -> None:
    """List refused data sets with the reason.

    The latest first. The bytes are in DATA_DIR/blobs under their SHA-256.
    """
    from db.listings.quarantine import list_quarantined

    with open_listing(config) as (_, reader):
        rows = [asdict(item) | {"status": f"0x{item.status:04X}"} for item in list_quarantined(reader, limit)]
    print_rows(rows, COLUMNS, title="quarantine", as_json=as_json)


@app.command("requeue")
def quarantine_requeue(ids: Ids, config: Config = None) -> None:
    """Process refused data sets again.

    As if they were received now, for example after an upgrade or a change of [receive].
    A data set that is refused again stays in quarantine.
    """
    from db.blobs.open_blobs import open_blobs
    from dicom_node.receive.intake import Intake

    refused, absent = 0, []
    with open_database(config) as (settings, database):
        intake = Intake(settings, database, open_blobs(settings))
        for id in dict.fromkeys(ids):
            try:
                found = intake.readmit(id, actor=operator_name())
                print_message(f"{id}: taken, {found.result.value}")
            except IntakeError as error:
                refused += 1
                print_message(f"{id}: refused again: {error}")
            except ConfigurationError as error:  # the others are processed all the same
                absent.append(str(error))
    if absent:
        raise ConfigurationError("; ".join(absent))
    if refused:
        raise typer.Exit(1)
