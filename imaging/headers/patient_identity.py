"""Reads whose a data set is, also of one that was refused because it cannot be identified as an instance."""

from pathlib import Path

from imaging.limits.work_budget import work_budget
from imaging.wire.notes import warnings_as_notes
from imaging.wire.tolerant_parser import read_with_pixel_location, translate_parse_errors
from imaging.wire.tolerant_values import TolerantReader


def read_patient_identity(path: Path) -> tuple[str, str]:
    """Return Patient ID (0010,0020) and its issuer (0010,0021); "" where the data set has none. Pixel data are not read.

    Raises
    ------
    CannotUnderstand
        The file is not a DICOM data set.
    """
    notes: list[str] = []
    with work_budget():
        dataset, _ = read_with_pixel_location(path, notes=notes)
        with translate_parse_errors("a header that cannot be read"), warnings_as_notes(notes):
            read = TolerantReader(dataset, notes)
            return read.text("PatientID").strip(), read.text("IssuerOfPatientID").strip()
