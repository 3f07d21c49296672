"""Entry point: builds the application of all commands, and converts every error to one line and an exit status.

0: success. 1: the command failed. 2: wrong usage or configuration.
"""

import gc
import importlib
import os
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from core.errors import REPEATED, ConfigurationError, NodeError
from deploy import VERSION
from deploy.cli.command_table import COMMANDS, GROUPS
from deploy.database_mistakes import describe_mistake

if TYPE_CHECKING:
    import typer

FAILED, USAGE = 1, 2
# Commands that run for days: an error that they do not expect needs its traceback.
SERVING = frozenset({"up", *(name for name, (module, _) in COMMANDS.items() if module == "roles")})
# Allocations between two collections. Python's default of 700 makes it search for garbage hundreds of times while modules are imported.
COLLECT_EVERY = 50_000


def build_app(only: str | None = None) -> "typer.Typer":
    """Return the application with all its commands, or with one command or group: only its module is imported."""
    import typer

    def print_version(requested: bool) -> None:
        if requested:
            print(f"dicom-node {VERSION}")
            raise typer.Exit

    def options(
        show: Annotated[bool, typer.Option("--version", callback=print_version, is_eager=True, help="print the version and exit")] = False,
    ) -> None:
        """Receive DICOM images, analyse them with AI models, send the results back as structured reports.

        Research use only: not for clinical decisions.
        """

    app = typer.Typer(
        name="dicom-node",
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"max_content_width": 120},
        rich_markup_mode=None,  # [section] in a help text would be taken for markup and vanish
    )
    app.callback()(options)
    for name, place in COMMANDS.items():
        if only in (None, name):
            app.command(name)(_load(place))
    for name, place in GROUPS.items():
        if only in (None, name):
            app.add_typer(_load(place), name=name)
    return app


def _load(place: tuple[str, str]) -> Any:
    module, attribute = place
    return getattr(importlib.import_module(f"deploy.cli.{module}"), attribute)


def plain_types(command: Any) -> Any:
    """Return a command with words instead of Python's types in its help: ``<list[Path]>`` says nothing to a user.

    An argument has its name, and an option the word for what it takes.
    """
    for parameter in command.params:
        kind = parameter.type_descriptor
        if parameter.param_type_name == "argument":
            word = ""
        elif kind.is_choice:
            continue
        else:
            word = "PATH" if kind.is_path else "NUMBER" if kind.is_ranged or parameter.bare_type() in ("int", "float") else "TEXT"
        parameter.display_type = lambda ctx, word=word: word
    for child in getattr(command, "commands", {}).values():
        plain_types(child)
    return command


def _join_lines(text: str) -> str:
    return " ".join(text.split())


def _usage_message(text: str) -> str:
    """Return what is wrong with an argument in one line, without the words of the library that reads it."""
    text = re.sub(r"Input should be a valid integer\b[^(]*", "expected a whole number", _join_lines(text))
    text = re.sub(r"Input should be a valid number\b[^(]*", "expected a number", text)
    text = text.replace("does not match the formats '%Y-%m-%d'", "is no date such as 2026-01-31")
    return text.replace("Value error, ", "").replace("Input should be ", "expected ")


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status. An error is printed as one line on standard error."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given == ["--version"]:
        print(f"dicom-node {VERSION}")
        return 0
    import typer

    only = given[0] if given and given[0] in {*COMMANDS, *GROUPS} else None
    try:
        status = plain_types(typer.main.get_command(build_app(only)))(args=given, prog_name="dicom-node", standalone_mode=False)
    except ConfigurationError as error:
        print(f"dicom-node: {_join_lines(str(error))}", file=sys.stderr)
        return USAGE
    except NodeError as error:
        if error.hint.startswith(REPEATED):  # true for a role that goes on, not for a command that ends
            error.hint = "see `dicom-node doctor`, then run the command again"
        print(f"dicom-node: {_join_lines(str(error))}", file=sys.stderr)
        return FAILED
    except typer.TyperException as error:  # wrong usage
        context = getattr(error, "ctx", None)
        place = context.command_path if context is not None else "dicom-node"
        print(f"dicom-node: {_usage_message(error.format_message())} (see '{place} --help')", file=sys.stderr)
        return USAGE
    except typer.Abort:
        print("dicom-node: interrupted", file=sys.stderr)
        return FAILED
    except BrokenPipeError:
        # The reader of the output has ended (`| head`). What is still buffered must not raise the error again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:
        if error.filename is None or only in SERVING:
            raise
        print(f"dicom-node: {error.filename}: {error.strerror}", file=sys.stderr)
        return FAILED
    except Exception as error:
        mistake = describe_mistake(error)
        if mistake is None or only in SERVING:
            raise
        print(f"dicom-node: {mistake}", file=sys.stderr)
        return FAILED
    return status if isinstance(status, int) else 0


def main() -> None:
    """Run the command of this process's arguments."""
    # This project uses no plug-ins of pydantic; without this it searches the metadata of every installed package for them.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    gc.set_threshold(COLLECT_EVERY, *gc.get_threshold()[1:])
    status = run()
    gc.freeze()  # the interpreter collects garbage before it ends, which takes half a second where torch is loaded
    sys.exit(status)
