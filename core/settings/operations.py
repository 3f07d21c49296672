"""``[webhook]``, ``[audit]``, ``[models]``, ``[retention]`` and ``[logs]``: alerts, stop rules, deletion of old data, and log output."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from core.settings.section import Seconds, Section, is_loopback

Days = Annotated[int, Field(ge=0, le=36500)]

SYSLOG_SCHEMES = ("udp", "tcp", "tls", "unix")


class WebhookEvent(StrEnum):
    """Kinds of notifications."""

    ALERT = "alert"
    FAILURE = "failure"
    HELD = "held"
    RESULT = "result"


class WebhookSection(Section):
    """``[webhook]``: where notifications of alerts are sent, and the limits that raise an alert."""

    url: str = Field(
        default="",
        description="Address that receives notifications, `https://` (or `http://` on this machine). It often contains a secret: then use "
        "`DICOM_NODE_WEBHOOK__URL_FILE`. Empty: alerts are shown in logs, audit trail and metrics only.",
    )
    secret: str = Field(
        default="",
        description="Key of the signature (HMAC). Only from `DICOM_NODE_WEBHOOK__SECRET_FILE` or the environment, never in this file. "
        "Empty: notifications are not signed.",
    )
    events: tuple[WebhookEvent, ...] = Field(
        default=(WebhookEvent.ALERT, WebhookEvent.FAILURE, WebhookEvent.HELD),
        description="What is sent: `alert` (a condition began or ended), `failure` (a job or delivery failed), `held` (a delivery "
        "waits for a person), `result` (a result was committed: model, outcome and job number, no patient data).",
    )
    ca: Path | None = Field(
        default=None,
        description="File with the certificate authority of the address, PEM. Without it: the authorities that the system trusts.",
    )
    backlog_after_s: Seconds = Field(
        default=900.0, description="A job that has been queued for more than this many seconds raises an alert."
    )
    disk_low_bytes: int = Field(
        default=5 << 30,
        ge=0,
        description="Less free disk space than this many bytes raises an alert. Larger than `receive.min_free_bytes`, so that it comes "
        "before receiving pauses.",
    )

    unrouted_series: int = Field(
        default=5,
        ge=0,
        description="An alert is raised for a source that has sent at least this many series in 24 hours of which no route took any. "
        "`0`: never.",
    )

    def sends(self, event: WebhookEvent) -> bool:
        """Whether notifications of this kind are sent."""
        return bool(self.url) and event in self.events

    @model_validator(mode="after")
    def _check_url(self) -> Self:
        if not self.url:
            return self
        try:
            parts = urlsplit(self.url)
            host, _ = parts.hostname, parts.port
        except ValueError:
            host = None
        if host is None or parts.scheme not in ("http", "https") or parts.username is not None or parts.fragment:
            raise ValueError("url is https://host[:port]/path, without user and password")
        if parts.scheme == "http" and not is_loopback(host):
            raise ValueError("url is https:// unless it is this machine's own address")
        return self


class RetentionSection(Section):
    """``[retention]``: ages in days after which ``dicom-node retention run`` deletes stored bytes; 0 means never."""

    images_days: Days = Field(
        default=0, description="Delete images of units whose every result is delivered everywhere, this many days after the last delivery."
    )
    results_days: Days = Field(default=0, description="Delete result objects of the same units, this many days after the last delivery.")
    unrouted_days: Days = Field(default=0, description="Delete images of units that no route took, this many days after that decision.")
    records_days: Days = Field(
        default=0,
        description="Delete rows of storage commitment requests that were answered, of sources and of our own, after this many days.",
    )
    strays_days: Days = Field(
        default=0,
        description="Delete blobs that no row names, this many days after they were written: killed processes and repeated attempts leave "
        "some behind. 30 is a reasonable value.",
    )


class ModelWatch(Section):
    """A stop rule: a limit on what clinicians accept, or on drift, for the active version of a model."""

    model: str = Field(description="Name of the model.")
    min_acceptance: float | None = Field(
        default=None, gt=0, lt=1, description="An alert begins when a smaller share of the judged findings than this was accepted."
    )
    max_drift: float | None = Field(
        default=None,
        gt=0,
        description="An alert begins when the population stability index of an input or score exceeds this in this week or the last, "
        "beyond what so few units have by chance; 0.25 counts as drifted.",
    )
    min_n: int = Field(default=30, ge=1, description="Judged findings, or counted units, below which the rule does not apply.")
    days: int = Field(default=28, ge=1, le=3650, description="Verdicts of this many days count.")
    demote: bool = Field(
        default=False,
        description="When the alert begins, the version becomes a shadow: it goes on being compared, and reports nothing. Units of its "
        "routes are reported as not analysed until a person activates a version.",
    )

    @model_validator(mode="after")
    def _check_limits(self) -> Self:
        if self.min_acceptance is None and self.max_drift is None:
            raise ValueError("a stop rule needs min_acceptance, max_drift or both")
        return self


class ModelsSection(Section):
    """``[models]``: supervision of the models."""

    watch: tuple[ModelWatch, ...] = Field(default=(), description="One table `[[models.watch]]` for each stop rule.")


class LogsSection(Section):
    """``[logs]``: level and format of the log on standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info",
        description="Lowest level that is written; `debug` adds [each decision and attempt](operations.md#the-log).",
    )
    format: Literal["json", "console"] = Field(default="json", description="`json` for machines, `console` for people.")


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
    syslog_cert: Path | None = Field(
        default=None, description="File with the node's certificate, PEM, where the syslog server asks for one. Needs `syslog_key`."
    )
    syslog_key: Path | None = Field(default=None, description="File with the private key of `syslog_cert`, PEM.")
    to_webhook: bool = Field(
        default=False, description="Every anchor is also posted to `webhook.url`, as the event `audit.anchored`. Needs `webhook.url`."
    )
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
        if (self.syslog_cert is None) != (self.syslog_key is None):
            raise ValueError("syslog_cert and syslog_key are given together or not at all")
        if self.time_stamp_url:
            parts = urlsplit(self.time_stamp_url)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError("time_stamp_url is http://host/path or https://host/path")
            if self.time_stamp_ca is None:
                raise ValueError("time_stamp_url needs time_stamp_ca: without it the answer cannot be verified")
        return self
