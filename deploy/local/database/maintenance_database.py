"""The database for commands that need nothing else. Its embedded server is started for the command when no node runs."""

from collections.abc import Iterator
from contextlib import contextmanager

from core.errors import ConfigurationError
from core.settings.settings import Settings
from deploy.local.node_lock import NO_DATABASE_HINT, NodeLock, running_servers


@contextmanager
def maintenance_database(settings: Settings, *, create: bool = False) -> Iterator[str]:
    """Yield the URL of the database: the configured one, that of the running node, or of a server started for this block.

    Parameters
    ----------
    create
        Start the embedded server also where the data folder has no database yet.

    Raises
    ------
    ConfigurationError
        There is no database, no PostgreSQL is installed, or none of the data folder's version.
    """
    if settings.database.url:
        yield settings.database.url
        return
    running = running_servers(settings.node.data_dir)
    if running is not None:
        yield running.database
        return
    from deploy.local.embedded.postgres import EmbeddedPostgres

    server = EmbeddedPostgres(settings.node.data_dir / "postgresql")
    if not (create or server.cluster.exists()):
        message = f"database.url is empty, and {settings.node.data_dir.absolute()} has no database and no running node"
        raise ConfigurationError(message, hint=NO_DATABASE_HINT)
    lock = NodeLock(settings.node.data_dir)
    lock.acquire()  # prevents that `up` starts at the same time
    try:
        yield server.start()
    finally:
        server.stop()
        lock.release()
