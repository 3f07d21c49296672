"""Checks every TLS file of the configuration, so that a missing one is named before any server starts."""

from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from core.errors import ConfigurationError
from core.settings.peers.tls import ClientTls, ConsoleTls, NodeTls
from core.settings.settings import Settings
from core.tls import client_context, server_context

CA_KEYS = ("ca", "syslog_ca", "time_stamp_ca")
DENIED = "permission denied"
FILE_KEYS = ("cert", "key", "syslog_cert", "syslog_key", *CA_KEYS)


def check_tls_files(settings: Settings) -> None:
    """Check every file that a TLS setting names.

    Raises
    ------
    ConfigurationError
        Names the settings and the files that are missing or cannot be used.
    """
    problems = find_problems(settings)
    if problems:
        raise ConfigurationError("; ".join(problems), hint="; ".join(dict.fromkeys(fix_for(problem) for problem in problems)))


def find_problems(settings: Settings) -> list[str]:
    """Return what is wrong with the TLS files: the setting, the path, and why it cannot be used."""
    problems: list[str] = []
    for place, section in _sections(settings, ""):
        files = [(key, path) for key in FILE_KEYS if isinstance(path := getattr(section, key, None), Path)]
        unreadable = [f"{place}.{key}: {path.absolute()}: {why}" for key, path in files if (why := _unreadable(path))]
        problems += unreadable or _unusable(place, section)
    return problems


def fix_for(problem: str) -> str:
    """Return what to do about one of `find_problems`."""
    if problem.endswith(DENIED):
        return "let the account that runs the node read it"
    return "correct the path, or make the file: docs/security.md"


def certificate_files(settings: Settings) -> list[tuple[str, Path]]:
    """Return (name of the setting, file) of every certificate and certificate authority that the configuration names."""
    return [
        (f"{place}.{key}", path)
        for place, section in _sections(settings, "")
        for key in ("cert", "syslog_cert", *CA_KEYS)
        if isinstance(path := getattr(section, key, None), Path)
    ]


def tls_places(settings: Settings) -> list[str]:
    """Return the names of the sections that name TLS files."""
    return [
        place
        for place, section in _sections(settings, "")
        if any(isinstance(getattr(section, key, None), Path) for key in ("cert", *CA_KEYS))
    ]


def _sections(section: BaseModel, place: str) -> Iterator[tuple[str, BaseModel]]:
    """Yield every table of the configuration with its name, such as ``destinations.pacs.tls``."""
    if place:
        yield place, section
    for key in type(section).model_fields:
        value = getattr(section, key)
        for number, one in enumerate(value if isinstance(value, tuple) else (value,)):
            if isinstance(one, BaseModel):
                name = str(getattr(one, "name", "") or getattr(one, "ae_title", "") or number)
                yield from _sections(one, ".".join(part for part in (place, key, name if isinstance(value, tuple) else "") if part))


def _unreadable(path: Path) -> str:
    try:
        with path.open("rb"):
            return ""
    except OSError as error:
        return (error.strerror or type(error).__name__).lower()


def _unusable(place: str, section: BaseModel) -> list[str]:
    """Return the problem of a TLS table whose files can be read: they are not what they should be, or do not belong together."""
    try:
        if isinstance(section, NodeTls):
            server_context(section, place, require_client=section.require_client_cert)
        elif isinstance(section, ConsoleTls):
            server_context(section, place, require_client=section.ca is not None)
        elif isinstance(section, ClientTls):
            client_context(section)
    except ConfigurationError as error:
        message = str(error.args[0])
        return [message if message.startswith(place) else f"{place}: {message}"]
    return []
