"""The PostgreSQL servers of one URL: a primary and its standbys. The one that took writes last is asked first.

Without this, each new connection would first wait for the time-out of a server that is lost.
"""

from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

DEFAULT_PORT = 5432
TAKES_WRITES = {"target_session_attrs": "read-write"}


def split_servers(url: str) -> tuple[str, list[str]]:
    """Return a URL without its servers, and the servers of ``user:password@host:port,host:port``, each with its port.

    An empty list: the URL names one server, and is returned unchanged. The first URL asks for the server that takes writes, unless it
    has a ``target_session_attrs`` of its own (libpq, "Specifying Multiple Hosts"). Raises ValueError where a port is no number.
    """
    parts = urlsplit(url)
    before, at, hosts = parts.netloc.rpartition("@")
    if "," not in hosts:
        return url, []
    query = urlencode({**TAKES_WRITES, **dict(parse_qsl(parts.query))}, quote_via=quote)
    return urlunsplit(parts._replace(netloc=f"{before}{at}", query=query)), [_with_port(server) for server in hosts.split(",")]


def _with_port(server: str) -> str:
    host, _, port = server.rpartition(":")
    if not host or server.endswith("]"):  # an address of IPv6 has colons of its own
        return f"{server}:{DEFAULT_PORT}"
    if not port.isdecimal():
        raise ValueError(f"the port of server {host} is no number")
    return server


class ServerOrder:
    """The order in which the servers of one URL are tried; shared by all connections of a process.

    Parameters
    ----------
    arguments
        Of ``psycopg2.connect``: ``host`` and ``port`` with commas between several servers.
    """

    def __init__(self, arguments: dict[str, Any]) -> None:
        hosts, ports = (str(arguments.get(key, "")).split(",") for key in ("host", "port"))
        self._servers = list(zip(hosts, ports, strict=False)) if len(hosts) > 1 else []

    def apply(self, arguments: dict[str, Any]) -> None:
        """Put the servers into the arguments of a new connection, in their present order."""
        if self._servers:
            servers = self._servers
            arguments["host"], arguments["port"] = (",".join(values) for values in zip(*servers, strict=True))

    def note(self, connection: Any) -> None:
        """Let the server of a connection that was made be the first from now on."""
        if self._servers:
            used = (connection.info.host, str(connection.info.port))
            if used in self._servers:
                self._servers = [used, *(server for server in self._servers if server != used)]
