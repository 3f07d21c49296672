"""``[console]``: the HTTP port."""

from pydantic import Field

from core.settings.section import Port, Section
from core.settings.tls import ConsoleTls


class ConsoleSection(Section):
    """``[console]``: status page, health, metrics and API over HTTP."""

    host: str = Field(
        default="127.0.0.1", description="Address to listen on. Only this machine by default: there is no sign-in in this version."
    )
    port: Port = Field(default=8484, description="HTTP port. `0`: any free port.")
    tls: ConsoleTls | None = Field(
        default=None,
        description="Optional. With this table the console speaks HTTPS only: TLS 1.3, or TLS 1.2 with forward secrecy and authenticated "
        "encryption.",
    )
