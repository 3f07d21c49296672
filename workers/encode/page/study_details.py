"""Patient, study and analysis as names and values that the page can show."""

from collections.abc import Iterator

from workers.encode.analysis import Analysis
from workers.encode.local_time import to_dicom_time
from workers.encode.page.text_coverage import drawable_identifier, drawable_name, drawable_text

UNKNOWN = "-"


def study_details(analysis: Analysis) -> list[tuple[str, str]]:
    """(name, value) of patient, study, images and time of the analysis."""
    return [(name, value or UNKNOWN) for name, value in _details(analysis)]


def _details(analysis: Analysis) -> Iterator[tuple[str, str]]:
    source = analysis.source

    def text(keyword: str) -> str:
        return str(source.attributes.get(keyword) or "")

    yield "Patient", drawable_name(text("PatientName"))
    issuer = text("IssuerOfPatientID")
    yield "Patient ID", drawable_identifier(text("PatientID")) + (f" ({drawable_text(issuer)})" if issuer else "")
    yield "Born, sex", ", ".join(part for part in (format_date(text("PatientBirthDate")), text("PatientSex")) if part)
    yield "Accession", drawable_identifier(text("AccessionNumber"))
    yield "Study", " ".join(part for part in (format_date(text("StudyDate")), drawable_text(text("StudyDescription"))) if part)
    yield "Institution", drawable_text(text("InstitutionName"))
    count = len(source.images)
    yield "Analysed", f"{source.modality}, {count} image{'s' if count != 1 else ''}"
    date, time, offset = to_dicom_time(analysis.started_at, source.time_zone, analysis.time_zone, source.study_time)
    yield "Analysed at", f"{format_date(date)} {time[:2]}:{time[2:4]} {offset or 'UTC'}"


def format_date(date: str) -> str:
    """A DICOM date (PS3.5 6.2, DA) as 2026-11-20; other text unchanged as far as it can be drawn."""
    return f"{date[:4]}-{date[4:6]}-{date[6:8]}" if len(date) == 8 and date.isdigit() else drawable_text(date)
