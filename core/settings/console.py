"""``[console]``: the HTTP port."""

from pydantic import Field

from core.settings.oidc import OidcSection
from core.settings.section import Port, Seconds, Section
from core.settings.tls import ConsoleTls
from core.settings.viewer import ViewerSection


class ConsoleSection(Section):
    """``[console]``: status page, health, metrics and API over HTTP."""

    host: str = Field(default="127.0.0.1", description="Address to listen on. By default only this machine reaches it.")
    port: Port = Field(default=8484, description="HTTP port. `0`: any free port.")
    tls: ConsoleTls | None = Field(
        default=None,
        description="Optional. With this table the console speaks HTTPS only: TLS 1.3, or TLS 1.2 with forward secrecy and authenticated "
        "encryption.",
    )
    session_idle_s: Seconds = Field(default=1800.0, description="Seconds without a request after which a user has to sign in again.")
    session_max_s: Seconds = Field(
        default=43200.0, description="Seconds after sign-in after which a user has to sign in again. 12 hours: one shift."
    )
    oidc: OidcSection | None = Field(
        default=None, description="Optional. Sign-in by OpenID Connect ([the console](console.md#sign-in-by-openid-connect))."
    )
    viewer: ViewerSection = Field(default=ViewerSection(), description="The viewer ([the console](console.md#viewer)).")
