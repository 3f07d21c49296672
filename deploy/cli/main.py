"""Entry point: the commands put together, and every error turned into one line and an exit status.

0 success, 1 the thing asked failed, 2 wrong usage or configuration.
"""

import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated

import typer

from core.errors import ConfigurationError, NodeError
from deploy.cli import audit, db, jobs, models, node, predict, quarantine, retention, roles, rules

FAILED, USAGE = 1, 2


def build() -> typer.Typer:
    """The application with all its commands."""
    app = typer.Typer(
        name="dicom-node",
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    app.callback()(_options)
    app.command()(node.up)
    for command in (roles.listen, roles.conduct, roles.relay, roles.worker, roles.send, roles.console):
        app.command()(command)
    app.command()(node.demo)
    app.command()(node.doctor)
    app.command()(predict.predict)
    app.command()(node.conformance)
    groups = {
        "models": models.app,
        "rules": rules.app,
        "jobs": jobs.jobs,
        "deliveries": jobs.deliveries,
        "quarantine": quarantine.app,
        "retention": retention.app,
        "results": jobs.results,
        "audit": audit.app,
        "db": db.app,
        "destinations": node.destinations,
    }
    for name, group in groups.items():
        app.add_typer(group, name=name)
    return app


def _say_version(wanted: bool) -> None:
    if wanted:
        print(f"dicom-node {version('dicom-node')}")
        raise typer.Exit


def _options(
    show: Annotated[bool, typer.Option("--version", callback=_say_version, is_eager=True, help="the version, and no more")] = False,
) -> None:
    """DICOM in, model findings as structured reports back. Research use: not for clinical decisions."""


def one_line(text: str) -> str:
    return " ".join(text.split())


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit status; errors are printed as one line on standard error."""
    try:
        status = build()(args=arguments, prog_name="dicom-node", standalone_mode=False)
    except ConfigurationError as error:
        print(f"dicom-node: {one_line(str(error))}", file=sys.stderr)
        return USAGE
    except NodeError as error:
        print(f"dicom-node: {one_line(str(error))}", file=sys.stderr)
        return FAILED
    except typer.TyperException as error:  # what the parser of the command line says
        context = getattr(error, "ctx", None)
        place = context.command_path if context is not None else "dicom-node"
        print(f"dicom-node: {one_line(error.format_message())} (see '{place} --help')", file=sys.stderr)
        return USAGE
    except typer.Abort:
        print("dicom-node: stopped", file=sys.stderr)
        return FAILED
    except BrokenPipeError:
        # The reader of our output went away (`| head`); what is still buffered must not raise again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    return status if isinstance(status, int) else 0


def main() -> None:
    sys.exit(run())
