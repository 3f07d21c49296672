"""Commands on routes: list them as sentences, pause, resume. Destinations are paused by the same function."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from core.errors import NodeError
from deploy.cli.common import AsJson, Config, open_database, operator_name
from deploy.terminal import print_message, print_rows

app = typer.Typer(help="List, pause and resume routes.")
Name = Annotated[str, typer.Argument(metavar="NAME", help="route of the configuration")]
PauseReason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="why; it is shown and kept in the audit trail")]
ResumeReason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="why; it is kept in the audit trail", show_default=False)]
COLUMNS = ("route", "paused", "rule")


@app.command("list")
def routes_list(config: Config = None, as_json: AsJson = False) -> None:
    """List the routes as sentences.

    With the reason where one is paused.
    """
    from db.operations.pauses import PauseKind, list_pauses

    with open_database(config) as (settings, database):
        paused = {pause.name: f"by {pause.actor}: {pause.reason}" for pause in list_pauses(database) if pause.kind is PauseKind.ROUTE}
    rows = [{"route": route.name, "paused": paused.get(route.name, ""), "rule": route.sentence} for route in settings.routes]
    print_rows(rows, COLUMNS, title="routes", as_json=as_json)


@app.command("pause")
def routes_pause(name: Name, reason: PauseReason, config: Config = None) -> None:
    """Pause a route: no analysis begins until it is resumed.

    Its jobs wait in the queue and none is lost. Running ones are finished and delivered.
    """
    change_pause(config, "route", name, reason, paused=True)


@app.command("resume")
def routes_resume(name: Name, reason: ResumeReason = "", config: Config = None) -> None:
    """Resume a paused route.

    What has waited is analysed in its order.
    """
    change_pause(config, "route", name, reason, paused=False)


def change_pause(config: Path | None, kind: Literal["route", "destination"], name: str, reason: str, *, paused: bool) -> None:
    """Pause or resume a route or destination, and print what was done.

    Raises
    ------
    NodeError
        The configuration has none of this name (a pause of one that was removed can be ended), or it is in that state already.
    """
    from db.operations.pauses import PauseKind, pause, resume

    with open_database(config) as (settings, database):
        names = [one.name for one in (settings.routes if kind == "route" else settings.destinations)]
        if paused and name not in names:
            raise NodeError(f"no {kind} is named {name!r}", hint=f"there are: {', '.join(names) or 'none'}")
        change = pause if paused else resume
        if not change(database, PauseKind(kind), name, reason=reason, actor=operator_name()):
            if name not in names:
                raise NodeError(
                    f"no {kind} is named {name!r}, and no pause is left of one", hint=f"there are: {', '.join(names) or 'none'}"
                )
            raise NodeError(f"{kind} {name!r} is {'paused already' if paused else 'not paused'}")
    print_message(f"{kind} {name} is {'paused' if paused else 'resumed'}")
