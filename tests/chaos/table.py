"""What a run came to: one table, for people and as JSON."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.failpoints import STEPS
from tests.chaos.ward import Ward


def table(ward: Ward, about: Mapping[str, Any], found: Mapping[str, list[str]], errors: list[str]) -> dict[str, Any]:
    """``about`` the run, what was done to the node, what became of its work, and what did not hold."""
    fired = Counter(f"{do} at {label}" for label, do in ward.arms.fired())
    at_steps = {label for label, do in ward.arms.fired() if do == "kill"}
    return {
        **about,
        "acknowledged": len(ward.acknowledged),
        "not acknowledged at first": ward.refused,
        "kills": ward.kills,
        "steps killed at": f"{len(at_steps)} of {len(STEPS)}",
        "steps never reached": sorted(set(STEPS) - at_steps),
        "faults": dict(sorted((fired + ward.struck).items())),
        "jobs": _counted(ward, "SELECT state AS what, count(*) AS times FROM jobs GROUP BY state"),
        "attempts": _counted(ward, "SELECT result AS what, count(*) AS times FROM attempts GROUP BY result"),
        "forgotten by a destination": sum(peer.forgotten for peer in ward.peers),
        "clock moved by, s": round(ward.clock_s),
        "blobs without a row": _orphans(ward),
        "errors": errors,
        "violations": {name: sentences[:5] for name, sentences in found.items() if sentences},
    }


def _counted(ward: Ward, statement: str) -> dict[str, int]:
    return {row.what: row.times for row in ward.rows(statement)}


def _orphans(ward: Ward) -> int:
    """What a kill between the blob and its row leaves: no temporary file, but nobody's."""
    rows = ward.rows("SELECT sha256 FROM instances UNION SELECT sha256 FROM reports UNION SELECT sha256 FROM quarantine")
    known = {row.sha256 for row in rows}
    return sum(len(path.name) == 64 and path.name not in known for path in (ward.data / "blobs").rglob("*"))


def held(table: Mapping[str, Any]) -> bool:
    """Whether the run ended as it must."""
    return not table["violations"] and not table["errors"]


def show(table: Mapping[str, Any], json_file: Path | None = None) -> str:
    """The table as text; as JSON into a file."""
    if json_file is not None:
        json_file.write_text(json.dumps(table, indent=2) + "\n")
    lines = [f"{name:<28} {_words(value)}" for name, value in table.items()]
    return "\n".join((*lines, "ALL INVARIANTS HELD" if held(table) else "NOT ALL INVARIANTS HELD"))


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_words(item)}" for name, item in value.items()) or "none"
    if isinstance(value, list):
        return "; ".join(map(str, value)) or "none"
    return str(value)
