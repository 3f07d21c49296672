"""Collects identifiers of patients from data sets, and finds them in texts."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import pydicom

KEYWORDS = (
    *("PatientName", "PatientID", "OtherPatientIDs", "PatientBirthDate", "PatientAddress", "PatientTelephoneNumbers", "AccessionNumber"),
    *("StudyID", "ReferringPhysicianName", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"),
)
EQUIPMENT = ("Manufacturer", "ManufacturerModelName", "StationName")
MINIMUM_LENGTH = 4  # characters: shorter values (a sex, "1") occur everywhere


def values_of(paths: Iterable[Path]) -> dict[str, frozenset[str]]:
    """Return keyword -> values; of a person's name every part. Words that also name the equipment are left out."""
    found: dict[str, set[str]] = {}
    equipment: set[str] = set()
    for path in paths:
        dataset = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=[*KEYWORDS, *EQUIPMENT])
        equipment |= {word for keyword in EQUIPMENT for word in str(dataset.get(keyword, "") or "").split()}
        for keyword in KEYWORDS:
            text = str(dataset.get(keyword, "") or "")
            parts = re.split(r"[\^=\\]", text) if keyword.endswith("Name") else [text]
            found.setdefault(keyword, set()).update(part.strip() for part in parts if len(part.strip()) >= MINIMUM_LENGTH)
    return {keyword: frozenset(values - equipment) for keyword, values in found.items() if values - equipment}


def found_in(text: str, values: Mapping[str, frozenset[str]]) -> dict[str, list[str]]:
    """Return keyword -> those of its values that occur in the text as whole words."""
    words = set(re.findall(r"[\w.@-]+", text))
    words |= {word.strip(".") for word in words}
    answer = {}
    for keyword, known in values.items():
        several = {value for value in known if not re.fullmatch(r"[\w.@-]+", value) and value in text}
        if here := sorted((known & words) | several):
            answer[keyword] = here
    return answer
