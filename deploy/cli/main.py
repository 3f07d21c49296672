"""Entry point: builds the application of all commands, and converts every error to one line and an exit status.

0: success. 1: the command failed. 2: wrong usage or configuration.
"""

import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated

import typer

from core.errors import ConfigurationError, NodeError
from deploy.cli import audit, db, jobs, node, photograph, predict, quarantine, retention, roles, rules, users
from deploy.cli.models import commands as models

FAILED, USAGE = 1, 2


def build_app() -> typer.Typer:
    """Return the application with all its commands."""
    app = typer.Typer(
        name="dicom-node",
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"max_content_width": 120},
        rich_markup_mode=None,  # [section] in a help text would be taken for markup and vanish
    )
    app.callback()(_options)
    app.command()(node.up)
    for command in (roles.listen, roles.conduct, roles.relay, roles.worker, roles.send, roles.console):
        app.command()(command)
    app.command()(node.demo)
    app.command()(node.doctor)
    app.command()(predict.predict)
    app.command()(photograph.photograph)
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
        "users": users.app,
    }
    for name, group in groups.items():
        app.add_typer(group, name=name)
    return app


def _print_version(requested: bool) -> None:
    if requested:
        print(f"dicom-node {version('dicom-node')}")
        raise typer.Exit


def _options(
    show: Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True, help="print the version and exit")] = False,
) -> None:
    """Receive DICOM images, analyse them with AI models, send the results back as structured reports.

    Research use only: not for clinical decisions.
    """


def _join_lines(text: str) -> str:
    return " ".join(text.split())


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status. An error is printed as one line on standard error."""
    try:
        status = build_app()(args=arguments, prog_name="dicom-node", standalone_mode=False)
    except ConfigurationError as error:
        print(f"dicom-node: {_join_lines(str(error))}", file=sys.stderr)
        return USAGE
    except NodeError as error:
        print(f"dicom-node: {_join_lines(str(error))}", file=sys.stderr)
        return FAILED
    except typer.TyperException as error:  # wrong usage
        context = getattr(error, "ctx", None)
        place = context.command_path if context is not None else "dicom-node"
        print(f"dicom-node: {_join_lines(error.format_message())} (see '{place} --help')", file=sys.stderr)
        return USAGE
    except typer.Abort:
        print("dicom-node: interrupted", file=sys.stderr)
        return FAILED
    except BrokenPipeError:
        # The reader of the output has ended (`| head`). What is still buffered must not raise the error again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    return status if isinstance(status, int) else 0


def main() -> None:
    """Run the command of this process's arguments."""
    sys.exit(run())
