"""Orthanc with many studies of one small instance each, imported over REST in zip archives, as many as fit into a given time."""

import functools
import io
import sys
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from tests.bench.console_pages import SEARCH
from tests.support.many_studies import FAMILY, GIVEN
from tests.support.orthanc import Orthanc

PER_ARCHIVE, SENDERS = 1000, 2
SETTINGS = {
    "Plugins": ["/usr/share/orthanc/plugins/libOrthancDicomWeb.so"],
    "StoreMD5ForAttachments": False,
    "SyncStorageArea": False,  # what is measured is the index, not how safely a file was written
    "StableAge": 3600,
    "KeepAlive": True,
    "DicomWeb": {"Enable": True},
}
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


class StudyList:
    """Orthanc with studies of the same names as those of `tests.support.many_studies`.

    Parameters
    ----------
    studies, fill_s
        It has ``studies`` studies, or as many as were imported in ``fill_s`` seconds; ``held`` says how many.
    """

    def __init__(self, folder: Path, studies: int, fill_s: float) -> None:
        self._studies, self._fill_s, self.held = studies, fill_s, 0
        self._orthanc = Orthanc(folder, "ORTHANC", SETTINGS)

    def __enter__(self) -> Self:
        self._orthanc.start()
        began = time.monotonic()

        def send(first: int) -> None:
            if time.monotonic() - began < self._fill_s:
                self._orthanc.post("/instances", archive(range(first, min(first + PER_ARCHIVE, self._studies + 1))))

        with ThreadPoolExecutor(SENDERS) as senders:
            list(senders.map(send, range(1, self._studies + 1, PER_ARCHIVE)))
        self.held = int(self._orthanc.get("/statistics")["CountStudies"])
        print(f"Orthanc: {self.held} studies after {time.monotonic() - began:.0f} s", file=sys.stderr)
        return self

    def __exit__(self, *_: object) -> None:
        self._orthanc.stop()

    def first(self) -> Any:
        """Return 50 studies as Orthanc Explorer 2 asks for them."""
        return self._find({})

    def first_qido(self) -> Any:
        """Return 50 studies over QIDO-RS (PS3.18 10.6)."""
        return self._orthanc.get("/dicom-web/studies?limit=50&includefield=StudyDescription")

    def search(self) -> Any:
        """Return studies of patients whose name contains the word of the benchmark."""
        return self._find({"PatientName": f"*{SEARCH}*"})

    def search_unknown_name(self) -> Any:
        """Search for a name that no patient has."""
        return self._find({"PatientName": "*zznobody*"})

    def _find(self, query: dict[str, str]) -> Any:
        return self._orthanc.post("/tools/find", {"Level": "Study", "Limit": 50, "Expand": True, "Query": query})


def archive(numbers: range) -> bytes:
    """Return a zip archive with one instance for each study."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as zipped:
        for number in numbers:
            zipped.writestr(f"{number}.dcm", instance(number))
    return out.getvalue()


def instance(number: int) -> bytes:
    """Return a Part 10 file without pixel data: what a study list shows is in its header. Each has the same length as the others."""
    patient = number * 7919 % 40_000
    name = f"{FAMILY[patient % len(FAMILY)]}^{GIVEN[patient // 14 % len(GIVEN)]} {patient}"
    made, (number_mark, patient_mark, name_mark) = _template()
    made = made.replace(number_mark, b"%07d" % (1_000_000 + number)).replace(patient_mark, b"%06d" % patient)
    return made.replace(name_mark, name.ljust(len(name_mark)).encode())


@functools.cache
def _template() -> tuple[bytes, tuple[bytes, bytes, bytes]]:
    """Return a file, and what stands in it for the number of the study, and for number and name of the patient."""
    number, patient, name = "9999999", "888888", "N" * 40
    image = Dataset()
    image.SOPClassUID, image.SOPInstanceUID = SECONDARY_CAPTURE, f"1.2.826.0.1.3680043.10.543.{number}.1.1"
    image.StudyInstanceUID, image.SeriesInstanceUID = f"1.2.826.0.1.3680043.10.543.{number}", f"1.2.826.0.1.3680043.10.543.{number}.1"
    image.PatientName, image.PatientID, image.AccessionNumber = name, f"P-{patient}", f"A-{number}"
    image.StudyDate, image.StudyTime, image.StudyDescription, image.StudyID = "20260101", "080000", "CT Thorax nativ", number
    image.Modality, image.SeriesNumber, image.InstanceNumber = "OT", 1, 1
    image.file_meta = FileMetaDataset()
    image.file_meta.MediaStorageSOPClassUID, image.file_meta.MediaStorageSOPInstanceUID = SECONDARY_CAPTURE, image.SOPInstanceUID
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    out = io.BytesIO()
    image.save_as(out, enforce_file_format=True)
    return out.getvalue(), (number.encode(), patient.encode(), name.encode())
