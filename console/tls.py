"""TLS of the console's port, after BCP 195 (RFC 9325): TLS 1.3, or TLS 1.2 with forward secrecy and authenticated encryption."""

import ssl

from core.errors import ConfigurationError
from core.operations import TLS_1_2_SUITES, ConsoleTls


def context(tls: ConsoleTls) -> ssl.SSLContext:
    """For the server. With ``ca`` a client must show a certificate that descends from it.

    Raises
    ------
    ConfigurationError
        A file cannot be used.
    """
    try:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.minimum_version = ssl.TLSVersion.TLSv1_2
        made.set_ciphers(TLS_1_2_SUITES)
        made.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
        made.load_cert_chain(tls.cert, tls.key)
        if tls.ca is not None:
            made.load_verify_locations(tls.ca)
            made.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"console.tls: certificate, key or CA cannot be used: {error}", hint="give PEM files") from error
    return made
