"""The commands of the group ``patients``."""

import typer

from deploy.cli.patients.access import access_patient
from deploy.cli.patients.erase import erase_patient

app = typer.Typer(help="Report and erase all data of one person.")
app.command("access")(access_patient)
app.command("erase")(erase_patient)
