"""One role a process, for compose and Kubernetes; `up` starts the same commands as its children."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import structlog
import typer

from core import logs, process_memory
from core.settings.settings import Settings
from deploy.cli.common import Config, database_url, settings_of, with_servers
from deploy.configured_models import check_models
from deploy.settings_file import secret_file_variable, secrets_in_file

if TYPE_CHECKING:
    from db.blobs.store import Blobs
    from db.engine import Database


def prepared(config: Config, role: str) -> Settings:
    """Settings with every URL known, and logging set up."""
    settings = with_servers(settings_of(config))
    database_url(settings)
    logs.configure(level=settings.logs.level, style=settings.logs.format, role=role)
    for key in secrets_in_file(config):
        structlog.get_logger().warning(
            "a secret stands in the configuration file", name=key, hint=f"name a file of its own: {secret_file_variable(key)}"
        )
    return settings


def until_stopped(role: Callable[[threading.Event], None]) -> None:
    """Run ``role`` until SIGTERM or SIGINT, then let it drain; a second signal ends the process at once."""
    stop = threading.Event()

    def ask(number: int, _: object) -> None:
        if stop.is_set():
            os._exit(128 + number)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask)
    process_memory.settle()
    role(stop)


def stores(settings: Settings) -> "tuple[Database, Blobs]":
    from db.blobs.store import Blobs
    from db.engine import Database

    return Database.open(settings.database.url), Blobs(settings.blobs_dir)


def only_database(settings: Settings) -> "Database":
    """For the roles that keep no files: their container may see the data folder read-only, or not at all."""
    from db.engine import Database

    return Database.open(settings.database.url)


def listen(config: Config = None) -> None:
    """Receive over DICOM (C-ECHO, C-STORE)."""
    from dicom_node.receive import listener

    settings = prepared(config, "listen")
    database, blobs = stores(settings)
    process_memory.give_back_large()
    until_stopped(lambda stop: listener.run(settings, database, blobs, stop))


def conduct(config: Config = None) -> None:
    """Decide when a unit is complete, and which route takes it."""
    from dicom_node.conduct import conductor

    settings = prepared(config, "conduct")
    check_models(settings)
    database, blobs = stores(settings)
    until_stopped(lambda stop: conductor.run(settings, database, blobs, stop))


def send(config: Config = None) -> None:
    """Deliver results to their destinations."""
    from dicom_node.deliver import sender

    settings = prepared(config, "send")
    database, blobs = stores(settings)
    until_stopped(lambda stop: sender.run(settings, database, blobs, stop))


def relay(config: Config = None) -> None:
    """Publish waiting jobs to the broker, reap lost leases, link the audit chain."""
    from workers.queue import relay as role

    settings = prepared(config, "relay")
    database = only_database(settings)
    until_stopped(lambda stop: role.run(settings, database, stop))


def console(config: Config = None) -> None:
    """Web console, API, health and metrics."""
    from console import app

    settings = prepared(config, "console")
    database = only_database(settings)
    until_stopped(lambda stop: app.run(settings, database, stop))


Queues = Annotated[
    str | None, typer.Option("--queues", metavar="NAMES", help="comma-separated queues; without it every queue", show_default=False)
]


def worker(config: Config = None, queues: Queues = None) -> None:
    """Run models on what is queued (Celery, prefork)."""
    from workers.queue.worker import run_worker

    settings = prepared(config, "worker")
    names = [name.strip() for name in queues.split(",") if name.strip()] if queues is not None else None
    sys.exit(run_worker(settings, names))
