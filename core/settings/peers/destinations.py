"""``[[destinations]]``: the peers and folders that receive results."""

from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, model_validator

from core.settings.peers.tls import ClientTls
from core.settings.section import AeTitle, Port, Section, is_loopback
from core.states import ResultKind


def _check_object(value: object) -> object:
    """Return what may stand in `Destination.objects`: a rejection is sent where ``iocm`` is true, and is no part of a result."""
    kinds = [kind.value for kind in ResultKind if kind is not ResultKind.REJECTION]
    if value == ResultKind.REJECTION:
        raise ValueError("objects lists parts of a result, and a rejection is none: set iocm = true")
    if value not in kinds:
        raise ValueError(f"expected one of {', '.join(kinds)}, got {value!r}")
    return value


class Destination(Section):
    """A receiver of results with exactly one address: DIMSE, STOW-RS or a folder."""

    name: str = Field(min_length=1, max_length=64, description="Name by which routes refer to it, at most 64 characters.")
    ae_title: AeTitle | None = Field(
        default=None,
        description="AE title, for C-STORE. A destination has exactly one address: `ae_title`, `host` and `port`, or `stow_url`, or "
        "`folder`.",
    )
    host: str | None = Field(default=None, description="Address or host name.")
    port: Port | None = Field(default=None, description="DICOM port.")
    stow_url: str | None = Field(
        default=None, description="DICOMweb service, such as `https://pacs.example/dicom-web`. Each object is one STOW-RS request."
    )
    token_file: Path | None = Field(
        default=None,
        description="File with the bearer token for `stow_url`. It is read for each connection: a renewed token needs no restart.",
    )
    user: str | None = Field(
        default=None, description="User of basic authentication at `stow_url`, with `password_file`. Secrets are sent over `https://` only."
    )
    password_file: Path | None = Field(default=None, description="File with the password of `user`.")
    tls: ClientTls | None = Field(
        default=None,
        description='Optional. TLS to `host`, or the certificates for `stow_url`: `tls = { ca = "pacs-ca.pem" }`. An empty table `{}` '
        "trusts the system's authorities. The peer's certificate is verified and must name `host`.",
    )
    folder: Path | None = Field(
        default=None,
        description="Absolute path of an existing folder. Each object becomes a file named by the hash of its UID, complete or not there "
        "at all.",
    )
    objects: tuple[Annotated[ResultKind, BeforeValidator(_check_object)], ...] = Field(
        default=(ResultKind.SR,),
        min_length=1,
        description="Result profile, of `sr`, `seg`, `heatmap`, `parametric_map`, `key_images`, `pdf`, `assessment` (what a "
        "clinician decided, [verdicts](console.md#verdicts)). It must hold `sr` or `pdf`, because the others exist only where something "
        "was found, and `sr` with `assessment`, which refers to it. The report refers only to objects of the profile. Viewer: "
        '`["sr", "seg"]`; PACS without SR support: `["heatmap", "pdf"]`; reporting system: `["sr"]`.',
    )
    storage_commitment: bool = Field(
        default=False,
        description="Ask for storage commitment; a result is delivered only once this destination has committed to it "
        "([PACS](pacs.md)). DIMSE only.",
    )
    deflate: bool = Field(
        default=False,
        description="Offer Deflated Explicit VR Little Endian for segmentations and parametric maps, which makes them a tenth as large or "
        "less. Off by default, because some viewers cannot read what their archive stores deflated. DIMSE only.",
    )
    accept_research: bool = Field(
        default=False,
        description="Send results of models of status `research`, which all shipped models are. Off by default: such results are kept, "
        "not sent, and the audit trail says so.",
    )
    iocm: bool = Field(
        default=False,
        description='The destination supports IHE IOCM: when a new result replaces one that it stored, a Key Object Selection "Rejected '
        'for Quality Reasons" names the outdated objects.',
    )

    @property
    def address_in_words(self) -> str:
        """The address for people, as ``PACS at 10.0.0.9:104 with TLS``, ``STOW-RS https://pacs/dicom-web`` or ``folder /srv/results``."""
        if self.stow_url is not None:
            return f"STOW-RS {self.stow_url}"
        if self.folder is not None:
            return f"folder {self.folder}"
        return f"{self.ae_title} at {self.host}:{self.port}{' with TLS' if self.tls is not None else ''}"

    @model_validator(mode="after")
    def _check_address(self) -> Self:
        dimse = (self.ae_title, self.host, self.port)
        given = [any(part is not None for part in dimse), self.stow_url is not None, self.folder is not None]
        if given.count(True) != 1:
            raise ValueError("a destination needs exactly one address: ae_title, host and port, or stow_url, or folder")
        if given[0] and any(part is None for part in dimse):
            raise ValueError("a destination needs ae_title, host and port")
        if self.storage_commitment and not given[0]:
            raise ValueError("storage_commitment is a service of DIMSE: give ae_title, host and port, or leave it false")
        if self.deflate and not given[0]:
            raise ValueError("deflate is negotiated over DIMSE: give ae_title, host and port, or leave it false")
        if self.folder is not None and not self.folder.is_absolute():
            raise ValueError("folder is an absolute path such as /srv/results")
        if self.folder is not None and self.tls is not None:
            raise ValueError("a folder has no tls: remove one of the two")
        return self

    @model_validator(mode="after")
    def _check_objects(self) -> Self:
        if not {ResultKind.SR, ResultKind.PDF} & set(self.objects):
            raise ValueError("objects must hold 'sr' or 'pdf': the others exist only where something was found")
        if ResultKind.ASSESSMENT in self.objects and ResultKind.SR not in self.objects:
            raise ValueError("objects with 'assessment' must hold 'sr', because an assessment refers to the report")
        return self

    @model_validator(mode="after")
    def _check_stow(self) -> Self:
        secrets = (self.token_file, self.user, self.password_file)
        if self.stow_url is None:
            if any(secret is not None for secret in secrets):
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
        if url.scheme == "http" and any(secret is not None for secret in secrets) and not is_loopback(host):
            raise ValueError("a secret goes over https:// only")
        return self
