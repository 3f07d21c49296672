"""The database for commands that need nothing else, also while no node runs: its embedded server is then started for the command."""

from collections.abc import Iterator
from contextlib import contextmanager

from core.errors import ConfigurationError
from core.settings.settings import Settings
from deploy.local.embedded_servers import EmbeddedPostgres
from deploy.local.node_lock import NodeLock, running_servers


@contextmanager
def database_of(settings: Settings, *, create: bool = False) -> Iterator[str]:
    """The URL that is set, or of the running node, or of the embedded server, started here and stopped at the end.

    ``create``: also where the data folder has no database yet.

    Raises
    ------
    ConfigurationError
        There is no database, no PostgreSQL is installed, or it is not of the data folder's version.
    """
    if settings.database.url:
        yield settings.database.url
        return
    running = running_servers(settings.node.data_dir)
    if running is not None:
        yield running.database
        return
    server = EmbeddedPostgres(settings.node.data_dir / "postgresql")
    if not (create or server.cluster.exists()):
        raise ConfigurationError(
            f"database.url is empty, and {settings.node.data_dir} holds no database and no running node",
            hint="start `dicom-node up` with this configuration, or set database.url",
        )
    lock = NodeLock(settings.node.data_dir)
    lock.take()  # no `up` may start meanwhile
    try:
        yield server.start()
    finally:
        server.stop()
        lock.leave()
