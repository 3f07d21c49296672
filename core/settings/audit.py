"""``[audit]``: the anchor of the audit trail, outside of the database."""

from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from core.settings.section import Seconds, Section

SYSLOG_SCHEMES = ("udp", "tcp", "tls", "unix")


class AuditSection(Section):
    """``[audit]``: where the head of the audit chain is anchored, and how often."""

    anchor_file: Path | None = Field(
        default=None,
        description="File that signed heads of the audit chain are appended to. Put it on another disk or host, where the database's "
        "administrators cannot write. Empty: `DATA_DIR/audit/anchor.jsonl`.",
    )
    anchor_key: Path | None = Field(
        default=None,
        description="File with the private key of the signatures (Ed25519, PEM, 0600). Where it is absent, `send` makes it, and the "
        "public key beside it (`.pub`). Empty: `DATA_DIR/audit/anchor.key`.",
    )
    anchor_every_s: Seconds = Field(default=60.0, description="Seconds between two anchors. Nothing is written while no event is added.")
    anchor_every_events: int = Field(default=1000, ge=1, description="An anchor is also written after so many new events.")
    max_age_s: Seconds = Field(default=600.0, description="An alert begins when the last anchor is older than this many seconds.")
    syslog_url: str = Field(
        default="",
        description="Every anchor is also sent to syslog (RFC 5424): `tls://host:6514`, `tcp://host:601`, `udp://host:514` or "
        "`unix:///dev/log`. Empty: not sent.",
    )
    syslog_ca: Path | None = Field(
        default=None, description="File with the certificate authority of the syslog server, PEM. Without it: the system's authorities."
    )
    to_webhook: bool = Field(default=False, description="Every anchor is also posted to `webhook.url`, as the event `audit.anchored`.")
    time_stamp_url: str = Field(
        default="", description="Time-stamp service (RFC 3161) that signs anchors, `http://` or `https://`. Empty: none is asked."
    )
    time_stamp_ca: Path | None = Field(
        default=None,
        description="File with the certificate authority of the time-stamp service, PEM: answers are verified on receipt and by "
        "`dicom-node audit verify`. Required with `time_stamp_url`.",
    )
    time_stamp_every_s: Seconds = Field(default=3600.0, description="Seconds between two requests to the time-stamp service.")

    @model_validator(mode="after")
    def _check_addresses(self) -> Self:
        if self.syslog_url:
            parts = urlsplit(self.syslog_url)
            if parts.scheme not in SYSLOG_SCHEMES or not (parts.path if parts.scheme == "unix" else parts.hostname):
                raise ValueError("syslog_url is tls://host:port, tcp://host:port, udp://host:port or unix:///path")
        if self.time_stamp_url:
            parts = urlsplit(self.time_stamp_url)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError("time_stamp_url is http://host/path or https://host/path")
            if self.time_stamp_ca is None:
                raise ValueError("time_stamp_url needs time_stamp_ca: an answer that nobody can verify proves nothing")
        return self
