"""``[node]``: the node itself."""

from pathlib import Path

from pydantic import Field, field_validator

from core.errors import ConfigurationError
from core.settings.peers.tls import NodeTls
from core.settings.section import AeTitle, Port, Section
from core.time_zone import parse_time_zone


class NodeSection(Section):
    """``[node]``: data folder, AE title and DICOM port."""

    data_dir: Path = Field(
        default=Path("data"),
        description="Folder of the blobs, the embedded servers and installed models. A relative path starts at the configuration file.",
    )
    ae_title: AeTitle = Field(default="DICOMNODE", description="AE title of the node. An association must call it by this title.")
    host: str = Field(
        default="127.0.0.1", description="Address to listen on. Only this machine by default; `0.0.0.0` listens on every network interface."
    )
    port: Port = Field(default=11112, description="DICOM port; 11112 is the port registered for DICOM. `0`: any free port (tests, demo).")
    processes: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Listener processes that share the port. One process uses one processor core; more of them receive faster.",
    )
    timezone: str = Field(
        default="",
        description="Time zone of images that state none, as `+0100` or an IANA name such as `Europe/Berlin`. Empty: results of such "
        "images state none either. Where it has summer time, results state the offset that it had at the time of the study.",
    )
    tls: NodeTls | None = Field(
        default=None,
        description="Optional. With this table the DICOM port accepts TLS only: TLS 1.3, or TLS 1.2 with forward secrecy and "
        "authenticated encryption (BCP 195).",
    )

    @field_validator("timezone")
    @classmethod
    def _check_timezone(cls, value: str) -> str:
        try:
            parse_time_zone(value)
        except ConfigurationError as error:
            raise ValueError(f"expected {error.hint.removeprefix('give ')}, got {value!r}") from error
        return value
