"""Checks of the configuration: is it complete, are its models installed, are its secrets and ports in order."""

from collections.abc import Iterator
from pathlib import Path

from core.errors import ConfigurationError
from core.settings.settings import Settings
from deploy.configured_models import priors_problem
from deploy.doctor.check import Check
from deploy.local.ports import accepts_connections, usable_port
from deploy.settings_file import secret_file_variable, secrets_in_file
from deploy.tls_files import find_problems, fix_for, tls_places


def check_settings(settings: Settings) -> Iterator[Check]:
    """Check that there are sources, destinations and routes, and that the model of every route may be delivered."""
    from models import installed

    counts = f"sources: {len(settings.sources)}, destinations: {len(settings.destinations)}, routes: {len(settings.routes)}"
    missing = [name for name in ("sources", "destinations", "routes") if not getattr(settings, name)]
    fix = f"add [[{']], [['.join(missing)}]]: without them the node receives or delivers nothing" if missing else ""
    yield Check("settings", not missing, counts, fix)
    folder = settings.node.data_dir / installed.FOLDER
    names = installed.names(folder)
    for route in settings.routes:
        if route.model not in names:
            yield Check(f"route {route.name}", False, f"model {route.model} is not installed", f"one of: {', '.join(names)}")
            continue
        if problem := priors_problem(route, folder):
            yield Check(f"route {route.name}", False, problem, "remove the key `priors` from this route")
            continue
        research = any(place.card.status == "research" for place in installed.readable_versions(route.model, folder))
        closed = [name for name in route.destinations if (d := settings.destination(name)) is not None and not d.accept_research]
        blocked = research and bool(closed)
        found = f"{route.model} -> {', '.join(route.destinations)}"
        fix = f"{route.model} is of status research: {', '.join(closed)} receives nothing until accept_research = true" if blocked else ""
        yield Check(f"route {route.name}", not blocked, found, fix)


def check_secrets(config: Path | None) -> Iterator[Check]:
    """Report secrets in the configuration file. They are accepted there, so the check is always ok; ``fix`` is a recommendation."""
    keys = secrets_in_file(config)
    if config is None or not keys:
        yield Check("credentials", True, "none in the configuration file")
        return
    readable_by_others = bool(config.stat().st_mode & 0o077)
    files = f"name a file of its own: {', '.join(secret_file_variable(key) for key in keys)}"
    fix = f"chmod 600 {config}, better: {files}" if readable_by_others else files
    readers = "other users may read it" if readable_by_others else "only its owner may read it"
    yield Check("credentials", True, f"{', '.join(keys)} in the configuration file, and {readers}", fix)


def check_tls(settings: Settings) -> Iterator[Check]:
    """Check every TLS file that the configuration names."""
    problems = find_problems(settings)
    places = tls_places(settings)
    found = f"files of {', '.join(places)} can be used" if places else "no TLS files are configured"
    for problem in problems:
        yield Check("TLS files", False, problem, fix_for(problem))
    if not problems:
        yield Check("TLS files", True, found)


def check_sign_in(settings: Settings) -> Iterator[Check]:
    """Check the files of sign-in by OpenID Connect."""
    from console.auth.oidc.files import check_files

    section = settings.console.oidc
    if section is None:
        return
    try:
        check_files(section)
    except ConfigurationError as error:
        yield Check("sign-in", False, str(error.args[0]), error.hint)
    else:
        yield Check("sign-in", True, f"the files for {section.issuer} can be read")


def check_ports(settings: Settings, running: bool) -> Iterator[Check]:
    """Check that the ports are free, or, if the node is running, that they accept connections."""
    for name, section in (("DICOM port", settings.node), ("console port", settings.console)):
        address = f"{section.host}:{section.port}"
        if running:
            ok = section.port == 0 or accepts_connections(section.host, section.port)
            yield Check(name, ok, f"{address} {'answers' if ok else 'does not answer'}", "" if ok else "see the node's log")
            continue
        try:
            usable_port(section.host, section.port, name, wait_s=0.0)
        except ConfigurationError as error:
            yield Check(name, False, str(error.args[0]), error.hint)
        else:
            yield Check(name, True, f"{address} is free")
