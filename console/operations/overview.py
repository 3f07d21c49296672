"""What the operations page shows of the roles, queues, destinations and routes: the configuration beside the state of the node."""

from collections.abc import Mapping
from dataclasses import dataclass

from console.health import CONSOLE, HEARTBEAT_MAX_AGE_S, ROLES
from core.settings.settings import Settings
from db.deliveries.giving_up import Undelivered
from db.operations.pauses import Pause, PauseKind
from db.operations.status import UNREACHABLE, NodeStatus
from db.roles.heartbeats import Heartbeat

HIDDEN_DETAILS = frozenset({"pid", "host", "port", "ae_title", "processes", "url", "uploads"})


@dataclass(frozen=True, slots=True)
class RoleRow:
    """A role with its processes."""

    role: str
    processes: tuple[Heartbeat, ...]

    @property
    def state(self) -> str:
        """Say whether the role does its work: "running" if one process has a recent heartbeat and no problem, else what is wrong."""
        alive = [process for process in self.processes if self.is_alive(process)]
        if any(not process.details.get("problem") for process in alive):
            return "running"
        return "hindered" if alive else "silent" if self.processes else "missing"

    @staticmethod
    def is_alive(process: Heartbeat) -> bool:
        """Whether a process has written a heartbeat recently."""
        return process.age_s < HEARTBEAT_MAX_AGE_S

    @staticmethod
    def facts(process: Heartbeat) -> list[tuple[str, str]]:
        """What a process says about itself, without what the page shows elsewhere."""
        return [
            (key.replace("_", " "), value)
            for key, value in sorted(process.details.items())
            if value and key != "problem" and key not in HIDDEN_DETAILS and not key.startswith(UNREACHABLE)
        ]


@dataclass(frozen=True, slots=True)
class DestinationRow:
    """A destination of the configuration, or one that only deliveries name (``configured`` is false then).

    ``served``: a process of the role that sends is alive. ``undelivered``: what would be given up with it; None where there is nothing.
    """

    name: str
    address: str
    objects: str
    configured: bool
    away_s: float
    served: bool
    pause: Pause | None
    deliveries: Mapping[str, int]
    undelivered: Undelivered | None = None


@dataclass(frozen=True, slots=True)
class RouteRow:
    """A route as a sentence; a route that is paused and was removed from the configuration has none."""

    name: str
    sentence: str
    pause: Pause | None


def role_rows(status: NodeStatus) -> list[RoleRow]:
    """Return every role, also those without a process."""
    return [RoleRow(role, tuple(beat for beat in status.heartbeats if beat.role == role)) for role in (*ROLES, CONSOLE)]


def destination_rows(
    settings: Settings, status: NodeStatus, pauses: tuple[Pause, ...], undelivered: Mapping[str, Undelivered]
) -> list[DestinationRow]:
    """Return the destinations of the configuration, then those that only deliveries or pauses name. ``undelivered``: by destination."""
    paused = {pause.name: pause for pause in pauses if pause.kind is PauseKind.DESTINATION}
    configured = {destination.name: destination for destination in settings.destinations}
    served = any(beat.role == "send" and RoleRow.is_alive(beat) for beat in status.heartbeats)
    waiting = {name for name, states in status.deliveries.items() if set(states) & {"pending", "sending", "held", "failed"}}
    rows = []
    for name in (*configured, *sorted((waiting | set(paused) | set(undelivered)) - set(configured))):
        found = configured.get(name)
        rows.append(
            DestinationRow(
                name=name,
                address="" if found is None else found.address_in_words,
                objects="" if found is None else ", ".join(kind.value.replace("_", " ") for kind in found.objects),
                configured=found is not None,
                away_s=status.away_s.get(name, 0.0),
                served=served,
                pause=paused.get(name),
                deliveries=status.deliveries.get(name, {}),
                undelivered=undelivered.get(name),
            )
        )
    return rows


def route_rows(settings: Settings, pauses: tuple[Pause, ...]) -> list[RouteRow]:
    """Return the routes of the configuration, then paused ones that it has no more."""
    paused = {pause.name: pause for pause in pauses if pause.kind is PauseKind.ROUTE}
    rows = [RouteRow(route.name, route.sentence, paused.pop(route.name, None)) for route in settings.routes]
    return rows + [RouteRow(name, "", pause) for name, pause in paused.items()]


def totals(status: NodeStatus) -> dict[str, int]:
    """Return how many there are of what the page lists, of which it shows the newest."""
    jobs, deliveries = status.jobs, status.deliveries.values()
    return {
        "failed": jobs.get("quarantined", 0) + jobs.get("failed", 0),
        "running": jobs.get("running", 0),
        "queued": jobs.get("queued", 0),
        "deliveries": sum(states.get("held", 0) + states.get("failed", 0) for states in deliveries),
        "waiting": sum(states.get("pending", 0) for states in deliveries),
        "quarantine": status.quarantine_items,
    }
