"""TLS tables of the configuration: of the DICOM port, of the console, and of connections that the node opens."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from core.settings.section import Section


class NodeTls(Section):
    """TLS of the DICOM port."""

    cert: Path = Field(description="File with the certificate chain of the node, PEM.")
    key: Path = Field(description="File with the private key of the certificate, PEM.")
    ca: Path | None = Field(
        default=None, description="File with the certificate authority of the clients, PEM. Required where `require_client_cert` is true."
    )
    require_client_cert: bool = Field(
        default=True,
        description="Refuse clients without a certificate of `ca`. On by default: PS3.15 Annex B expects both sides to authenticate.",
    )


class ConsoleTls(Section):
    """TLS of the console's port."""

    cert: Path = Field(description="File with the certificate chain of the console, PEM.")
    key: Path = Field(description="File with the private key of the certificate, PEM.")
    ca: Path | None = Field(
        default=None,
        description="File with the certificate authority of the clients, PEM. With it, clients without a certificate are refused.",
    )


class ServedBlobsTls(Section):
    """TLS of the port that serves blobs to other nodes."""

    cert: Path = Field(description="File with the certificate chain of this port, PEM.")
    key: Path = Field(description="File with the private key of the certificate, PEM.")
    ca: Path | None = Field(default=None, description="File with the certificate authority of the clients, PEM: others are refused.")


class ClientTls(Section):
    """TLS of connections to a peer. The peer's certificate is verified, its host name included."""

    ca: Path | None = Field(
        default=None,
        description="File with the certificate authority of the peer, PEM. Without it: the authorities that the system trusts.",
    )
    cert: Path | None = Field(default=None, description="File with our certificate, PEM, where the peer asks for one. Needs `key`.")
    key: Path | None = Field(default=None, description="File with the private key of `cert`, PEM.")

    @model_validator(mode="after")
    def _check_pair(self) -> Self:
        if (self.cert is None) != (self.key is None):
            raise ValueError("cert and key are given together or not at all")
        return self
