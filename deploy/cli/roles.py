"""Commands that run one role each, for Compose and Kubernetes. ``up`` starts the same commands as child processes."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from core import process_memory
from deploy.cli.common import Config, read_settings, require_database_url, with_running_servers

if TYPE_CHECKING:
    from core.settings.settings import Settings
    from db.blobs.store import Blobs
    from db.engine import Database


def prepare_role(config: Config, role: str) -> "Settings":
    """Configure logging, and return the settings with the URLs of the servers filled in."""
    import structlog

    from core import logs
    from deploy.settings_file import secret_file_variable, secrets_in_file

    settings = with_running_servers(read_settings(config))
    require_database_url(settings)
    logs.configure_logging(level=settings.logs.level, style=settings.logs.format, role=role)
    for key in secrets_in_file(config):
        structlog.get_logger().warning(
            "secret_in_configuration_file", name=key, hint=f"name a file of its own: {secret_file_variable(key)}"
        )
    return settings


def run_until_signal(role: Callable[[threading.Event], None]) -> None:
    """Run ``role`` until SIGTERM or SIGINT sets its event, then wait until it returns. A second signal ends the process at once."""
    stop = threading.Event()

    def request_stop(number: int, _: object) -> None:
        if stop.is_set():
            os._exit(128 + number)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, request_stop)
    process_memory.freeze_garbage_collector()
    role(stop)


def open_database_and_blobs(settings: "Settings") -> "tuple[Database, Blobs]":
    """Open the database and the folder of the blobs."""
    from db.blobs.store import Blobs
    from db.engine import Database

    return Database.open(settings.database.url), Blobs(settings.blobs_dir)


def open_database_only(settings: "Settings") -> "Database":
    """Open the database, for roles that write no files: their container may have no data folder or a read-only one."""
    from db.engine import Database

    return Database.open(settings.database.url)


def listen(config: Config = None) -> None:
    """Role: receive instances (C-STORE, C-ECHO)."""
    from dicom_node.receive import listen_role

    settings = prepare_role(config, "listen")
    database, blobs = open_database_and_blobs(settings)
    process_memory.return_large_blocks()
    run_until_signal(lambda stop: listen_role.run(settings, database, blobs, stop))


def conduct(config: Config = None) -> None:
    """Role: decide when a series is complete, and route it."""
    from deploy.configured_models import check_models
    from dicom_node.conduct import conductor

    settings = prepare_role(config, "conduct")
    check_models(settings)
    database, blobs = open_database_and_blobs(settings)
    run_until_signal(lambda stop: conductor.run(settings, database, blobs, stop))


def send(config: Config = None) -> None:
    """Role: deliver results to their destinations."""
    from dicom_node.deliver import sender

    settings = prepare_role(config, "send")
    database, blobs = open_database_and_blobs(settings)
    run_until_signal(lambda stop: sender.run(settings, database, blobs, stop))


def relay(config: Config = None) -> None:
    """Role: announce queued jobs to the broker.

    It also returns jobs whose lease has expired to the queue, and links the audit chain.
    """
    from workers.queue import relay as role

    settings = prepare_role(config, "relay")
    database = open_database_only(settings)
    run_until_signal(lambda stop: role.run(settings, database, stop))


def console(config: Config = None) -> None:
    """Role: web console, API, health and metrics."""
    from console import app

    settings = prepare_role(config, "console")
    database = open_database_only(settings)
    run_until_signal(lambda stop: app.run(settings, database, stop))


Queues = Annotated[
    str | None, typer.Option("--queues", metavar="NAMES", help="comma-separated queues (default: every queue)", show_default=False)
]


def worker(config: Config = None, queues: Queues = None) -> None:
    """Role: analyse queued units with the models (Celery)."""
    from workers.queue.worker import run_worker

    settings = prepare_role(config, "worker")
    names = [name.strip() for name in queues.split(",") if name.strip()] if queues is not None else None
    sys.exit(run_worker(settings, names))
