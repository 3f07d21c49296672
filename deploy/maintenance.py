"""The database for `db upgrade / backup / restore`, also while no node runs: its embedded server is then started for the command."""

from collections.abc import Iterator
from contextlib import contextmanager

from core.settings import Settings
from deploy.embedded import EmbeddedPostgres
from deploy.running import NodeLock, running_servers


@contextmanager
def database_of(settings: Settings) -> Iterator[str]:
    """The URL that is set, or of the running node, or of the embedded server, started here and stopped at the end.

    Raises
    ------
    ConfigurationError
        No PostgreSQL is installed, or it is not of the data folder's version.
    """
    if settings.database.url:
        yield settings.database.url
        return
    running = running_servers(settings.node.data_dir)
    if running is not None:
        yield running.database
        return
    lock = NodeLock(settings.node.data_dir)
    lock.take()  # no `up` may start meanwhile
    server = EmbeddedPostgres(settings.node.data_dir / "postgresql")
    try:
        yield server.start()
    finally:
        server.stop()
        lock.leave()
