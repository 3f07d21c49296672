"""The parts of conduct, send and listen that carry out commands, in threads."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from core.settings.settings import Settings
from db.blobs.store import Blobs
from db.engine import Database
from db.roles.command_runner import CommandRunner
from dicom_node.conduct import commands as of_conductor
from dicom_node.deliver.commands import DestinationCommands
from dicom_node.receive import listen_role


@contextmanager
def command_roles(database: Database, settings: Settings) -> Iterator[None]:
    """Carry out every command that is asked for while the block runs."""
    stop = threading.Event()
    owners = {
        "conduct": of_conductor.command_handlers(settings, database),
        "send": DestinationCommands(settings, database).handlers(),
        "listen": listen_role.command_handlers(settings, database, Blobs(settings.blobs_dir)),
    }
    runners = [CommandRunner(role, database, handlers, stop) for role, handlers in owners.items()]
    for runner in runners:
        runner.__enter__()
    try:
        yield
    finally:
        stop.set()
        for runner in runners:
            runner.__exit__()
