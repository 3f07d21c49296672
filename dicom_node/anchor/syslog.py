"""Sends a message to syslog: RFC 5424 over UDP (RFC 5426), TCP and TLS with counted octets (RFC 6587, 5425), or a local socket."""

import os
import socket
import ssl
from urllib.parse import urlsplit

from core.clock import system_clock
from core.errors import ConfigurationError
from core.settings.peers.tls import ClientTls
from core.tls import client_context

FACILITY_AUDIT, SEVERITY_NOTICE = 13, 5  # RFC 5424 6.2.1: log audit; normal but significant condition
DEFAULT_PORTS = {"udp": 514, "tcp": 601, "tls": 6514}
TIMEOUT_S = 5.0
REFUSAL_S = 2.0  # a server that refuses our certificate closes within this time


def format_message(host: str, name: str, text: str) -> bytes:
    """Return a message of RFC 5424: header, no structured data, the text as UTF-8. ``name`` is the name of the application."""
    time = system_clock().isoformat(timespec="milliseconds")
    priority = FACILITY_AUDIT * 8 + SEVERITY_NOTICE
    return f"<{priority}>1 {time} {host} dicom-node-{name} {os.getpid()} audit-anchor - {text}".encode()


def send_to_syslog(url: str, tls: ClientTls, name: str, text: str) -> str:
    """Send one message. Returns "" where it was sent, else the problem. No transport confirms that it was stored."""
    parts = urlsplit(url)
    message = format_message(socket.gethostname() or "-", name.replace(" ", "-"), text)
    try:
        if parts.scheme == "unix":
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as local:
                local.connect(parts.path)
                local.send(message)
            return ""
        host, port = parts.hostname or "", parts.port or DEFAULT_PORTS[parts.scheme]
        if parts.scheme == "udp":
            family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
            with socket.socket(family, kind) as datagrams:
                datagrams.sendto(message, address)
            return ""
        with socket.create_connection((host, port), timeout=TIMEOUT_S) as plain:
            framed = str(len(message)).encode() + b" " + message
            if parts.scheme == "tcp":
                plain.sendall(framed)
            else:
                with client_context(tls).wrap_socket(plain, server_hostname=host) as secure:
                    secure.sendall(framed)
                    _raise_refusal(secure)
    except (OSError, ConfigurationError) as error:
        return f"{type(error).__name__}: {error}"
    return ""


def _raise_refusal(connection: ssl.SSLSocket) -> None:
    """Wait whether the server closes: with TLS 1.3 it refuses a certificate after the client's data was sent, often without a word.

    Raises
    ------
    OSError
        The server sent an alert, or closed. A syslog server that accepts says nothing and keeps the connection open.
    """
    connection.settimeout(REFUSAL_S)
    try:
        connection.recv(1)
    except TimeoutError:
        return
    raise ConnectionAbortedError("the server closed the connection: it may have refused the certificate (audit.syslog_cert)")
