"""Creates a synthetic chest CT series as DICOM, with nodules of known size and position."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

from core.records import Lps
from core.uids import IMPLEMENTATION_CLASS_UID
from deploy.demo.synthetic.anatomy import ChestGrid, NoduleSphere, draw_chest
from deploy.demo.synthetic.lungs import lung_depth
from deploy.demo.synthetic.uids import synthetic_uid
from imaging.headers.identity import Identity

_INTERCEPT = -1024
_FIELD_MM = 358.0


@dataclass(frozen=True, slots=True)
class ChestNodule:
    """A nodule in the series: centre in LPS mm, diameter in mm, density in HU."""

    position_mm: Lps
    diameter_mm: float
    hu: float


@dataclass(frozen=True, slots=True)
class Chest:
    """A series before it is written.

    Attributes
    ----------
    hu
        (Z, Y, X) int16, feet to head.
    nodules
        Its nodules.
    spacing_mm
        (z, y, x).
    origin_mm
        LPS of the centre of voxel (0, 0, 0).
    """

    seed: int
    hu: NDArray[np.int16]
    nodules: tuple[ChestNodule, ...]
    spacing_mm: tuple[float, float, float]
    origin_mm: Lps


def synthetic_identity(seed: int, *, name: str = "Synthetic^Chest", sex: str = "O") -> Identity:
    """Return a synthetic patient with one study."""
    return Identity(
        patient_id=f"SYN-{seed:06d}",
        study_instance_uid=synthetic_uid(seed, "study"),
        patient_name=name,
        issuer_of_patient_id="dicom-node synthetic",
        patient_birth_date="19600101",
        patient_sex=sex,
        patient_age="066Y",
        accession_number=f"SYN{seed:08d}",
        study_id=str(seed),
        study_date="20260102",
        study_time="101500",
        study_description="Synthetic chest CT",
        timezone_offset="+0000",
    )


def make_chest(
    seed: int,
    *,
    slices: int = 120,
    size: int = 512,
    slice_mm: float = 3.0,
    pixel_mm: float | None = None,
    diameters_mm: Sequence[float] = (6.0, 8.0, 12.0, 18.0),
) -> Chest:
    """Make a chest.

    Parameters
    ----------
    seed
        The same seed and sizes give the same bytes.
    slices, size
        Z, and Y = X.
    slice_mm, pixel_mm
        Spacing; by default the field of view is 358 mm.
    diameters_mm
        One solid nodule each, wholly inside a lung, apart from each other.

    Raises
    ------
    ValueError
        A nodule does not fit into this chest.
    """
    grid = ChestGrid(slices, size, slice_mm, pixel_mm if pixel_mm is not None else _FIELD_MM / size)
    rng = np.random.default_rng([seed, slices, size])
    spheres = _place_nodules(grid, rng, diameters_mm)
    hu = draw_chest(grid, rng, spheres)
    origin = float(grid.x_mm()[0]), float(grid.x_mm()[0]), float(grid.z_mm()[0])
    nodules = tuple(ChestNodule(sphere.centre_mm, sphere.diameter_mm, sphere.hu) for sphere in spheres)
    return Chest(seed, hu, nodules, (slice_mm, grid.pixel_mm, grid.pixel_mm), origin)


def _place_nodules(grid: ChestGrid, rng: np.random.Generator, diameters_mm: Sequence[float]) -> tuple[NoduleSphere, ...]:
    spheres: list[NoduleSphere] = []
    for diameter in sorted(diameters_mm, reverse=True):
        for _ in range(4000):
            point = rng.uniform(-0.42, 0.42, 3) * (grid.field_mm, grid.field_mm, grid.length_mm)
            if not _fits(grid, point, diameter / 2 + 2.0):
                continue
            if any(np.linalg.norm(point - b.centre_mm) < (diameter + b.diameter_mm) / 2 + 15.0 for b in spheres):
                continue
            x, y, z = (round(float(v), 2) for v in point)
            spheres.append(NoduleSphere((x, y, z), float(diameter), float(rng.uniform(20, 70))))
            break
        else:
            raise ValueError(f"no space for a nodule of {diameter} mm in this chest")
    return tuple(spheres)


def _fits(grid: ChestGrid, point: NDArray[np.float64], reach_mm: float) -> bool:
    """Whether a sphere of this radius around the point (mm) is inside a lung; its poles and its centre are tested."""
    offsets = np.concatenate([np.zeros((1, 3)), np.eye(3) * reach_mm, -np.eye(3) * reach_mm])
    x, y, z = ((point + offsets) / (grid.field_mm, grid.field_mm, grid.length_mm)).astype(np.float32).T
    return bool((lung_depth(x, y, z + np.float32(0.5)) > 0.5 * grid.pixel_mm / grid.field_mm).all())


def chest_datasets(chest: Chest, *, identity: Identity | None = None) -> Iterator[FileDataset]:
    """Yield the series as CT images, Explicit VR Little Endian, from the head to the feet, as scanners number them."""
    patient = identity or synthetic_identity(chest.seed)
    slices = len(chest.hu)
    for number, index in enumerate(reversed(range(slices)), start=1):
        yield _ct_image(chest, patient, index, number)


def write_chest(folder: Path, chest: Chest, *, identity: Identity | None = None) -> list[Path]:
    """Write the series to ``folder`` as 0001.dcm, 0002.dcm, ...; return the paths in the order of instance numbers."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for ds in chest_datasets(chest, identity=identity):
        paths.append(folder / f"{ds.InstanceNumber:04d}.dcm")
        ds.save_as(paths[-1], enforce_file_format=True)
    return paths


def _ct_image(chest: Chest, patient: Identity, index: int, number: int) -> FileDataset:
    seed, (dz, dy, dx) = chest.seed, chest.spacing_mm
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = UID(synthetic_uid(seed, "instance", number))
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    ds = FileDataset("", Dataset(), preamble=b"\0" * 128, file_meta=meta)
    patient.write(ds)
    ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.Modality, ds.Manufacturer, ds.ManufacturerModelName = "CT", "dicom-node synthetic", "Synthetic chest"
    ds.SeriesInstanceUID, ds.SeriesNumber, ds.SeriesDescription = synthetic_uid(seed, "series"), 2, f"Synthetic chest {dz:g} mm"
    ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = patient.study_date
    ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = patient.study_time
    ds.BodyPartExamined, ds.PatientPosition = "CHEST", "HFS"
    ds.SliceThickness, ds.KVP, ds.ConvolutionKernel = f"{dz:g}", "120", "B60f"
    ds.GantryDetectorTilt, ds.RotationDirection = "0", "CW"
    ds.FrameOfReferenceUID, ds.PositionReferenceIndicator = synthetic_uid(seed, "frame-of-reference"), ""
    ds.AcquisitionNumber, ds.InstanceNumber = 1, number
    x, y, z = chest.origin_mm
    ds.ImagePositionPatient = [f"{x:.6g}", f"{y:.6g}", f"{z + index * dz:.6g}"]
    ds.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    ds.SliceLocation = f"{z + index * dz:.6g}"
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = chest.hu.shape[1:]
    ds.PixelSpacing = [f"{dy:.9g}", f"{dx:.9g}"]
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = str(_INTERCEPT), "1", "HU"
    ds.WindowCenter, ds.WindowWidth = ["-600", "40"], ["1500", "400"]
    ds.PixelData = (chest.hu[index].astype(np.int32) - _INTERCEPT).astype("<u2").tobytes()
    ds["PixelData"].VR = "OW"
    return ds
