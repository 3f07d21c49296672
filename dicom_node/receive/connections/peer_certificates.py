"""Reads the certificate that a peer has presented, from a connection whose TLS handshake is complete."""

import hashlib
import ssl

from cryptography import x509

from core.policy.peer_certificate import PeerCertificate


def read_certificate(connection: object) -> PeerCertificate | None:
    """Return the certificate of the peer; None without TLS, and where the peer presented none."""
    if not isinstance(connection, ssl.SSLSocket):
        return None
    der = connection.getpeercert(binary_form=True)
    if not der:
        return None
    certificate = x509.load_der_x509_certificate(der)
    return PeerCertificate(certificate.subject.rfc4514_string(), _alternative_names(certificate), hashlib.sha256(der).hexdigest())


def describe_failure(error: OSError) -> str:
    """Return why a handshake failed, in words of OpenSSL: no certificate, one of another authority, no TLS at all."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return (error.reason or type(error).__name__).lower().replace("_", " ")
    return "time-out" if isinstance(error, TimeoutError) else type(error).__name__


def _alternative_names(certificate: x509.Certificate) -> frozenset[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset()
    return frozenset(str(name.value) for name in names)
