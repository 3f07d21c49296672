"""Orthanc with many studies of one small instance each, imported over REST in zip archives."""

import io
import sys
import time
import zipfile
from pathlib import Path
from typing import Any, Self

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from tests.bench.console_pages import SEARCH
from tests.support.many_studies import FAMILY, GIVEN
from tests.support.orthanc import Orthanc

PER_ARCHIVE = 2000
SETTINGS = {
    "Plugins": ["/usr/share/orthanc/plugins/libOrthancDicomWeb.so"],
    "StoreMD5ForAttachments": False,
    "KeepAlive": True,
    "DicomWeb": {"Enable": True},
}
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


class StudyList:
    """Orthanc with ``studies`` studies, of the same names as those of `tests.support.many_studies`."""

    def __init__(self, folder: Path, studies: int) -> None:
        self._studies = studies
        self._orthanc = Orthanc(folder, "ORTHANC", SETTINGS)

    def __enter__(self) -> Self:
        self._orthanc.start()
        began = time.monotonic()
        for first in range(1, self._studies + 1, PER_ARCHIVE):
            self._orthanc.post("/instances", archive(range(first, min(first + PER_ARCHIVE, self._studies + 1))))
            print(f"Orthanc: {first + PER_ARCHIVE - 1} studies after {time.monotonic() - began:.0f} s", file=sys.stderr)
        held = self._orthanc.get("/statistics")["CountStudies"]
        assert held == self._studies, f"Orthanc has {held} studies, not {self._studies}"
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

    def search_nobody(self) -> Any:
        """Search for a name that nobody has."""
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
    """Return a Part 10 file without pixel data: what a study list shows is in its header."""
    patient = number * 7919 % 40_000
    image = Dataset()
    image.SOPClassUID, image.SOPInstanceUID = SECONDARY_CAPTURE, f"1.2.826.0.1.3680043.10.543.{number}.1.1"
    image.StudyInstanceUID, image.SeriesInstanceUID = f"1.2.826.0.1.3680043.10.543.{number}", f"1.2.826.0.1.3680043.10.543.{number}.1"
    image.PatientName = f"{FAMILY[patient % len(FAMILY)]}^{GIVEN[patient // 14 % len(GIVEN)]} {patient}"
    image.PatientID, image.AccessionNumber = f"P-{patient:06}", f"A-{number:07}"
    image.StudyDate, image.StudyTime, image.StudyDescription, image.StudyID = "20260101", "080000", "CT Thorax nativ", str(number)
    image.Modality, image.SeriesNumber, image.InstanceNumber = "OT", 1, 1
    image.file_meta = FileMetaDataset()
    image.file_meta.MediaStorageSOPClassUID, image.file_meta.MediaStorageSOPInstanceUID = SECONDARY_CAPTURE, image.SOPInstanceUID
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    out = io.BytesIO()
    image.save_as(out, enforce_file_format=True)
    return out.getvalue()
