"""Which route takes these files, and why."""

from pathlib import Path
from typing import Annotated

import typer

from core.errors import NodeError
from deploy.cli.common import AsJson, Config, emit, say, settings_of
from deploy.routes import check_models

app = typer.Typer(help="Routes of the configuration.")


@app.callback()
def _group() -> None:
    """Keeps `rules test` a command of a group."""


@app.command("test")
def explain_files(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="DICOM files or folders")],
    source: Annotated[str, typer.Option("--source", metavar="AE", help="the AE title they would come from")] = "",
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Which route takes these files, and why, in words; nothing is stored."""
    from deploy.rules import explain

    settings = settings_of(config)
    check_models(settings)
    units, unread = explain(settings, paths, source)
    if as_json:
        emit({"units": [unit.as_dict() for unit in units], "unread": [{"path": str(path), "reason": why} for path, why in unread]})
    else:
        for unit in units:
            say("\n".join(unit.lines()) + "\n")
        for path, why in unread:
            say(f"{path}: not read: {why}")
    if not units:
        raise NodeError("none of these files is a DICOM instance that can be read", hint="give DICOM files, or a folder of them")
    if unread:
        raise typer.Exit(1)
