"""The configuration of running the node: who is told what, and what may be let go."""

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from core.settings.section import Seconds, Section

# The TLS 1.2 suites of RFC 9325 4.2, and ChaCha20 beside them; those of TLS 1.3 are all authenticated, and OpenSSL's own list.
TLS_1_2_SUITES = "ECDHE+AESGCM:ECDHE+CHACHA20"

Days = Annotated[int, Field(ge=0, le=36500)]  # 0: never


def loopback(host: str) -> bool:
    """Whether ``host`` is this machine, so that what goes there crosses no network."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class ConsoleTls(Section):
    """TLS of the console's port. With ``ca`` only clients that show a certificate of it are answered."""

    cert: Path
    key: Path
    ca: Path | None = None


class Webhook(Section):
    """Who is told when something is wrong, and from when on something is. No patient data goes there."""

    url: str = ""  # empty: nobody is told; logs, audit and metrics say it all the same
    secret: str = ""  # key of the signature; from the environment or a file alone
    ca: Path | None = None  # None: the authorities that the system trusts
    timeout_s: Seconds = 10.0
    backlog_after_s: Seconds = 900.0
    disk_low_bytes: Annotated[int, Field(ge=0)] = 5 << 30
    silent_after_s: Annotated[float, Field(ge=10)] = 60.0

    @model_validator(mode="after")
    def _an_address(self) -> Self:
        if not self.url:
            return self
        try:
            parts = urlsplit(self.url)
            host, _ = parts.hostname, parts.port
        except ValueError:
            host = None
        if host is None or parts.scheme not in ("http", "https") or parts.username is not None or parts.fragment:
            raise ValueError("url is https://host[:port]/path, without user and password")
        if parts.scheme == "http" and not loopback(host):
            raise ValueError("url is https:// unless it is this machine's own address")
        return self


class Retention(Section):
    """After how many days the bytes of what is delivered may go; rows, hashes and the audit trail stay. 0: never."""

    images_days: Days = 0
    results_days: Days = 0
    unrouted_days: Days = 0
    records_days: Days = 0
    strays_days: Days = 0
