"""Runs every check of ``doctor``."""

from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from core.errors import REPEATED, ConfigurationError, NodeError
from core.settings.settings import Settings
from deploy.doctor import certificates, configuration, machine, services
from deploy.doctor.check import Check
from deploy.local.node_lock import ServerUrls, running_servers, with_server_urls

UNREACHABLE = {"database": "start it, or correct database.url"}


def run_checks(settings: Settings, config: Path | None = None, skip: Collection[str] = ()) -> list[Check]:
    """Run every check and return the results. A check that raises an error has failed.

    Parameters
    ----------
    config
        The file that the settings were read from.
    skip
        Names of groups that are not checked.

    Raises
    ------
    ConfigurationError
        ``skip`` names a group that there is not.
    """
    servers = running_servers(settings.node.data_dir)
    running = servers is not None
    settings = with_server_urls(settings, servers or ServerUrls("", ""))
    groups: tuple[tuple[str, Callable[[], Iterator[Check]]], ...] = (
        ("settings", lambda: configuration.check_settings(settings)),
        ("credentials", lambda: configuration.check_secrets(config)),
        ("TLS files", lambda: configuration.check_tls(settings)),
        ("certificates", lambda: certificates.check_certificates(settings)),
        ("sign-in", lambda: configuration.check_sign_in(settings)),
        ("ports", lambda: configuration.check_ports(settings, running)),
        ("disk", lambda: machine.check_disk(settings)),
        ("codecs", machine.check_codecs),
        ("database", lambda: services.check_database(settings, running)),
        ("broker", lambda: services.check_broker(settings, running)),
        ("GPU", lambda: machine.check_gpu(settings)),
        ("models", lambda: machine.check_models(settings)),
        ("blobs", lambda: machine.check_blobs(settings)),
        ("sources", lambda: services.check_sources(settings)),
        ("destinations", lambda: services.check_destinations(settings)),
    )
    if unknown := sorted(set(skip) - {name for name, _ in groups}):
        raise ConfigurationError(f"doctor has no checks {', '.join(unknown)}", hint=f"it has {', '.join(name for name, _ in groups)}")
    checks: list[Check] = []
    for name, group in groups:
        if name in skip:
            continue
        try:
            checks += group()
        except (NodeError, OSError) as error:
            hint = error.hint if isinstance(error, NodeError) and not error.hint.startswith(REPEATED) else UNREACHABLE.get(name, "")
            message = error.args[0] if isinstance(error, NodeError) and error.args else str(error)
            checks.append(Check(name, False, " ".join(str(message).split()), hint))
    return checks
