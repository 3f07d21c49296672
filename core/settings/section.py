"""Base class and value types of the sections of the configuration."""

from ipaddress import ip_address
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


class Section(BaseModel):
    """Base of every table of the configuration: immutable, and an unknown key is an error.

    A mistyped safety limit must not be silently without effect.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)


def _check_ae_title(value: str) -> str:
    """Return an AE title without its padding (PS3.5 6.2, VR AE: 1 to 16 characters, no backslash, not only spaces)."""
    stripped = value.strip() if isinstance(value, str) else ""
    if not 1 <= len(stripped) <= 16 or not stripped.isascii() or not stripped.isprintable() or "\\" in stripped:
        raise ValueError("an AE title has 1 to 16 printable ASCII characters and no backslash")
    return stripped


AeTitle = Annotated[str, BeforeValidator(_check_ae_title)]
Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0)]


def is_loopback(host: str) -> bool:
    """Whether ``host`` is an address of this machine, so that what is sent to it crosses no network."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_address(host: str) -> bool:
    """Whether ``host`` is an IP address, and no name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
