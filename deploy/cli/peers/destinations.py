"""Commands on destinations: test, pause, resume."""

from typing import Annotated

import typer

from core.errors import ConfigurationError
from deploy.cli.common import AsJson, Config, read_settings
from deploy.cli.routes import PauseReason, ResumeReason, change_pause
from deploy.terminal import print_json, print_message, print_table

app = typer.Typer(help="Test, pause and resume destinations.")
Name = Annotated[str, typer.Argument(metavar="NAME", help="destination of the configuration")]


@app.command("echo")
def destinations_echo(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME", help="destinations (default: all)", show_default=False)] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Test the configured destinations.

    With C-ECHO, a DICOMweb search, or a file in the folder.
    """
    from deploy.doctor.services import destination_fix
    from dicom_node.deliver.transports import echo

    settings = read_settings(config)
    known = ", ".join(destination.name for destination in settings.destinations)
    wanted = []
    for name in names or [destination.name for destination in settings.destinations]:
        destination = settings.destination(name)
        if destination is None:
            raise ConfigurationError(
                f"no [[destinations]] is named {name!r}",
                hint=f"there are: {known}" if known else "the configuration has no [[destinations]]",
            )
        wanted.append(destination)
    rows = []
    for destination in wanted:
        ok, words, seconds = echo(settings, destination)
        rows.append({"destination": destination.name, "ok": ok, "answer": words, "seconds": round(seconds, 4)})
    if as_json:
        print_json(rows)
    else:
        print_table(
            "destinations",
            ["", "name", "answer", "seconds"],
            [["ok" if r["ok"] else "FAIL", *list(r.values())[:1], r["answer"], r["seconds"]] for r in rows],
        )
        for destination, row in zip(wanted, rows, strict=True):
            if not row["ok"]:
                print_message(f"{destination.name}: {destination_fix(destination, str(row['answer']))}")
    if not all(row["ok"] for row in rows):
        raise typer.Exit(1)


@app.command("pause")
def destinations_pause(name: Name, reason: PauseReason, config: Config = None) -> None:
    """Pause a destination: nothing is sent until it is resumed.

    Its deliveries wait and none is lost. What is being sent is finished.
    """
    change_pause(config, "destination", name, reason, paused=True)


@app.command("resume")
def destinations_resume(name: Name, reason: ResumeReason = "", config: Config = None) -> None:
    """Resume a paused destination.

    What has waited is sent in its order.
    """
    change_pause(config, "destination", name, reason, paused=False)
