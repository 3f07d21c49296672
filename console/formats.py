"""Values as people read them: times, ages, sizes, DICOM dates and names, coded words."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, tzinfo
from functools import partial
from typing import Any

from console.alert_words import alert_words
from core.clock import system_clock
from core.concepts.measured_values import format_measured
from core.counted import counted
from core.policy.priors.same_patient import left_out_in_words
from core.policy.priors.sentences import comparison_in_words, days_in_words, nothing_earlier
from core.policy.result_words import MEANINGS, TIERS
from core.policy.routes.unrouted_reason import short_reason
from core.records import FindingComparison
from core.states import Outcome, Tier
from core.time_zone import offset_from_utc
from db.jobs.prior_results import left_out_results, prior_rule

WORDS = {
    "sr": "Report (SR)",
    "seg": "Segmentation",
    "heatmap": "Heat map (picture)",
    "parametric_map": "Parametric map",
    "key_images": "Key images",
    "pdf": "Page (PDF)",
    "assessment": "Assessment (SR)",
    "rejection": "Rejection of outdated objects",
}
"""Kinds of result objects as people know them; other words are shown with spaces."""


ACTS = {
    "study.viewed": "opened the study",
    "viewer.opened": "opened the images",
    "object.viewed": "read a result object",
    "object.downloaded": "downloaded a result object",
    "result.viewed": "read the verdicts",
    "job.viewed": "read a job (API)",
    "worklist.viewed": "saw it in the worklist",
    "findings.viewed": "saw it in the list of findings (API)",
    "earlier_results.viewed": "saw it as an earlier result",
    "units.viewed": "saw it in the list of series that no route took",
    "jobs.viewed": "saw it in the list of jobs (API)",
    "deliveries.viewed": "saw it in the list of deliveries (API)",
    "view.shown": "saw it on the query page",
    "view.queried": "exported rows of a view as CSV",
    "results.exported": "exported results (command line)",
    "labelled images.exported": "exported labelled images (command line)",
    "database.backed_up": "made a backup of the database",
}
"""Views of patient data, as a report to people calls them."""

PHOTOGRAPHS = frozenset({"DMS", "ES", "GM", "OP", "SM", "XC"})
"""Modality (0008,0060) of images in visible light: dermoscopy, endoscopy, microscopy, the eye, other cameras (PS3.3 C.7.3.1.1.1)."""

HASH = re.compile(r"[0-9a-f]{32,}")


def format_moment(at: datetime | None, zone: tzinfo = UTC) -> str:
    """Return a time to the second, as ``2026-11-29 00:21:05 UTC``, in another zone with its offset; empty for None.

    The offset tells the two times of an hour apart that occurs twice, when summer time ends.
    """
    if at is None:
        return ""
    local = at.astimezone(zone)
    return f"{local:%Y-%m-%d %H:%M:%S} {offset_from_utc(local)}"


def format_age(seconds: float | None) -> str:
    """Return ``75.2`` as ``1 min 15 s``."""
    if seconds is None:
        return "unknown"
    days, rest = divmod(int(seconds), 86400)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    shown = [f"{number} {unit}" for number, unit in parts if number]
    return " ".join(shown[:2]) or "0 s"


def format_ago(at: datetime | None, zone: tzinfo = UTC) -> str:
    """Return how long ago a time was, as ``5 min ago``; after a week the date in this zone."""
    if at is None:
        return ""
    seconds = (system_clock() - at).total_seconds()
    if seconds > 7 * 86400:
        return at.astimezone(zone).strftime("%Y-%m-%d")
    if seconds < 60:
        return "just now"
    return f"{format_age(seconds).split(' ', 2)[0]} {format_age(seconds).split(' ')[1]} ago"


def format_iso_ago(at: str | None, zone: tzinfo = UTC) -> str:
    """Return how long ago a time was that a row of a view has as text (ISO 8601)."""
    return format_ago(None if not at else datetime.fromisoformat(at), zone)


def format_iso_moment(at: str) -> str:
    """Return a time in UTC that a row has as text (ISO 8601)."""
    return format_moment(datetime.fromisoformat(at))


def format_size(count: int | None) -> str:
    """Return bytes in binary units."""
    if count is None:
        return "unknown"
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def format_person(name: str) -> str:
    """Return a DICOM person name (PS3.5 6.2.1) as people write it: ``FAMILY, Given``; behind it the ideographic group."""
    shown = []
    for between, group in zip((", ", " "), (group.split("^") for group in name.split("=")), strict=False):
        family, given = group[0].strip(), " ".join(part.strip() for part in group[1:3] if part.strip())
        shown.append(f"{family}{between}{given}" if family and given else family or given)
    return " ".join(part for part in shown if part)


def format_dicom_date(value: str) -> str:
    """Return a DICOM date (DA) as ``2026-11-29``; other text as it is."""
    return f"{value[:4]}-{value[4:6]}-{value[6:]}" if len(value) == 8 and value.isdigit() else value


def format_percent(value: float | None) -> str:
    """Return a probability in whole percent; never 0 % or 100 %, which no model can know."""
    if value is None:
        return ""
    return "< 1 %" if value < 0.01 else "> 99 %" if value > 0.99 else f"{value * 100:.0f} %"


def format_act(action: str) -> str:
    """Return a view of patient data in words; another action as it is."""
    return ACTS.get(action, action)


def format_sentence(text: str) -> str:
    """Return a text with a capital letter at its beginning; the rest, such as names and abbreviations, stays as it is."""
    return text[:1].upper() + text[1:]


def format_error(error: Exception) -> str:
    """Return an error as sentences: what was expected and what came, and then the hint."""
    hint = str(getattr(error, "hint", ""))
    message = str(error).removesuffix(f" ({hint})") if hint else str(error)
    return " ".join(f"{format_sentence(part).rstrip('.')}." for part in (message, hint) if part)


def format_picture(modality: str) -> str:
    """Return what a single image is called: a radiograph or an ultrasound image is no photograph."""
    return "Photograph" if modality in PHOTOGRAPHS else "Image"


def format_words(value: str) -> str:
    """Return a word of the database as people read it."""
    return WORDS.get(value, str(value).replace("_", " "))


SHOWN_HASH, SHOWN_ITEMS = 12, 8


def format_detail(value: Any) -> str:
    """Return a value of an audit event in few words: the beginning of a hash, the first items of a list."""
    if isinstance(value, dict):
        return str(value["kind"]) if "kind" in value else " ".join(format_detail(one) for one in value.values())
    if isinstance(value, list):
        shown = ", ".join(format_detail(one) for one in value[:SHOWN_ITEMS])
        return shown if len(value) <= SHOWN_ITEMS else f"{shown} and {len(value) - SHOWN_ITEMS} more"
    text = "none" if value is None else str(value)
    return f"{text[:SHOWN_HASH]}…" if HASH.fullmatch(text) else text


def format_seconds(value: float | None) -> str:
    """Return a duration to a tenth of a second; empty for None."""
    return "" if value is None else f"{value:.1f} s"


def format_comparison(said: Mapping[str, Any]) -> str:
    """Return what the comparison with an earlier result says of a finding, as reports say it."""
    return comparison_in_words(FindingComparison(**said))


def format_meaning(outcome: str) -> str:
    """Return what an outcome means, as reports say it."""
    return MEANINGS[Outcome(outcome)]


def format_tier(tier: str) -> str:
    """Return a confidence tier in words, which do not sound like a grade of the disease."""
    return TIERS[Tier(tier)]


def format_nothing_earlier(rule: Mapping[str, Any]) -> str:
    """Return the sentences of a result for which no earlier one was found, by the column ``prior_rule`` of its job."""
    return nothing_earlier(prior_rule(rule), left_out_results(rule))


def format_left_out(rule: Mapping[str, Any]) -> str:
    """Return the sentences on results of the same Patient ID that were left out, by the same column; empty where there are none."""
    return left_out_in_words(left_out_results(rule))


FILTERS: dict[str, Callable[..., Any]] = {
    "alert_words": alert_words,
    "moment": format_moment,
    "age": format_age,
    "ago": format_ago,
    "iso_ago": format_iso_ago,
    "iso_moment": format_iso_moment,
    "utc": format_moment,
    "size": format_size,
    "seconds": format_seconds,
    "person": format_person,
    "dicom_date": format_dicom_date,
    "percent": format_percent,
    "words": format_words,
    "picture": format_picture,
    "sentence": format_sentence,
    "act": format_act,
    "counted": counted,
    "detail": format_detail,
    "measured": format_measured,
    "short_reason": short_reason,
    "compared": format_comparison,
    "days_before": days_in_words,
    "nothing_earlier": format_nothing_earlier,
    "meaning": format_meaning,
    "tier_words": format_tier,
    "left_out": format_left_out,
}
"""Filters of templates. Times are in UTC."""


def filters_in(zone: tzinfo) -> dict[str, Callable[..., Any]]:
    """Return the filters with times in another zone; ``utc`` and ``iso_moment`` stay in UTC."""
    of_time: dict[str, Callable[..., str]] = {"moment": format_moment, "ago": format_ago, "iso_ago": format_iso_ago}
    return FILTERS | {name: partial(shown, zone=zone) for name, shown in of_time.items()}
