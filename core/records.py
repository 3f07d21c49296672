"""What passes between the stages. Frozen, slotted, valid once built; no dicts between stages.

Positions are DICOM patient coordinates: LPS, millimetres (PS3.3 C.7.6.2.1.1).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from core.states import ModelState, Origin, Outcome, ReportKind, Tier

Lps = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Code:
    """A coded concept (PS3.3 8.8): value, scheme designator (SCT, DCM, LN, UCUM, 99DCMNODE), meaning."""

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True, slots=True)
class InstanceHeader:
    """What the node keeps of one DICOM instance beside its bytes.

    Text is decoded to str; a missing value is ``""`` or None, never invented.
    ``orientation``: row then column direction cosines (0020,0037); ``position``: LPS mm (0020,0032).
    ``tolerated`` says in words what was wrong with the file and read all the same.
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
    series_related_instances: int | None = None  # (0020,1209), a hint of the expected count
    timezone_offset: str = ""  # "+0100"; "" where the source gives none
    character_set: tuple[str, ...] = ()
    tolerated: tuple[str, ...] = ()
    made_by_dicom_node: bool = False  # by this installation or another


@dataclass(frozen=True, slots=True)
class Measurement:
    """One measured value: ``name`` coded, ``unit`` a UCUM code."""

    name: Code
    value: float
    unit: Code


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One judgement in words: what was judged, and the answer, both coded."""

    name: Code
    value: Code


@dataclass(frozen=True, slots=True)
class Mask:
    """Which voxels a finding covers: a box on the unit's own grid, packed.

    ``origin`` and ``shape`` are (z, y, x) in voxels of the volume as it was read; of a photograph z is 0 and the depth 1.
    ``bits`` is numpy.packbits of the box in C order. ``imaging.masks`` packs and unpacks.
    """

    origin: tuple[int, int, int]
    shape: tuple[int, int, int]
    bits: bytes = field(repr=False)

    def __post_init__(self) -> None:
        voxels = self.shape[0] * self.shape[1] * self.shape[2]
        if min(self.shape) < 1 or min(self.origin) < 0 or len(self.bits) != (voxels + 7) // 8:
            raise ValueError(f"a mask of {self.shape} at {self.origin} has {(voxels + 7) // 8} bytes of bits, not {len(self.bits)}")


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Where the evidence for an answer is: 0..1 in 255 steps on a regular grid along the unit's own axes.

    ``values`` is uint8 of ``shape`` (z, y, x) in C order, 255 for 1. Value (k, j, i) lies at the unit's voxel
    ``origin + step * (k, j, i)`` (fractions of voxels, centres). ``meaning`` says in words what is mapped.
    """

    shape: tuple[int, int, int]
    origin: tuple[float, float, float]
    step: tuple[float, float, float]
    meaning: str
    values: bytes = field(repr=False)

    def __post_init__(self) -> None:
        voxels = self.shape[0] * self.shape[1] * self.shape[2]
        if min(self.shape) < 1 or min(self.step) <= 0 or len(self.values) != voxels:
            raise ValueError(f"a heat map of {self.shape} has {voxels} bytes of values, not {len(self.values)}")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing a model says.

    ``probability`` is None where the model only gives a ``score`` that nothing has calibrated.
    ``position_mm`` is LPS; ``sop_instance_uid`` names the image the finding is seen on (``frame`` from 1).
    ``image_point`` is (column, row) on that image in pixels, PS3.3 C.18.6 (1,1 the centre of the first
    pixel is at 0.5, 0.5). ``bounding_radius_mm`` half the diameter where there is one.
    """

    label: str
    code: Code
    probability: float | None = None
    score: float | None = None
    tier: Tier = Tier.UNCERTAIN
    position_mm: Lps | None = None
    diameter_mm: float | None = None
    sop_instance_uid: str = ""
    frame: int | None = None
    image_point: tuple[float, float] | None = None
    measurements: tuple[Measurement, ...] = ()
    site: Code | None = None
    mask: Mask | None = None
    evaluations: tuple[Evaluation, ...] = ()


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model says of one unit.

    ``probabilities`` holds every class (calibrated) for a classifier, and is empty for a detector.
    ``looked_for`` is the sentence that a report without findings states: what, at what size, at what
    operating point. ``reason`` says why, where the outcome is abstained or not_analysed.
    """

    outcome: Outcome
    findings: tuple[Finding, ...] = ()
    probabilities: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""
    looked_for: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """Which model said it. ``digest`` is the pipeline digest: weights + card + pre/post version (sha256 hex)."""

    name: str
    version: str
    digest: str
    title: str
    manufacturer: str
    status: str
    not_for: str  # the sentence what it is not for


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """One pipeline digest as the registry knows it. ``activated``: it has been the active one at some time."""

    name: str
    version: str
    digest: str
    state: ModelState
    origin: Origin
    activated: bool


@dataclass(frozen=True, slots=True)
class UnitInput:
    """One instance of a unit, as a worker sees it: identity and where the bytes are."""

    sop_instance_uid: str
    sop_class_uid: str
    sha256: str
    path: str


@dataclass(frozen=True, slots=True)
class ReportObject:
    """An encoded result object, ready to be kept and delivered. ``content`` is a whole Part 10 file."""

    kind: ReportKind
    profile: str
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why a unit was taken to be complete, in words that a person can check."""

    rule: str  # "commitment_request", "expected_count", "released", "quiet", "photograph", "max_wait"
    reason: str
    at: datetime
    held: int
    expected: int | None = None
