"""``[database]``, ``[broker]`` and ``[store]``: the servers that the node uses, and where its blobs are."""

from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from core.settings.peers.tls import ServedBlobsTls
from core.settings.section import Port, Seconds, Section, is_loopback

LEAST_TOKEN_LENGTH = 32


class DatabaseSection(Section):
    """``[database]``: PostgreSQL, which holds the state of the node."""

    url: str = Field(
        default="",
        description="`postgresql://user:password@host:port/name`. With `host:port,host:port` the one that takes writes is used: a primary "
        "and its standbys ([fail-over](several-machines.md#postgresql-with-a-standby)). Empty: an embedded PostgreSQL, its files below "
        "`node.data_dir`.",
    )
    admin_url: str = Field(
        default="",
        description="URL of a superuser of the same database, for `db upgrade`, `db restore`, `db auditor`, `audit archive` and "
        "`audit restore` only. The upgrade makes the role of `url`, and gives the audit trail an owner of its own, so that the node can "
        "only add events. Only from "
        "`DICOM_NODE_DATABASE__ADMIN_URL_FILE` or the environment of these commands, never in this file, which every role reads. Empty, "
        "with a `url`: the role of `url` owns the audit trail. Without effect on the embedded PostgreSQL: its roles are always separated.",
    )


class BrokerSection(Section):
    """``[broker]``: Valkey or Redis, which carries wake-ups of workers."""

    url: str = Field(default="", description="`redis://:password@host:port/0`. Empty: an embedded Valkey or Redis.")

    @field_validator("url")
    @classmethod
    def _check_url(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and not (parts.scheme in ("redis", "rediss") and parts.hostname):
            raise ValueError("expected redis://:password@host:port/0 (Valkey or Redis), or nothing for an embedded server")
        return value


class ServedBlobs(Section):
    """``[store.serve]``: the blobs of this node over HTTPS."""

    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: Port = Field(default=11113, description="Port. `0`: any free port (tests).")
    max_connections: int = Field(
        default=64,
        ge=1,
        le=1000,
        description="Connections that may be open at once. Addresses that have not shown a token yet have half of them, each a quarter.",
    )
    tls: ServedBlobsTls | None = Field(default=None, description="Certificate of the port. Required unless `host` is this machine only.")

    @model_validator(mode="after")
    def _check_tls(self) -> Self:
        if self.tls is None and not is_loopback(self.host):
            raise ValueError("blobs hold images of patients: give [store.serve.tls], or listen on 127.0.0.1 only")
        return self


class StoreSection(Section):
    """``[store]``: the store of the blobs."""

    url: str = Field(
        default="",
        description="Empty: the folder `blobs` of `node.data_dir`. `s3://bucket` or `s3://bucket/prefix`: an S3 server. "
        "`https://host:port`: another node, whose role `listen` has `[store.serve]`; not for the role `listen` itself.",
    )
    endpoint: str = Field(
        default="", description="URL of the S3 server, `https://` (`http://` on this machine only). Empty: AWS in `region`."
    )
    region: str = Field(default="us-east-1", description="Region of the S3 bucket.")
    access_key: str = Field(default="", description="S3 access key, as `DICOM_NODE_STORE__ACCESS_KEY_FILE`.", repr=False)
    secret_key: str = Field(default="", description="S3 secret key, as `DICOM_NODE_STORE__SECRET_KEY_FILE`.", repr=False)
    tokens: str = Field(
        default="",
        description="Tokens between nodes, one on a line, as `DICOM_NODE_STORE__TOKENS_FILE`. The serving node accepts each, and the "
        f"other one sends the first. At least {LEAST_TOKEN_LENGTH} characters each.",
        repr=False,
    )
    ca: Path | None = Field(
        default=None, description="File with the certificate authority of the server, PEM. Without it: those that the system trusts."
    )
    timeout_s: Seconds = Field(
        default=30.0, description="Longest wait for the server in seconds, retries included. Afterwards the work is postponed."
    )
    cache_bytes: int = Field(
        default=20 << 30,
        ge=0,
        description="Copies of blobs that this machine keeps, in bytes, where `url` is set. What a job is reading is kept beyond it.",
    )
    cache_folder: Path | None = Field(default=None, description="Folder of these copies. Default: `blob-cache` in `node.data_dir`.")
    serve: ServedBlobs | None = Field(
        default=None, description="Optional. With this table the role `listen` serves its blobs to workers on other machines."
    )

    @field_validator("url")
    @classmethod
    def _check_url(cls, value: str) -> str:
        parts = urlsplit(value)
        plain_here = parts.scheme == "http" and is_loopback(parts.hostname or "")
        if value and not (parts.netloc and (parts.scheme in ("s3", "https") or plain_here)):
            raise ValueError("expected s3://bucket/prefix or https://host:port, or nothing for the folder of this machine")
        return value.rstrip("/")

    @field_validator("endpoint")
    @classmethod
    def _check_endpoint(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and not (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))):
            raise ValueError("expected https://host:port: without TLS only a server on this machine is used")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _check_secrets(self) -> Self:
        if any(len(token) < LEAST_TOKEN_LENGTH for token in self.token_list):
            raise ValueError(f"each of the tokens has at least {LEAST_TOKEN_LENGTH} characters: openssl rand -hex 32")
        if (self.serve is not None or self.is_node) and not self.token_list:
            raise ValueError("blobs over HTTPS need a token: DICOM_NODE_STORE__TOKENS_FILE")
        if bool(self.access_key) != bool(self.secret_key):
            raise ValueError("access_key and secret_key are given together or not at all")
        if self.serve is not None and self.url:
            raise ValueError("a node serves the blobs of its own folder: url is empty where there is [store.serve]")
        return self

    @property
    def is_node(self) -> bool:
        """Whether the blobs are on another node."""
        return self.url.startswith("http")

    @property
    def token_list(self) -> tuple[str, ...]:
        """The tokens."""
        return tuple(line.strip() for line in self.tokens.splitlines() if line.strip())
