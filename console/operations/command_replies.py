"""What the pages with commands share: the list of commands as a fragment, and the check of the form."""

from fastapi import Request, Response
from fastapi.templating import Jinja2Templates
from starlette.datastructures import FormData

from console.auth.replies import page
from console.operations.commands import WrongCommand, ask_for_command, shown_commands
from db.accounts.sessions import Session
from db.engine import Database
from db.operations.command_kinds import CommandKind


def commands_reply(request: Request, templates: Jinja2Templates, database: Database, prefixes: tuple[str, ...]) -> Response:
    """Return the list of commands alone; a page asks for it while an answer is still to come."""
    found = shown_commands(database, prefixes)
    reply = page(templates, request, "operations_commands.html", commands=found, commands_path=request.url.path)
    if not any(command.pending for command in found):
        reply.headers["HX-Trigger"] = "commands-answered"
    return reply


def queue_command(form: FormData, database: Database, session: Session, kinds: frozenset[CommandKind]) -> str:
    """Queue the command of a form; return what is wrong with it, "" where it was queued."""
    try:
        ask_for_command(database, form, f"user:{session.user.name}", kinds)
    except WrongCommand as error:
        return str(error)
    return ""
