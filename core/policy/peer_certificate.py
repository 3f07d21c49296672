"""Compares the TLS certificate of a peer with the one that a source has pinned (PS3.15 Annex B leaves this to the site)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


class CertificatePin(Protocol):
    """What a certificate must have, such as `core.settings.peers.sources.PinnedCertificate`; empty values are not compared."""

    @property
    def san(self) -> str:
        """One of its subject alternative names."""
        ...

    @property
    def subject(self) -> str:
        """Its subject (RFC 4514)."""
        ...

    @property
    def sha256(self) -> str:
        """Its fingerprint: 64 hexadecimal digits."""
        ...


@dataclass(frozen=True, slots=True)
class PeerCertificate:
    """A certificate that TLS has verified: subject (RFC 4514), subject alternative names as text, fingerprint in hexadecimal."""

    subject: str
    names: frozenset[str]
    sha256: str


def fits_pin(certificate: PeerCertificate | None, pin: CertificatePin) -> bool:
    """Whether a certificate is the pinned one: everything that the pin states must be so. Names of hosts have no case."""
    if certificate is None:
        return False
    if pin.sha256 and pin.sha256 != certificate.sha256:
        return False
    if pin.subject and pin.subject != certificate.subject:
        return False
    return not pin.san or pin.san.lower() in {name.lower() for name in certificate.names}


def fits_one_of(certificate: PeerCertificate | None, pins: Sequence[CertificatePin | None]) -> bool:
    """Whether a certificate may be used where these pins hold. None of them: any certificate, or none, may be."""
    pinned = [pin for pin in pins if pin is not None]
    return not pinned or any(fits_pin(certificate, pin) for pin in pinned)
