"""Whether the node can receive, queue and store: judged from heartbeats, the database and the disk."""

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.errors import StorageError
from core.policy.back_pressure import PAUSE_REASONS
from core.settings.settings import Settings
from db.engine import Database
from db.operations.alerts import Alert
from db.operations.status import NodeStatus, node_status
from db.receive.backlog import PAUSED
from db.records import Heartbeat
from db.schema.revisions import current_revision, expected_revision

HEARTBEAT_MAX_AGE_S = 30.0
ROLES = ("listen", "conduct", "relay", "worker", "send")  # without any of these the main job stops
CONSOLE = "console"


@dataclass(frozen=True, slots=True)
class Readiness:
    """``missing`` names, in words, everything that keeps the node from its job; empty when it is ready."""

    missing: tuple[str, ...]

    @property
    def ready(self) -> bool:
        return not self.missing


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at the node saw. ``status`` is None when the database is out of reach."""

    readiness: Readiness
    status: NodeStatus | None
    free_bytes: int | None
    total_bytes: int | None = None


def disk_of(data_dir: Path) -> tuple[int, int] | tuple[None, None]:
    """Bytes free where the blobs are, and all bytes; None when the folder is not there."""
    try:
        usage = shutil.disk_usage(data_dir)
    except OSError:
        return None, None
    return usage.free, usage.total


def judge_roles(heartbeats: Iterable[Heartbeat], roles: Sequence[str] = ROLES) -> tuple[str, ...]:
    """One line for every role of which no process has a young heartbeat, or whose every process reports a problem."""
    young: dict[str, list[Heartbeat]] = {}
    for beat in heartbeats:
        if beat.age_s < HEARTBEAT_MAX_AGE_S:
            young.setdefault(beat.role, []).append(beat)
    lines = []
    for role in roles:
        beats = young.get(role, [])
        problems = [beat.details["problem"] for beat in beats if beat.details.get("problem")]
        if not beats:
            lines.append(f"{role}: no heartbeat within {HEARTBEAT_MAX_AGE_S:g} s")
        elif len(problems) == len(beats):
            lines.append(f"{role}: {problems[0]}")
    return tuple(lines)


def judge_disk(free: int | None, needed: int) -> tuple[str, ...]:
    """A line when the data folder is gone, or holds less than ``receive.min_free_bytes`` (then every C-STORE is refused)."""
    if free is None:
        return ("disk: the data folder cannot be read",)
    if free < needed:
        return (f"disk: {free} bytes free, {needed} needed to receive",)
    return ()


def judge_pauses(alerts: Iterable[Alert]) -> tuple[str, ...]:
    """A line for every reason for which nothing is taken now."""
    return tuple(f"receive: paused, {PAUSE_REASONS.get(alert.subject, alert.subject)}" for alert in alerts if alert.kind == PAUSED)


def look(settings: Settings, database: Database) -> Look:
    """Look at the database, the heartbeats and the disk, once."""
    free, total = disk_of(settings.node.data_dir)
    disk = judge_disk(free, settings.receive.min_free_bytes)
    try:
        revision, expected = current_revision(database), expected_revision()
        if revision != expected:
            missing = (f"database: schema revision {revision or 'none'}, this version needs {expected}; run dicom-node db upgrade",)
            return Look(Readiness((*missing, *disk)), None, free, total)
        status = node_status(database)
    except StorageError:
        return Look(Readiness(("database: out of reach", *disk)), None, free, total)
    # The disk is judged by what is seen now; its pause lasts until there is some room beyond that.
    paused = judge_pauses(alert for alert in status.alerts if not (disk and alert.subject == "disk"))
    return Look(Readiness((*judge_roles(status.heartbeats), *disk, *paused)), status, free, total)
