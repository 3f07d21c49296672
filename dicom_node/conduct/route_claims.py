"""Which routes claim a unit, by the header of one of its images; where none does, the reason in words."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from pydicom.datadict import tag_for_keyword

from core.policy.routes.routing import NO_ROUTE_REASON, Attributes
from core.settings.routes import Route

# A value may have several lines.
_CONDITION = re.compile(r"^(?P<mark>(?:\[yes\]|\[no\] )\s+)(?P<keyword>\w+) is .*?(?P<wanted>, wanted .*)$", re.DOTALL)
_PATIENT_GROUP = 0x0010


@dataclass(frozen=True, slots=True)
class RouteClaim:
    """The routes that claim a unit.

    ``reason``: why there are none, else "". ``waiting``: the images are still searched for lungs. ``conditions``: of every route, which of
    its conditions hold, without values of the header: for the log.
    """

    routes: tuple[Route, ...]
    reason: str
    waiting: bool = False
    conditions: str = ""


def claim_routes(routes: Iterable[Route], attributes: Attributes) -> RouteClaim:
    """Return the routes whose condition holds; else the conditions that do not, without values that identify a patient."""
    claiming, reasons, checked = [], [], []
    for route in routes:
        decision = route.when.evaluate(attributes)
        checked.append(f"route '{route.name}': {'; '.join(_without_value(line.strip()) for line in decision.lines)}")
        if decision.holds:
            claiming.append(route)
        else:
            reasons.append(f"route '{route.name}': {_failed_conditions(decision.lines) or 'does not hold'}")
    if claiming:
        return RouteClaim(tuple(claiming), "", conditions=" | ".join(checked))
    reason = f"{NO_ROUTE_REASON}: " + " | ".join(reasons) if reasons else "no route is configured"
    return RouteClaim((), reason, conditions=" | ".join(checked))


def _failed_conditions(lines: Iterable[str]) -> str:
    """Keep the lines of conditions that failed; of a group (any, not) those that are indented below it too."""
    kept, within_failed = [], False
    for line in lines:
        if not line.startswith(" "):
            within_failed = line.startswith("[no]")
        if within_failed:
            kept.append(_without_patient_value(line.strip()))
    return "; ".join(kept).replace(":; ", ": ")


def _without_patient_value(line: str) -> str:
    match = _CONDITION.match(line)
    tag = tag_for_keyword(match["keyword"]) if match else None
    if match and tag is not None and tag >> 16 == _PATIENT_GROUP:
        line = f"{match['mark']}{match['keyword']} is not as wanted"
    return line.removeprefix("[no]").removeprefix("[yes]").strip()


def _without_value(line: str) -> str:
    """A condition without what the header has: only its keyword, and what is wanted, which the configuration says."""
    match = _CONDITION.match(line)
    if match is None:  # of a body part what follows quotes the header; "any of:" and "not:" have nothing there
        return line.partition(": ")[0]
    tag = tag_for_keyword(match["keyword"])
    if tag is not None and tag >> 16 == _PATIENT_GROUP:
        return f"{match['mark']}{match['keyword']}"
    _value, _comma, wanted = match["wanted"].rpartition(", wanted ")  # the last one: a header may have these words too
    return f"{match['mark']}{match['keyword']}, wanted {wanted}"
