"""Commands that run one role each, for Compose and Kubernetes. ``up`` starts the same commands as child processes."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from core import process_memory
from core.errors import ConfigurationError
from deploy.cli.common import Config, read_settings, require_database_url, with_running_servers
from deploy.role_process import SHORT_DRAIN_S, run_until_signal, run_with_changes

if TYPE_CHECKING:
    from core.settings.settings import Settings
    from db.blobs.store import Blobs
    from db.engine import Database
    from deploy.reload import RoleReload


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


def role_reload(role: str, settings: "Settings", config: Config, database: "Database") -> "RoleReload":
    """Return what makes ``role`` take over a changed configuration after SIGHUP."""
    from deploy.reload import RoleReload

    return RoleReload(role, settings, config.resolve() if config is not None else None, database)


def open_database_and_blobs(settings: "Settings") -> "tuple[Database, Blobs]":
    """Open the database and the blobs."""
    from db.blobs.open_blobs import open_blobs
    from db.engine import Database

    return Database.open(settings.database.url), open_blobs(settings)


def open_database_only(settings: "Settings") -> "Database":
    """Open the database, for roles that write no files: their container may have no data folder or a read-only one."""
    from db.engine import Database

    return Database.open(settings.database.url)


def record_used_configuration(database: "Database", config: Config, role: str) -> None:
    """Record which configuration file the role uses, if that changed; a database that is unavailable is logged, and the role starts."""
    import structlog

    from core.errors import StorageError
    from db.operations.configuration_audit import record_configuration
    from deploy.reload import config_digest

    try:
        record_configuration(database, actor=role, digest=config_digest(config))
    except StorageError as error:
        structlog.get_logger().warning("configuration_not_audited", error=str(error))


def listen(config: Config = None) -> None:
    """Role: receive instances (C-STORE, C-ECHO)."""
    from dicom_node.receive import listen_role

    settings = prepare_role(config, "listen")
    if settings.store.is_node:
        hint = "leave store.url empty here, or use an S3 server"
        raise ConfigurationError("store.url names another node: what this role receives would be acknowledged by the other one", hint=hint)
    database, blobs = open_database_and_blobs(settings)
    process_memory.return_large_blocks()
    record_used_configuration(database, config, "listen")
    reloading = role_reload("listen", settings, config, database)
    run_until_signal(lambda stop: listen_role.run(settings, database, blobs, stop, take_change=reloading.take), reloading.request)


def conduct(config: Config = None) -> None:
    """Role: decide when a series is complete, and route it."""
    from deploy.configured_models import check_models
    from dicom_node.conduct import conductor

    settings = prepare_role(config, "conduct")
    check_models(settings)
    database, blobs = open_database_and_blobs(settings)
    record_used_configuration(database, config, "conduct")
    reloading = role_reload("conduct", settings, config, database)
    run_with_changes(reloading, lambda current, stop: conductor.run(current, database, blobs, stop), drain_s=SHORT_DRAIN_S)


def send(config: Config = None) -> None:
    """Role: deliver results to their destinations."""
    from dicom_node.deliver import sender

    settings = prepare_role(config, "send")
    database, blobs = open_database_and_blobs(settings)
    record_used_configuration(database, config, "send")
    reloading = role_reload("send", settings, config, database)
    run_with_changes(reloading, lambda current, stop: sender.run(current, database, blobs, stop))


def relay(config: Config = None) -> None:
    """Role: announce queued jobs to the broker.

    It also returns jobs whose lease has expired to the queue, and links the audit chain.
    """
    from workers.queue import relay as role

    settings = prepare_role(config, "relay")
    database = open_database_only(settings)
    record_used_configuration(database, config, "relay")
    run_until_signal(lambda stop: role.run(settings, database, stop), drain_s=SHORT_DRAIN_S)


def console(config: Config = None) -> None:
    """Role: web console, API, health and metrics."""
    from console import app

    settings = prepare_role(config, "console")
    database = open_database_only(settings)
    record_used_configuration(database, config, "console")
    reloading = role_reload("console", settings, config, database)
    run_until_signal(lambda stop: app.run(settings, database, stop, take_change=reloading.take), reloading.request)


Queues = Annotated[
    str | None, typer.Option("--queues", metavar="NAMES", help="comma-separated queues (default: every queue)", show_default=False)
]


def worker(config: Config = None, queues: Queues = None) -> None:
    """Role: analyse queued units with the models (Celery)."""
    from models.runtime import check_device
    from workers.queue.worker import run_worker

    settings = prepare_role(config, "worker")
    check_device(settings.worker.device)
    names = [name.strip() for name in queues.split(",") if name.strip()] if queues is not None else None
    sys.exit(run_worker(settings, names))
