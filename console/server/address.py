"""Under which names the console is reached: the address in links, and the host names that a request may bring."""

import socket
from ipaddress import ip_address
from urllib.parse import urlsplit

from core.settings.section import is_loopback
from core.settings.web.console import ConsoleSection


def scheme(section: ConsoleSection) -> str:
    """Return the URL scheme in which the console itself listens."""
    return "https" if section.tls is not None else "http"


def public_address(section: ConsoleSection, port: int | None = None) -> str:
    """Return the address with which links begin, without a slash at its end.

    It is ``console.public_url``. Without that it names ``console.host``, or the machine's host name where the console listens on every
    address. The Host header of a request is not used for this, because the sender of a request chooses it.

    Parameters
    ----------
    port
        The port that is bound, where it is another one than ``console.port``.
    """
    if section.public_url:
        return section.public_url
    host = socket.gethostname() if _is_any_address(section.host) else section.host
    return f"{scheme(section)}://{f'[{host}]' if ':' in host else host}:{section.port if port is None else port}"


def expected_hosts(section: ConsoleSection) -> frozenset[str]:
    """Return the names that the Host header may have beside addresses of loopback and the address on which the request came in."""
    names = {"localhost", socket.gethostname(), section.host, *section.allowed_hosts}
    if section.public_url:
        names.add(urlsplit(section.public_url).hostname or "")
    return frozenset(name.lower().rstrip(".") for name in names if name and not _is_any_address(name))


def host_name(header: str) -> str:
    """Return the name or address in a Host header (RFC 9110 7.2), in lower case and without port; "" where it is malformed."""
    try:
        parts = urlsplit(f"//{header}")
        port_is_number = parts.port is None or parts.port >= 0  # raises ValueError where it is none
    except ValueError:
        return ""
    plain = parts.netloc == header and parts.username is None and port_is_number and not set(header) & set("/?#@\\ ")
    return (parts.hostname or "").rstrip(".") if plain else ""


def is_expected_host(header: str, names: frozenset[str], local: str) -> bool:
    """Whether a Host header names this console. ``local`` is the address of this machine on which the request came in."""
    name = host_name(header)
    return bool(name) and (name in names or name == local.lower() or is_loopback(name))


def _is_any_address(host: str) -> bool:
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return False
