"""The access report as one HTML page that needs no other file and can be printed."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from console.formats import FILTERS, format_moment

TEMPLATE = "access_report.html"
_GROUPED = {
    "series": "study_id", "units": "study_id", "images": "study_id", "analyses": "study_id", "findings": "job_id", "objects": "job_id",
    "deliveries": "report_id", "verdicts": "job_id", "releases": "job_id", "comparisons": "job_id",
}  # fmt: skip


def report_page(document: Mapping[str, Any], missing: Sequence[str] = ()) -> str:
    """Return the page. ``missing``: files that could not be copied. Every value is escaped: it may come from a sender."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(FILTERS, time=_time)
    grouped = {f"{name}_of": _group(document[name], key) for name, key in _GROUPED.items()}
    received = {study: _received(images) for study, images in grouped["images_of"].items()}
    return environment.get_template(TEMPLATE).render(**document, **grouped, received_of=received, missing=missing)


def _time(value: str | None) -> str:
    """Return a time of the document as people read it; "" for None."""
    return "" if value is None else format_moment(datetime.fromisoformat(value))


def _group(rows: Sequence[Mapping[str, Any]], key: str) -> dict[int, list[Mapping[str, Any]]]:
    found: defaultdict[int, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        found[row[key]].append(row)
    return dict(found)


def _received(images: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return, for each sender of a study's images, how many came from when to when, and how many files were deleted."""
    senders: defaultdict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for image in images:
        senders[image["source"], image["source_address"] or ""].append(image)
    return [
        {
            "source": source,
            "address": address,
            "images": len(sent),
            "bytes": sum(image["size_bytes"] for image in sent),
            "first_at": min(image["received_at"] for image in sent),
            "last_at": max(image["received_at"] for image in sent),
            "deleted": sum(1 for image in sent if image["removed_at"]),
        }
        for (source, address), sent in sorted(senders.items())
    ]
