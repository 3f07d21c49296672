"""Header of a received instance, and an instance as input of an analysis."""

from dataclasses import dataclass

from core.records.spatial import Lps


@dataclass(frozen=True, slots=True)
class InstanceHeader:
    """Attributes of one DICOM instance that the node stores beside the file.

    Text is decoded to str. A missing value is ``""`` or None, never a default. ``orientation``: row and column direction cosines
    (0020,0037); ``position``: LPS, mm (0020,0032). ``tolerated``: defects of the file, in words, in spite of which it was read.
    """

    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str
    transfer_syntax_uid: str
    patient_id: str = ""
    issuer_of_patient_id: str = ""
    patient_name: str = ""
    patient_birth_date: str = ""
    patient_sex: str = ""
    accession_number: str = ""
    study_id: str = ""
    study_date: str = ""
    study_time: str = ""
    study_description: str = ""
    series_description: str = ""
    series_number: int | None = None
    modality: str = ""
    body_part_examined: str = ""
    image_type: tuple[str, ...] = ()
    frame_of_reference_uid: str = ""
    instance_number: int | None = None
    orientation: tuple[float, float, float, float, float, float] | None = None
    position: Lps | None = None
    pixel_spacing_mm: tuple[float, float] | None = None
    slice_thickness_mm: float | None = None
    convolution_kernel: str = ""
    rows: int | None = None
    columns: int | None = None
    number_of_frames: int = 1
    series_related_instances: int | None = None  # (0020,1209)
    timezone_offset: str = ""  # "+0100"; "" where the source gives none
    character_set: tuple[str, ...] = ()
    tolerated: tuple[str, ...] = ()
    made_by_dicom_node: bool = False  # by this installation or another


@dataclass(frozen=True, slots=True)
class UnitInput:
    """One instance of a unit for a worker: its identity and the path of its file."""

    sop_instance_uid: str
    sop_class_uid: str
    sha256: str
    path: str
