"""``[[sources]]``: the peers that may send to the node."""

from ipaddress import ip_address, ip_network
from typing import Self

from pydantic import Field, field_validator, model_validator

from core.settings.peers.tls import ClientTls
from core.settings.section import AeTitle, Port, Section


class PeerAddress(Section):
    """AE title, host and port where a peer accepts associations."""

    ae_title: AeTitle = Field(description="AE title of the peer.")
    host: str = Field(description="Address or host name of the peer.")
    port: Port = Field(description="Port of the peer.")
    tls: ClientTls | None = Field(default=None, description="TLS of the connection, as in `[destinations.tls]`.")


class PinnedCertificate(Section):
    """The TLS certificate that a source presents. At least one of the keys; all that are given must be so."""

    san: str = Field(default="", description="One of its subject alternative names: a host name or an IP address.")
    subject: str = Field(default="", description="Its subject, as RFC 4514 writes it: `CN=pacs,O=Hospital`.")
    sha256: str = Field(
        default="", description="Its fingerprint, as `openssl x509 -noout -fingerprint -sha256` prints it. It changes with every renewal."
    )

    @field_validator("sha256")
    @classmethod
    def _check_fingerprint(cls, value: str) -> str:
        digits = value.rpartition("=")[2].replace(":", "").strip().lower()
        if digits and (len(digits) != 64 or not set(digits) <= set("0123456789abcdef")):
            raise ValueError("sha256 has 64 hexadecimal digits, with or without colons")
        return digits

    @model_validator(mode="after")
    def _check_something_is_pinned(self) -> Self:
        if not (self.san or self.subject or self.sha256):
            raise ValueError("certificate needs san, subject or sha256")
        return self


class Source(Section):
    """A peer that may open associations."""

    ae_title: AeTitle = Field(description="Calling AE title.")
    host: str = Field(description="Address of the peer, or a CIDR block such as `10.0.0.0/8`.")
    certificate: PinnedCertificate | None = Field(
        default=None,
        description="Optional. Only a peer with this TLS certificate may use the AE title; needs `[node.tls]` with `require_client_cert`. "
        '`certificate = { san = "pacs.example" }`',
    )
    query: PeerAddress | None = Field(
        default=None,
        description="Optional. Where the source answers C-FIND: it is asked how many instances a series has. "
        '`query = { ae_title = "PACS", host = "10.0.0.5", port = 104 }`',
    )
    commitment: PeerAddress | None = Field(
        default=None,
        description="Optional. Where storage commitment reports to the source go. Without it they go to `query`, else over the "
        "association of the request.",
    )

    @field_validator("host")
    @classmethod
    def _check_network(cls, value: str) -> str:
        try:
            ip_network(value, strict=False)
        except ValueError as error:
            raise ValueError(f"{value!r} is neither an IP address nor a CIDR block such as 10.0.0.0/8") from error
        return value

    def admits(self, address: str) -> bool:
        """Whether the IP address ``address`` lies in ``host``. An IPv4 address mapped into IPv6 counts as IPv4."""
        peer = ip_address(address)
        mapped = getattr(peer, "ipv4_mapped", None)
        return (mapped or peer) in ip_network(self.host, strict=False)

    @property
    def report_address(self) -> PeerAddress | None:
        """Where storage commitment reports (N-EVENT-REPORT) are sent; None: only over the association of the request."""
        return self.commitment or self.query
