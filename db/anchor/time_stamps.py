"""Verifies answers of time-stamp services (RFC 3161) over lines of the anchor file."""

import base64
from pathlib import Path

from cryptography import x509
from rfc3161_client import VerificationError, VerifierBuilder, decode_timestamp_response

from core.errors import ConfigurationError


def load_authorities(path: Path) -> list[x509.Certificate]:
    """Read the certificates of the authorities of a time-stamp service.

    Raises
    ------
    ConfigurationError
        The file is absent or holds no certificate.
    """
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"audit.time_stamp_ca: {path} cannot be used: {error}", hint="give a PEM file") from error


def token_problem(token: str, line: bytes, authorities: list[x509.Certificate], nonce: int | None = None) -> str:
    """Return why an answer (base64 of its DER) is none over ``line``; "" where it is one by a service of these authorities."""
    builder = VerifierBuilder(nonce=nonce)
    for authority in authorities:
        builder = builder.add_root_certificate(authority)
    try:
        answer = decode_timestamp_response(base64.b64decode(token))
        builder.build().verify_message(answer, line)
    except (VerificationError, ValueError) as error:
        return f"the time stamp is not valid: {error}"
    return ""
