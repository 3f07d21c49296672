"""Decides from heartbeats, database and disk whether the node can receive, queue and store."""

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from console.formats import format_size
from core.errors import StorageError
from core.policy.back_pressure import PAUSE_REASONS
from core.settings.settings import Settings
from db.engine import Database
from db.operations.alerts import Alert
from db.operations.status import NodeStatus, node_status
from db.receive.backlog import PAUSED
from db.roles.heartbeats import Heartbeat
from db.schema.revisions import current_revision, expected_revision

HEARTBEAT_MAX_AGE_S = 30.0
ROLES = ("listen", "conduct", "relay", "worker", "send")  # without one of these, receiving, analysis or delivery stops
CONSOLE = "console"


@dataclass(frozen=True, slots=True)
class NodeReadiness:
    """What keeps the node from receiving, queueing or storing, one line each; empty when it is ready."""

    missing: tuple[str, ...]

    @property
    def ready(self) -> bool:
        """Whether nothing is missing."""
        return not self.missing


@dataclass(frozen=True, slots=True)
class NodeSnapshot:
    """State of the node at one moment. ``status`` is None while the database is unavailable."""

    readiness: NodeReadiness
    status: NodeStatus | None
    free_bytes: int | None
    total_bytes: int | None = None


def disk_usage(data_dir: Path) -> tuple[int, int] | tuple[None, None]:
    """Return free and total bytes of the disk that holds the blobs; None where the folder does not exist."""
    try:
        usage = shutil.disk_usage(data_dir)
    except OSError:
        return None, None
    return usage.free, usage.total


def check_roles(heartbeats: Iterable[Heartbeat], roles: Sequence[str] = ROLES) -> tuple[str, ...]:
    """Return one line for every role without a recent heartbeat, or whose every process reports a problem."""
    recent: dict[str, list[Heartbeat]] = {}
    for beat in heartbeats:
        if beat.age_s < HEARTBEAT_MAX_AGE_S:
            recent.setdefault(beat.role, []).append(beat)
    lines = []
    for role in roles:
        beats = recent.get(role, [])
        problems = [beat.details["problem"] for beat in beats if beat.details.get("problem")]
        if not beats:
            lines.append(f"{role}: no heartbeat within {HEARTBEAT_MAX_AGE_S:g} s")
        elif len(problems) == len(beats):
            lines.append(f"{role}: {problems[0]}")
    return tuple(lines)


def check_disk(free: int | None, needed: int) -> tuple[str, ...]:
    """Return a line where the data folder is missing or has less free space than ``receive.min_free_bytes`` (then C-STORE is refused)."""
    if free is None:
        return ("disk: the data folder cannot be read",)
    if free < needed:
        return (f"disk: {format_size(free)} free, {format_size(needed)} needed to receive",)
    return ()


def check_pauses(alerts: Iterable[Alert]) -> tuple[str, ...]:
    """Return a line for every reason for which receiving is paused."""
    return tuple(f"receive: paused, {PAUSE_REASONS.get(alert.subject, alert.subject)}" for alert in alerts if alert.kind == PAUSED)


def read_node(settings: Settings, database: Database) -> NodeSnapshot:
    """Read the state of the node from the database and the disk."""
    free, total = disk_usage(settings.node.data_dir)
    disk = check_disk(free, settings.receive.min_free_bytes)
    try:
        revision, expected = current_revision(database), expected_revision()
        if revision != expected:
            missing = (f"database: schema revision {revision or 'none'}, this version needs {expected}; run dicom-node db upgrade",)
            return NodeSnapshot(NodeReadiness((*missing, *disk)), None, free, total)
        status = node_status(database)
    except StorageError:
        return NodeSnapshot(NodeReadiness(("database: unavailable", *disk)), None, free, total)
    # A full disk is reported once, by its free space, and not again by the pause that it causes.
    paused = check_pauses(alert for alert in status.alerts if not (disk and alert.subject == "disk"))
    return NodeSnapshot(NodeReadiness((*check_roles(status.heartbeats), *disk, *paused)), status, free, total)
