"""The configuration: ``node.toml``, over it ``DICOM_NODE_SECTION__KEY``, secrets also as ``..._FILE``.

Unknown keys are errors: a mistyped safety limit must not be silently off. Nothing here is read at import.
"""

import os
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from core.errors import ConfigurationError
from core.policy.routing import Condition, parse_condition
from core.settings.operations import ConsoleTls, Retention, Webhook
from core.settings.peers import Destination, Source
from core.settings.section import AeTitle, Port, Seconds, Section
from core.states import Priority

ENV_PREFIX = "DICOM_NODE_"
ENV_NOT_SETTINGS = frozenset({"DICOM_NODE_CONFIG", "DICOM_NODE_DATA"})
_PASSWORD = re.compile(r"://[^/@]*:[^/@]+@")
# What of a value is secret: a URL only where it has a password. The last one came with the rule, and is held to it.
SECRETS: Mapping[str, Callable[[str], bool]] = {
    "database.url": lambda url: bool(_PASSWORD.search(url)),
    "broker.url": lambda url: bool(_PASSWORD.search(url)),
    "webhook.secret": bool,
}
NEVER_LITERAL = frozenset({"webhook.secret"})


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
    max_waiting: Annotated[int, Field(ge=0)] = 20_000  # units that are not analysed yet; 0: no limit
    own_objects: Literal["store", "refuse"] = "store"  # results of dicom-node that are sent back; never analysed


class DatabaseSection(Section):
    url: str = ""  # empty: embedded PostgreSQL


class Broker(Section):
    url: str = ""  # empty: embedded Valkey/Redis


class Console(Section):
    host: str = "127.0.0.1"
    port: Port = 8484
    tls: ConsoleTls | None = None


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
    memory_limit_mib: Annotated[int, Field(ge=0)] = 0  # of a child; 0: nine tenths of what there is, shared by the children
    gpu_memory_share: Annotated[float, Field(gt=0, le=1)] = 1.0  # of the card, that a child may take
    max_object_bytes: Annotated[int, Field(ge=1 << 16)] = 1 << 30  # of one result object
    max_batch: Annotated[int, Field(ge=1, le=256)] = 32  # photographs in one pass, where the model takes as many; 1: each alone
    read_ahead: bool = True  # the next series is decoded while one is computed, where there is memory for both
    batch_wait_s: Annotated[float, Field(ge=0, le=2)] = 0.02  # for others, where some wait already: a lone image is never held up
    evidence_budget_s: Seconds = 10.0  # for a map of the evidence, where a destination takes one; over it the result goes without

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
    probe_cap_s: Seconds = 60.0
    commitment_linger_s: Seconds = 2.0
    commitment_answer_s: Seconds = 3600.0
    max_resends: Annotated[int, Field(ge=0)] = 3


class Logs(Section):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "console"] = "json"


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
    webhook: Webhook = Webhook()
    retention: Retention = Retention()
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
    for key in literal_secrets(values):
        if key in NEVER_LITERAL:
            hint = f"give it as {variable_of(key)}"
            raise ConfigurationError(f"{path}: {key} is a secret and does not stand in this file", hint=hint)
    given = _environment(environ)
    for section, key, value in given:
        table = values.setdefault(section, {})
        if not isinstance(table, dict):
            raise ConfigurationError(f"{ENV_PREFIX}{section.upper()}__...: [{section}] is a list of tables", hint="set it in the file")
        table[key] = value
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        message = _in_words(error, where, {(section, key) for section, key, _ in given})
        raise ConfigurationError(message, hint="see docs/configuration.md") from error
    if path is not None and not settings.node.data_dir.is_absolute():
        absolute = (path.parent / settings.node.data_dir).resolve()
        settings = settings.model_copy(update={"node": settings.node.model_copy(update={"data_dir": absolute})})
    return settings


def variable_of(key: str) -> str:
    """The variable that names a file with the value of ``section.key``."""
    return f"{ENV_PREFIX}{key.upper().replace('.', '__')}_FILE"


def secrets_in(path: Path | None) -> tuple[str, ...]:
    """Keys of the file that hold a secret (see `literal_secrets`); none where there is no file."""
    return literal_secrets(tomllib.loads(path.read_text(encoding="utf-8"))) if path is not None else ()


def literal_secrets(values: Mapping[str, Any]) -> tuple[str, ...]:
    """Keys of a parsed node.toml that hold a secret: better in a file of its own, named by ``..._FILE``."""
    found = []
    for key, secret in SECRETS.items():
        section, _, name = key.partition(".")
        table = values.get(section)
        value = table.get(name) if isinstance(table, dict) else None
        if isinstance(value, str) and secret(value):
            found.append(key)
    return tuple(found)


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


def _in_words(error: ValidationError, where: str, given: set[tuple[str, str]]) -> str:
    """One line for all that pydantic found, with the places as they are written in the file, or in the environment if ``given`` there."""
    parts = []
    for problem in error.errors():
        steps = [str(step) for step in problem["loc"]]
        variable = f"{ENV_PREFIX}{'__'.join(steps[:2]).upper()}" if tuple(steps[:2]) in given else ""
        place = f"the environment's {variable}" if variable else f"{where}: {'.'.join(steps) or 'settings'}"
        text = "unknown key" if problem["type"] == "extra_forbidden" else problem["msg"].removeprefix("Value error, ")
        parts.append(f"{place}: {text}")
    return "; ".join(parts)
