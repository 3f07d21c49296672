"""Reads a changed configuration for a process that runs, and decides what of it can be used without a restart."""

import hashlib
import threading
from dataclasses import dataclass
from pathlib import Path

import structlog

from core.errors import ConfigurationError, StorageError
from core.settings.reload import differences, take_over
from core.settings.settings import Settings
from db.engine import Database
from db.operations.configuration_audit import record_reload
from deploy.configured_models import check_models
from deploy.local.node_lock import ServerUrls, with_server_urls
from deploy.settings_file import load_settings


@dataclass(frozen=True, slots=True)
class ConfigurationChange:
    """A changed configuration.

    Attributes
    ----------
    settings
        What the process uses from now on.
    changed
        Names of the settings that have new values.
    restart
        Names of the settings that differ in the file and need a restart.
    digest
        SHA-256 of the file.
    """

    settings: Settings
    changed: tuple[str, ...]
    restart: tuple[str, ...]
    digest: str

    def __str__(self) -> str:
        text = f"changed: {', '.join(self.changed) or 'nothing'}"
        return f"{text}; needs a restart: {', '.join(self.restart)}" if self.restart else text


def config_digest(config: Path | None) -> str:
    """Return the SHA-256 of the configuration file; "" where there is none.

    Raises
    ------
    ConfigurationError
        The file cannot be read.
    """
    try:
        return hashlib.sha256(config.read_bytes()).hexdigest() if config is not None and config.is_file() else ""
    except OSError as error:
        message = f"{config} cannot be read: {error.strerror}"
        raise ConfigurationError(message, hint="let the account that runs the node read it") from error


def read_change(running: Settings, config: Path | None) -> ConfigurationChange:
    """Read the configuration again.

    Parameters
    ----------
    running
        The settings in use.

    Raises
    ------
    ConfigurationError
        There is no file, or it is wrong, or cannot be read. Nothing changes.
    """
    if config is None:
        raise ConfigurationError("this node was started without a configuration file", hint="start it with --config FILE")
    digest = config_digest(config)
    read = load_settings(config)
    check_models(read)
    new = take_over(running, read)
    with_urls = with_server_urls(read, ServerUrls(running.database.url, running.broker.url))  # of embedded servers: not in the file
    return ConfigurationChange(new, differences(running, new), differences(new, with_urls), digest)


class RoleReload:
    """The changes of the configuration of one role, as SIGHUP asks for them.

    Parameters
    ----------
    settings
        The settings that the role starts with.
    config
        The configuration file; None: there is none, and nothing is ever reloaded.
    """

    def __init__(self, role: str, settings: Settings, config: Path | None, database: Database) -> None:
        self.settings = settings
        self._role, self._config, self._database = role, config, database
        self._requested = threading.Event()

    def request(self) -> None:
        """Ask for a new reading of the file. May be called from a signal handler."""
        self._requested.set()

    def take(self) -> Settings | None:
        """Return changed settings, if a reading was requested and something changed that can be used without a restart.

        A file that is wrong changes nothing: the error is logged. A change is an audit event.
        """
        if not self._requested.is_set():
            return None
        self._requested.clear()
        log = structlog.get_logger()
        try:
            change = read_change(self.settings, self._config)
        except ConfigurationError as error:
            log.error("configuration_not_reloaded", error=str(error))
            return None
        log.info("configuration_reloaded", reason=str(change))
        if not change.changed:
            return None
        self.settings = change.settings
        try:
            record_reload(self._database, role=self._role, digest=change.digest, changed=change.changed, restart=change.restart)
        except StorageError as error:
            log.error("reload_not_audited", error=str(error))
        return change.settings
