"""TLS contexts for servers and clients, after BCP 195 (PS3.15 Annex B, RFC 9325).

TLS 1.3, or TLS 1.2 with forward secrecy and authenticated encryption; no older version, no renegotiation, no compression. They are here
because both `console` and `dicom_node` listen, and neither may import the other.
"""

import ssl
from pathlib import Path
from typing import Protocol

from core.errors import ConfigurationError
from core.settings.peers.tls import ClientTls

# The TLS 1.2 suites of RFC 9325 4.2 and ChaCha20. All suites of TLS 1.3 are authenticated: OpenSSL's own list is used.
TLS_1_2_SUITES = "ECDHE+AESGCM:ECDHE+CHACHA20"


class ServerFiles(Protocol):
    """PEM files of a server, such as `core.settings.peers.tls.NodeTls`."""

    @property
    def cert(self) -> Path:
        """Certificate chain."""
        ...

    @property
    def key(self) -> Path:
        """Private key."""
        ...

    @property
    def ca(self) -> Path | None:
        """Certificate authority of the clients."""
        ...


def server_context(files: ServerFiles, name: str, *, require_client: bool) -> ssl.SSLContext:
    """Return the context of a server. With ``require_client`` a client must present a certificate that descends from ``files.ca``.

    Parameters
    ----------
    name
        Name of the section of the configuration, for error messages.

    Raises
    ------
    ConfigurationError
        A file cannot be used, or the authority of the clients is missing.
    """
    if require_client and files.ca is None:
        raise ConfigurationError(f"{name}: require_client_cert needs ca", hint="name the authority of the clients, or switch it off")
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        _harden(context)
        context.load_cert_chain(files.cert, files.key)
        if files.ca is not None:
            context.load_verify_locations(files.ca)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"{name}: certificate, key or CA cannot be used: {error}", hint="give PEM files") from error
    if require_client:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(tls: ClientTls) -> ssl.SSLContext:
    """Return the context of connections that the node opens. The peer's certificate and host name are verified.

    Raises
    ------
    ConfigurationError
        A file cannot be used.
    """
    try:
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=tls.ca)
        _harden(context)
        if tls.cert is not None:
            context.load_cert_chain(tls.cert, tls.key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"tls: certificate, key or CA cannot be used: {error}", hint="give PEM files") from error
    return context


def _harden(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(TLS_1_2_SUITES)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
