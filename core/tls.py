"""TLS of what listens and of what connects, after BCP 195 (PS3.15 Annex B, RFC 9325).

TLS 1.3, or TLS 1.2 with forward secrecy and authenticated encryption alone; nothing older, no renegotiation, no compression.
"""

import ssl
from pathlib import Path
from typing import Protocol

from core.errors import ConfigurationError
from core.settings.tls import ClientTls

# The TLS 1.2 suites of RFC 9325 4.2 and ChaCha20. All suites of TLS 1.3 are authenticated: OpenSSL's own list is used.
TLS_1_2_SUITES = "ECDHE+AESGCM:ECDHE+CHACHA20"


class ServerFiles(Protocol):
    """PEM files of one that listens; ``ca`` is the authority of its clients."""

    @property
    def cert(self) -> Path: ...
    @property
    def key(self) -> Path: ...
    @property
    def ca(self) -> Path | None: ...


def server_context(files: ServerFiles, name: str, *, require_client: bool) -> ssl.SSLContext:
    """For the settings called ``name``. With ``require_client`` a peer must show a certificate that descends from ``ca``.

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
    """For associations that we open: the peer's certificate and its host name are checked.

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
