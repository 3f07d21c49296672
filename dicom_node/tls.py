"""TLS of DIMSE connections, both ways, after BCP 195 (PS3.15 Annex B, RFC 9325).

TLS 1.3, or TLS 1.2 with forward secrecy and authenticated encryption alone; nothing older, no renegotiation, no compression.
"""

import ssl

from core.errors import ConfigurationError
from core.operations import TLS_1_2_SUITES
from core.peers import ClientTls
from core.settings import Tls


def server_context(tls: Tls) -> ssl.SSLContext:
    """For the listener. With ``require_client_cert`` a peer must show a certificate that descends from ``ca``.

    Raises
    ------
    ConfigurationError
        A file cannot be used.
    """
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        _harden(context)
        context.load_cert_chain(tls.cert, tls.key)
        if tls.ca is not None:
            context.load_verify_locations(tls.ca)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"node.tls: certificate, key or CA cannot be used: {error}", hint="give PEM files") from error
    if tls.require_client_cert:
        if tls.ca is None:
            raise ConfigurationError("node.tls: require_client_cert needs ca", hint="name the authority of the clients, or switch it off")
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
