"""``[console]``: the HTTP port, and sign-in by a provider of OpenID Connect."""

from ipaddress import ip_network
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from core.errors import ConfigurationError
from core.settings.peers.tls import ConsoleTls
from core.settings.section import Port, Seconds, Section, is_address, is_loopback
from core.settings.web.viewer import ViewerSection
from core.time_zone import find_zone


class OidcSection(Section):
    """``[console.oidc]``: sign-in by OpenID Connect (authorization code flow with PKCE). Without this table there is none."""

    issuer: str = Field(
        description="Issuer of the provider, exactly as its discovery document has it, `https://` (or `http://` on this machine)."
    )
    client_id: str = Field(min_length=1, description="Name under which the console is registered at the provider.")
    client_secret_file: Path | None = Field(
        default=None, description="File with the client's secret. Without it the console is a public client, protected by PKCE."
    )
    redirect_url: str = Field(
        description="Address of `/sign-in/oidc/callback` of this console as browsers reach it; it is registered at the provider."
    )
    scopes: str = Field(default="openid profile", description="Scopes that are asked for, separated by spaces; `openid` is one of them.")
    name_claim: str = Field(default="preferred_username", description="Claim of the ID token with the sign-in name.")
    role_claim: str = Field(
        default="roles", description="Claim of the ID token with the role, text or list. Dots lead into a claim: `realm_access.roles`."
    )
    role_prefix: str = Field(
        default="",
        description="What stands before the role in the claim: with `dicom-node-` the value `dicom-node-viewer` gives the role viewer. "
        "Values that give no role are ignored; exactly one must be left.",
    )
    label: str = Field(default="your organisation", max_length=60, description="Name of the provider on the sign-in page.")
    ca: Path | None = Field(
        default=None,
        description="File with the certificate authority of the provider, PEM. Without it: the authorities that the system trusts.",
    )
    local_sign_in: bool = Field(default=True, description="Whether users may also sign in with a password of the console.")

    @field_validator("issuer", "redirect_url")
    @classmethod
    def _check_url(cls, value: str) -> str:
        url = urlsplit(value)
        local = url.scheme == "http" and is_loopback(url.hostname or "")
        if not url.hostname or (url.scheme != "https" and not local):
            raise ValueError(f"{value!r} is not an https:// address (http:// only on this machine)")
        return value

    @field_validator("scopes")
    @classmethod
    def _check_scopes(cls, value: str) -> str:
        if "openid" not in value.split():
            raise ValueError("scopes lack openid")
        return value


class ConsoleSection(Section):
    """``[console]``: the web interface, health, metrics and the API over HTTP."""

    host: str = Field(default="127.0.0.1", description="Address to listen on. By default only this machine reaches it.")
    port: Port = Field(default=8484, description="HTTP port. `0`: any free port.")
    tls: ConsoleTls | None = Field(
        default=None,
        description="Optional. With this table the console speaks HTTPS only: TLS 1.3, or TLS 1.2 with forward secrecy and authenticated "
        "encryption.",
    )
    public_url: str = Field(
        default="",
        description="Address under which people reach the console, such as `https://dicom-node.example.org`: invitation and sign-in links "
        "begin with it, its host name is expected, and with `https://` cookies are for HTTPS only (a reverse proxy ends TLS). Without it "
        "links name `host` and `port`, or the machine's host name where `host` is every address.",
    )
    allowed_hosts: tuple[str, ...] = Field(
        default=(),
        description="Further host names and addresses under which the console is reached. A request whose Host header is none of these, of "
        "`public_url`, loopback, the machine's host name or the address on which it came in is answered with 400.",
    )
    trusted_proxies: tuple[str, ...] = Field(
        default=(),
        description="Addresses or networks of reverse proxies. Only their header X-Forwarded-For says from which address a request comes, "
        "for the audit trail and for the limit on failed sign-ins; of everybody else it is ignored.",
    )
    max_connections: int = Field(
        default=600,
        ge=10,
        description="Connections at once. A new one beyond them ends the one that has waited longest for a request.",
    )
    session_idle_s: Seconds = Field(default=1800.0, description="Seconds without use after which a user has to sign in again.")
    session_max_s: Seconds = Field(
        default=43200.0, description="Seconds after sign-in after which a user has to sign in again. 12 hours: one shift."
    )
    time_zone: str = Field(
        default="UTC",
        description="Time zone in which pages show times and count days, an IANA name such as `Europe/Berlin`; each time has its offset. "
        "Exports, the API, logs and the pages of the audit trail stay in UTC ([times](operations.md#times)).",
    )
    oidc: OidcSection | None = Field(
        default=None, description="Optional. Sign-in by OpenID Connect ([the console](console.md#sign-in-by-openid-connect))."
    )
    viewer: ViewerSection = Field(default=ViewerSection(), description="The viewer ([the console](console.md#viewer)).")

    @field_validator("public_url")
    @classmethod
    def _check_public_url(cls, value: str) -> str:
        url = urlsplit(value.rstrip("/"))
        if value and (url.scheme not in ("http", "https") or not url.hostname or url.path or url.query or url.fragment or url.username):
            raise ValueError(f"{value!r} is no address such as https://dicom-node.example.org: scheme, host name and perhaps a port")
        return url.geturl()

    @field_validator("time_zone")
    @classmethod
    def _check_time_zone(cls, value: str) -> str:
        try:
            find_zone(value)
        except ConfigurationError as error:
            raise ValueError(str(error)) from error
        return value

    @field_validator("allowed_hosts")
    @classmethod
    def _check_hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if not name or set(name) & set("/*@ ") or (":" in name and not is_address(name)):
                raise ValueError(f"{name!r} is no host name or address: write it without scheme, port and wildcard")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _check_proxies(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            try:
                ip_network(name)
            except ValueError as error:
                raise ValueError(f"{name!r} is no address or network such as 10.0.0.0/8") from error
        return value

    @property
    def secure(self) -> bool:
        """Whether browsers reach the console over HTTPS."""
        return self.tls is not None or self.public_url.startswith("https://")
