"""What the page of the viewer gives to its scripts: findings, presets, and the address of the data."""

from typing import Any

from console.formats import format_picture
from db.viewer.viewed_unit import ViewedUnit

CHEST = ("CHEST", "LUNG", "THORAX")


def page_data(unit: ViewedUnit, ticket: str, finding: int | None, problem: str) -> dict[str, Any]:
    """Return the data of the page, for JSON. ``finding`` is the number of the finding to begin with."""
    row, job = unit.row, unit.job
    return {
        "base": f"/viewer/{row.id}/{ticket}",
        "kind": row.kind,
        "picture": format_picture(row.modality),
        "preset": "full" if row.modality != "CT" else "lung" if _is_chest(unit) else "soft",
        "problem": problem,
        "job": None if job is None else job.id,
        "begin": finding,
        "image": row.sop_instance_uid,
        "result": unit.latest_result,
        "units": len(unit.of_study),
        "verdicts": job.id if job is not None and job.outcome is not None and not job.shadow else None,
        "findings": [_finding(one) for one in unit.findings],
    }


def first_image(unit: ViewedUnit, finding: int | None) -> str:
    """Return the UID of the image that is wanted first: that of the chosen finding, or of the first one; "" where there is none."""
    chosen = [one for one in unit.findings if one.ordinal == finding] or list(unit.findings)
    return str(chosen[0].sop_instance_uid) if chosen else ""


def _is_chest(unit: ViewedUnit) -> bool:
    words = f"{unit.row.body_part_examined} {unit.row.series_description} {unit.job.model if unit.job else ''}".upper()
    return any(word in words for word in CHEST)


def _finding(row: Any) -> dict[str, Any]:
    return {
        "id": row.id,
        "ordinal": row.ordinal,
        "name": row.code_meaning,
        "tier": row.tier,
        "position": row.position_mm,
        "diameter": row.diameter_mm,
        "image": row.sop_instance_uid,
        "frame": row.frame,
        "point": row.image_point,
    }
