"""What the page says of patient, study and analysis, as plain lines that can be drawn."""

from collections.abc import Iterator

from workers.encode.analysis import Analysis
from workers.encode.page import glyphs
from workers.encode.text import local_time

UNKNOWN = "-"


def facts(analysis: Analysis) -> list[tuple[str, str]]:
    """(name, value): who, which study, what was analysed, when."""
    return [(name, value or UNKNOWN) for name, value in _facts(analysis)]


def _facts(analysis: Analysis) -> Iterator[tuple[str, str]]:
    source = analysis.source

    def text(keyword: str) -> str:
        return str(source.attributes.get(keyword) or "")

    yield "Patient", glyphs.person(text("PatientName"))
    issuer = text("IssuerOfPatientID")
    yield "Patient ID", glyphs.identifier(text("PatientID")) + (f" ({glyphs.shown(issuer)})" if issuer else "")
    yield "Born, sex", ", ".join(part for part in (day(text("PatientBirthDate")), text("PatientSex")) if part)
    yield "Accession", glyphs.identifier(text("AccessionNumber"))
    yield "Study", " ".join(part for part in (day(text("StudyDate")), glyphs.shown(text("StudyDescription"))) if part)
    yield "Institution", glyphs.shown(text("InstitutionName"))
    count = len(source.images)
    yield "Analysed", f"{source.modality}, {count} image{'s' if count != 1 else ''}"
    date, time, offset = local_time(analysis.started_at, source.time_zone, analysis.time_zone)
    yield "Analysed at", f"{day(date)} {time[:2]}:{time[2:4]} {offset or 'UTC'}"


def day(date: str) -> str:
    """A DICOM date (PS3.5 6.2, DA) as 2026-11-20; anything else as it is, where it can be drawn."""
    return f"{date[:4]}-{date[4:6]}-{date[6:8]}" if len(date) == 8 and date.isdigit() else glyphs.shown(date)
