"""The configuration's peers: who may send to the node, and where its results go."""

from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from core.settings.operations import loopback
from core.settings.section import AeTitle, Port, Section
from core.states import ReportKind


class ClientTls(Section):
    """TLS towards a peer. Its certificate is checked, the host name included; ``cert`` and ``key`` are ours, where it asks."""

    ca: Path | None = None  # None: the authorities that the system trusts
    cert: Path | None = None
    key: Path | None = None

    @model_validator(mode="after")
    def _a_pair(self) -> Self:
        if (self.cert is None) != (self.key is None):
            raise ValueError("cert and key are given together or not at all")
        return self


class PeerAddress(Section):
    """Where a peer takes associations."""

    ae_title: AeTitle
    host: str
    port: Port
    tls: ClientTls | None = None


class Source(Section):
    """Who may associate. ``host`` is an address or a CIDR block."""

    ae_title: AeTitle
    host: str
    query: PeerAddress | None = None
    commitment: PeerAddress | None = None  # where answers to its storage commitment requests go; else ``query``

    @field_validator("host")
    @classmethod
    def _is_network(cls, value: str) -> str:
        try:
            ip_network(value, strict=False)
        except ValueError as error:
            raise ValueError(f"{value!r} is neither an IP address nor a CIDR block such as 10.0.0.0/8") from error
        return value

    def admits(self, address: str) -> bool:
        """Whether ``address`` (text) lies in the block; IPv4 seen through IPv6 counts as IPv4."""
        peer = ip_address(address)
        mapped = getattr(peer, "ipv4_mapped", None)
        return (mapped or peer) in ip_network(self.host, strict=False)

    @property
    def answers_at(self) -> PeerAddress | None:
        """Where it takes our N-EVENT-REPORT; None: only on the association on which it asked."""
        return self.commitment or self.query


class Destination(Section):
    """Who receives results, at exactly one address: DIMSE, STOW-RS or a folder."""

    name: Annotated[str, Field(min_length=1, max_length=64)]
    ae_title: AeTitle | None = None
    host: str | None = None
    port: Port | None = None
    stow_url: str | None = None
    token_file: Path | None = None
    user: str | None = None
    password_file: Path | None = None
    tls: ClientTls | None = None
    folder: Path | None = None
    objects: Annotated[tuple[ReportKind, ...], Field(min_length=1)] = (ReportKind.SR,)
    storage_commitment: bool = False
    accept_research: bool = False
    iocm: bool = False  # it takes rejections (Key Object Selection) of what it stored of outdated results

    @model_validator(mode="after")
    def _one_address(self) -> Self:
        dimse = (self.ae_title, self.host, self.port)
        asked = [any(part is not None for part in dimse), self.stow_url is not None, self.folder is not None]
        if asked.count(True) != 1:
            raise ValueError("a destination needs exactly one address: ae_title, host and port, or stow_url, or folder")
        if asked[0] and any(part is None for part in dimse):
            raise ValueError("a destination needs ae_title, host and port")
        if not {ReportKind.SR, ReportKind.PDF} & set(self.objects):
            raise ValueError("objects must hold 'sr' or 'pdf': the others are silent where nothing was found or nothing could be analysed")
        if ReportKind.REJECTION in self.objects:
            raise ValueError("objects lists parts of a result, and a rejection is none: set iocm = true")
        if self.storage_commitment and not asked[0]:
            raise ValueError("storage_commitment is a service of DIMSE: give ae_title, host and port, or leave it false")
        if self.folder is not None and (self.tls is not None or not self.folder.is_absolute()):
            raise ValueError("folder is an absolute path, and has no tls")
        return self

    @model_validator(mode="after")
    def _web(self) -> Self:
        secrets = (self.token_file, self.user, self.password_file)
        if self.stow_url is None:
            if any(one is not None for one in secrets):
                raise ValueError("token_file, user and password_file belong to stow_url")
            return self
        try:
            url = urlsplit(self.stow_url)
            host, _ = url.hostname, url.port
        except ValueError:
            host = None
        if host is None or url.scheme not in ("http", "https") or url.query or url.fragment or url.username is not None:
            raise ValueError("stow_url is http(s)://host[:port]/path, without user, password, query or fragment")
        if (self.user is None) != (self.password_file is None) or (self.user is not None and self.token_file is not None):
            raise ValueError("give token_file, or user and password_file together")
        if url.scheme == "http" and self.tls is not None:
            raise ValueError("tls needs an https:// stow_url")
        if url.scheme == "http" and any(one is not None for one in secrets) and not loopback(host):
            raise ValueError("a secret goes over https:// only")
        return self
