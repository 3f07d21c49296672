"""Rows of ``results export`` for CSV: what is an object or list in JSON becomes columns of its own besides."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

# Fixed columns besides those of JSON; columns for each measurement follow, such as volume_mm3.
FLAT = (
    "score", "x_mm", "y_mm", "z_mm", "diameter_mm", "image_sop_instance_uid", "frame", "image_column", "image_row", "completion_rule",
    "completion_reason", "stored_at", "not_stored_at", "verdict_kind", "verdict_reason", "verdict_label", "verdict_user", "verdict_at",
    "input_count",
)  # fmt: skip
DONE = ("stored", "committed")


def flat_rows(fields: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[dict[str, Any]]]:
    """Return the columns and rows of the CSV; ``fields`` are those of JSON. ``inputs`` has a file of its own; the row has their number."""
    measured: dict[str, None] = {}
    flat = []
    for row in rows:
        values = {name: value for name, value in row.items() if name != "inputs"} | _flat(row)
        for item in (row["measurements"] or {}).get("items", ()):
            name = _column(item)
            if name in fields:
                name = f"{name}_measured"
            if name not in FLAT:
                measured[name] = None
            values[name] = item["value"]
        flat.append(values)
    return [*(name for name in fields if name != "inputs"), *FLAT, *measured], flat


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    place = row["measurements"] or {}
    position, point = place.get("position_mm") or (None,) * 3, place.get("image_point") or (None,) * 2
    evidence, verdict, deliveries = row["completion_evidence"] or {}, row["verdict"] or {}, row["deliveries"] or []
    values = dict.fromkeys(FLAT) | {name: place.get(name) for name in ("score", "diameter_mm", "image_sop_instance_uid", "frame")}
    values |= dict(zip(("x_mm", "y_mm", "z_mm"), position, strict=True)) | dict(zip(("image_column", "image_row"), point, strict=True))
    values |= {"completion_rule": evidence.get("rule"), "completion_reason": evidence.get("reason")}
    for name, done in (("stored_at", True), ("not_stored_at", False)):
        names = {f"{one['destination']} ({one['object']})" for one in deliveries if (one["state"] in DONE) is done}
        values[name] = "; ".join(sorted(names))
    verdict_columns = {"verdict_kind": "verdict", "verdict_reason": "reason", "verdict_label": "label"}
    values |= {column: verdict.get(key) for column, key in (verdict_columns | {"verdict_user": "user", "verdict_at": "at"}).items()}
    return values | {"input_count": len(row["inputs"] or ())}


def _column(item: Mapping[str, Any]) -> str:
    """The column of a measurement: name and unit, as ``volume_mm3``."""
    unit = "" if item["unit"] == "1" else f"_{item['unit']}"
    return re.sub(r"[^a-z0-9]+", "_", f"{item['name']}{unit}".lower()).strip("_")
