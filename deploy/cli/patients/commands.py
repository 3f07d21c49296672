"""The commands of the group ``patients``."""

import typer

from deploy.cli.patients.access import access_patient

app = typer.Typer(help="All data of one person.")
app.command("access")(access_patient)


@app.callback()
def _group() -> None:
    """Make `patients access` a command of a group; a group with one command would otherwise be that command."""
