"""Dates and times of a result, in the time zone of the source or of the site."""

from datetime import UTC, datetime, timedelta, timezone

from core.errors import EncodingError
from core.time_zone import parse_time_zone


def parse_local_time(date: str, time: str) -> datetime | None:
    """DA and TM as a time without zone, noon where the time is not known; None without a date."""
    for text, form in ((f"{date} {time[:4]}", "%Y%m%d %H%M"), (f"{date} 1200", "%Y%m%d %H%M")):
        try:
            return datetime.strptime(text, form)
        except ValueError:
            continue
    return None


def to_dicom_time(at: datetime, source_zone: str, setting: str, study: datetime | None = None) -> tuple[str, str, str]:
    """(date, time, offset) of VR DA, TM and SH, in the source's time zone, else the setting's; else in UTC with offset "".

    An offset applies to every date and time of the object, the study's included (PS3.3 C.12.1.1.8), so none is assumed. Of a zone with
    summer time it is therefore that at the time of the ``study`` (local, without zone), in which ``at`` is written too.

    Raises
    ------
    EncodingError
        ``at`` has no time zone.
    """
    if at.tzinfo is None:
        raise EncodingError("a time without time zone cannot be written")
    zone = parse_time_zone(source_zone or setting)
    offset_then = study.replace(tzinfo=zone).utcoffset() if study is not None and zone is not None else None
    if offset_then is not None:
        zone = timezone(timedelta(minutes=offset_then // timedelta(minutes=1)))
    local = at.astimezone(zone if zone is not None else UTC)
    offset = local.strftime("%z")[:5] if zone is not None else ""
    return local.strftime("%Y%m%d"), local.strftime("%H%M%S.%f"), offset
