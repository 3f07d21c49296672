"""What is given to highdicom's constructors, and what is kept and replaced of the data sets that they make."""

from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID

from workers.encode.analysis import Analysis
from workers.encode.result_identity import object_uid


def identification(document: Dataset) -> dict[str, Any]:
    """Series, instance and equipment of a document as arguments of highdicom's constructors."""
    return {
        "series_instance_uid": document.SeriesInstanceUID,
        "series_number": document.SeriesNumber,
        "sop_instance_uid": document.SOPInstanceUID,
        "instance_number": 1,
        "manufacturer": document.Manufacturer,
        "manufacturer_model_name": document.ManufacturerModelName,
        "software_versions": document.SoftwareVersions,
        "device_serial_number": document.DeviceSerialNumber,
    }


def add_missing_elements(document: Dataset, made: Dataset) -> None:
    """Add the elements of highdicom's data set that the document does not have: its time, equipment and patient are not used."""
    for element in made:
        if element.tag not in document:
            document.add(element)


def derive_dimension_uids(document: Dataset, analysis: Analysis, profile: str) -> None:
    """Replace the Dimension Organization UID, which highdicom draws at random, by a derived one."""
    uid = object_uid(analysis, "dimensions", profile)
    for item in (*document.DimensionOrganizationSequence, *document.DimensionIndexSequence):
        item.DimensionOrganizationUID = UID(uid)
