"""The configuration: ``node.toml``, over it ``DICOM_NODE_SECTION__KEY``, secrets also as ``..._FILE``.

Unknown keys are errors: a mistyped safety limit must not be silently off. Nothing here is read at import.
"""

import os
import tomllib
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from core.errors import ConfigurationError
from core.routing import Condition, parse_condition
from core.states import Priority, ReportKind

ENV_PREFIX = "DICOM_NODE_"
ENV_NOT_SETTINGS = frozenset({"DICOM_NODE_CONFIG", "DICOM_NODE_DATA"})


def _ae_title(value: str) -> str:
    """PS3.5 6.2, VR AE: 1 to 16 characters of the default repertoire, no backslash, not only spaces."""
    stripped = value.strip() if isinstance(value, str) else ""
    if not 1 <= len(stripped) <= 16 or not stripped.isascii() or not stripped.isprintable() or "\\" in stripped:
        raise ValueError("an AE title has 1 to 16 printable ASCII characters and no backslash")
    return stripped


AeTitle = Annotated[str, BeforeValidator(_ae_title)]
Port = Annotated[int, Field(ge=0, le=65535)]  # 0: any free port (demo and tests)
Seconds = Annotated[float, Field(gt=0)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Tls(Section):
    cert: Path
    key: Path
    ca: Path | None = None
    require_client_cert: bool = True


class Node(Section):
    data_dir: Path = Path("data")
    ae_title: AeTitle = "DICOMNODE"
    host: str = "127.0.0.1"
    port: Port = 11112
    processes: Annotated[int, Field(ge=1, le=64)] = 1
    timezone: str = ""  # "+0100" or an IANA name; used where the source gives none
    tls: Tls | None = None


class Receive(Section):
    """Limits of the storage SCP."""

    max_associations: Annotated[int, Field(ge=1, le=1000)] = 32
    max_pdu_bytes: Annotated[int, Field(ge=16384, le=1 << 20)] = 131072
    max_instance_bytes: Annotated[int, Field(ge=1 << 16)] = 4 << 30
    acse_timeout_s: Seconds = 30.0
    dimse_timeout_s: Seconds = 60.0
    network_timeout_s: Seconds = 120.0
    association_lease_s: Seconds = 60.0
    quarantine_max_bytes: Annotated[int, Field(ge=0)] = 1 << 30
    min_free_bytes: Annotated[int, Field(ge=0)] = 1 << 30


class DatabaseSection(Section):
    url: str = ""  # empty: embedded PostgreSQL


class Broker(Section):
    url: str = ""  # empty: embedded Valkey/Redis


class Console(Section):
    host: str = "127.0.0.1"
    port: Port = 8484


class Completion(Section):
    settle_s: Annotated[float, Field(ge=0)] = 10.0
    quiet_s: Annotated[float, Field(ge=0)] = 30.0
    max_wait_s: Seconds = 900.0


class Worker(Section):
    device: Literal["auto", "cpu", "cuda"] = "auto"
    children: Annotated[int, Field(ge=1, le=64)] = 1  # one per GPU
    threads: Annotated[int, Field(ge=0, le=256)] = 0  # torch threads of a child; 0: all cores shared by the children
    lease_s: Seconds = 60.0
    max_attempts: Annotated[int, Field(ge=1, le=20)] = 3
    retry_base_s: Seconds = 15.0
    soft_time_limit_s: Seconds = 840.0
    hard_time_limit_s: Seconds = 900.0
    republish_after_s: Seconds = 30.0

    @model_validator(mode="after")
    def _limits_in_order(self) -> Self:
        if self.soft_time_limit_s >= self.hard_time_limit_s:
            raise ValueError("worker.soft_time_limit_s must be below worker.hard_time_limit_s")
        return self


class Delivery(Section):
    lease_s: Seconds = 120.0
    max_attempts: Annotated[int, Field(ge=1)] = 200
    retry_base_s: Seconds = 5.0
    retry_cap_s: Seconds = 900.0
    timeout_s: Seconds = 60.0


class Logs(Section):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "console"] = "json"


class QueryAddress(Section):
    ae_title: AeTitle
    host: str
    port: Port


class Source(Section):
    """Who may associate. ``host`` is an address or a CIDR block."""

    ae_title: AeTitle
    host: str
    query: QueryAddress | None = None

    @field_validator("host")
    @classmethod
    def _is_network(cls, value: str) -> str:
        try:
            ip_network(value, strict=False)
        except ValueError as error:
            raise ValueError(f"{value!r} is neither an IP address nor a CIDR block such as 10.0.0.0/8") from error
        return value

    def admits(self, address: str) -> bool:
        """Whether ``address`` (text) lies in the block; IPv4 seen through IPv6 counts as IPv4."""
        peer = ip_address(address)
        mapped = getattr(peer, "ipv4_mapped", None)
        return (mapped or peer) in ip_network(self.host, strict=False)


class Destination(Section):
    name: Annotated[str, Field(min_length=1, max_length=64)]
    ae_title: AeTitle | None = None
    host: str | None = None
    port: Port | None = None
    stow_url: str | None = None
    objects: Annotated[tuple[ReportKind, ...], Field(min_length=1)] = (ReportKind.SR,)
    storage_commitment: bool = False
    accept_research: bool = False

    @model_validator(mode="after")
    def _one_address(self) -> Self:
        dimse = (self.ae_title, self.host, self.port)
        if self.stow_url is not None:
            raise ValueError("stow_url is not supported by this version: give ae_title, host and port")
        if any(part is None for part in dimse):
            raise ValueError("a destination needs ae_title, host and port")
        if ReportKind.SR not in self.objects:
            raise ValueError("objects must hold 'sr': every other object is referenced from it")
        if self.storage_commitment:
            raise ValueError("storage_commitment is not supported by this version: leave it false")
        return self


class Route(Section):
    """Which model takes which units, and who gets the result."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)
    name: Annotated[str, Field(min_length=1, max_length=64)]
    model: str
    destinations: Annotated[tuple[str, ...], Field(min_length=1)]
    priority: Priority = Priority.ROUTINE
    per_study: Literal["best", "all"] = "all"
    when: Annotated[Condition, BeforeValidator(parse_condition)]


class Settings(Section):
    """All of it, valid once built."""

    node: Node = Node()
    receive: Receive = Receive()
    database: DatabaseSection = DatabaseSection()
    broker: Broker = Broker()
    console: Console = Console()
    completion: Completion = Completion()
    worker: Worker = Worker()
    delivery: Delivery = Delivery()
    logs: Logs = Logs()
    sources: tuple[Source, ...] = ()
    destinations: tuple[Destination, ...] = ()
    routes: tuple[Route, ...] = ()

    @model_validator(mode="after")
    def _names_meet(self) -> Self:
        known = [destination.name for destination in self.destinations]
        for what, names in (("destination", known), ("route", [route.name for route in self.routes])):
            doubled = sorted({name for name in names if names.count(name) > 1})
            if doubled:
                raise ValueError(f"two {what}s are named {', '.join(doubled)}: names must differ")
        for route in self.routes:
            missing = [name for name in route.destinations if name not in known]
            if missing:
                raise ValueError(f"route {route.name!r} sends to {', '.join(missing)}, which no [[destinations]] names")
        return self

    @property
    def blobs_dir(self) -> Path:
        return self.node.data_dir / "blobs"

    def destination(self, name: str) -> Destination | None:
        """The configured destination of this name; None when a restart has removed it."""
        return next((destination for destination in self.destinations if destination.name == name), None)


def load_settings(path: Path | None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Settings from a file (None: defaults) and the environment.

    Raises
    ------
    ConfigurationError
        One line: what is wrong, where, what to do.
    """
    values: dict[str, Any] = {}
    where = "the environment"
    if path is not None:
        where = str(path)
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            hint = "give a TOML file with --config or DICOM_NODE_CONFIG"
            raise ConfigurationError(f"{path} cannot be read: {error}", hint=hint) from error
    for section, key, value in _environment(environ):
        table = values.setdefault(section, {})
        if not isinstance(table, dict):
            raise ConfigurationError(f"{ENV_PREFIX}{section.upper()}__...: [{section}] is a list of tables", hint="set it in the file")
        table[key] = value
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        raise ConfigurationError(f"{where}: {_in_words(error)}", hint="see docs/configuration.md") from error
    if path is not None and not settings.node.data_dir.is_absolute():
        absolute = (path.parent / settings.node.data_dir).resolve()
        settings = settings.model_copy(update={"node": settings.node.model_copy(update={"data_dir": absolute})})
    return settings


def _environment(environ: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """(section, key, value) of every DICOM_NODE_SECTION__KEY; ``..._FILE`` is read from the file it names."""
    found = []
    for name, value in environ.items():
        if not name.startswith(ENV_PREFIX) or name in ENV_NOT_SETTINGS:
            continue
        section, _, key = name.removeprefix(ENV_PREFIX).lower().partition("__")
        if not key or section not in Settings.model_fields:
            hint = "DICOM_NODE_SECTION__KEY, see docs/configuration.md"
            raise ConfigurationError(f"the environment sets {name}, which no setting has", hint=hint)
        if key.endswith("_file"):
            try:
                value = Path(value).read_text(encoding="utf-8").strip()
            except OSError as error:
                message = f"{name} names {value}, which cannot be read: {error.strerror}"
                raise ConfigurationError(message, hint="mount the secret") from error
            key = key.removesuffix("_file")
        found.append((section, key, value))
    return found


def _in_words(error: ValidationError) -> str:
    """One line for all that pydantic found, with the places as they are written in the file."""
    parts = []
    for problem in error.errors():
        place = ".".join(str(step) for step in problem["loc"]) or "settings"
        text = "unknown key" if problem["type"] == "extra_forbidden" else problem["msg"].removeprefix("Value error, ")
        parts.append(f"{place}: {text}")
    return "; ".join(parts)
