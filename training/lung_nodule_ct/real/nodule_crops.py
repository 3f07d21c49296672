"""Reads the real nodules of the data folder (``ct-nodule-crops``): HU and the readers' consensus mask on the slices of each nodule."""

import csv
import zlib
from dataclasses import dataclass
from pathlib import Path

import imagecodecs
import numpy as np
import numpy.typing as npt

from core.errors import NotAnalysable
from imaging.ndimage import ndimage
from models.ct.isotropic_grid import Spacing
from models.lung_nodule_ct.candidates import Bools

FOLDER, ARCHIVE, INDEX = "ct-nodule-crops", "lidc_nodule_stacks.npz", "lidc_nodule_stacks_index.csv"
EDGE = 64  # pixels of a slice
HU_STEP, HU_OFFSET = 6, 1024
FOLDS = 2


@dataclass(frozen=True, slots=True)
class RealNodule:
    """``hu`` int16 and ``mask`` bool (Z, 64, 64), ``spacing_mm`` (z, y, x), diameter in mm, and the median of the readers' ratings.

    ``malignancy``: 1 (unlikely) to 5 (likely), as the readers judged the image; ``texture``: 1 (ground glass) to 5 (solid). ``row``: of
    the index, from 0.
    """

    patient: str
    hu: npt.NDArray[np.int16]
    mask: Bools
    spacing_mm: Spacing
    diameter_mm: float
    malignancy: float
    texture: float
    row: int = -1

    @property
    def kind(self) -> str:
        """Density in the words of the detector."""
        return "solid" if self.texture >= 4.0 else "part_solid" if self.texture >= 2.5 else "ground_glass"

    def dense_surroundings(self) -> float:
        """Share of tissue in the 3 mm beside the nodule in its slices: large on the pleura and on vessels."""
        plane = (self.spacing_mm[1], self.spacing_mm[2])
        inside = self.mask.any(axis=(1, 2))
        outside_mm = np.stack([ndimage.distance_transform_edt(~one, sampling=plane) for one in self.mask[inside]])
        ring = self.hu[inside][(outside_mm > 1.0) & (outside_mm <= 4.0)]
        return float((ring > -500).mean()) if len(ring) else 0.0


def read_nodules(data: Path) -> list[RealNodule]:
    """All nodules of ``data/ct-nodule-crops``. Raises NotAnalysable where they are not there."""
    folder = data / FOLDER
    if not (folder / ARCHIVE).is_file():
        raise NotAnalysable("no real nodules were found", hint=f"the data folder must hold {FOLDER}/{ARCHIVE} and its index")
    with np.load(folder / ARCHIVE, allow_pickle=False) as archive:
        offsets, mask_offsets = archive["offsets"], archive["mask_offsets"]
        stream, masks = archive["codestream"].tobytes(), zlib.decompress(archive["masks_zlib"].tobytes())
    found = []
    with (folder / INDEX).open(newline="", encoding="utf-8") as file:
        for number, row in enumerate(csv.DictReader(file)):
            count = int(row["n_slices"])
            steps = imagecodecs.jpegls_decode(stream[offsets[number] : offsets[number + 1]]).reshape(count, EDGE, EDGE)
            packed = np.frombuffer(masks[mask_offsets[number] : mask_offsets[number + 1]], np.uint8)
            found.append(
                RealNodule(
                    row["patient"], steps.astype(np.int16) * HU_STEP - HU_OFFSET,
                    largest_part(np.unpackbits(packed)[: count * EDGE * EDGE].reshape(count, EDGE, EDGE).astype(bool)),
                    (float(row["slice_spacing_mm"]), float(row["pixel_mm"]), float(row["pixel_mm"])), float(row["diameter_mm"]),
                    float(row["malignancy_median"]), float(row["texture_median"]), number,
                )
            )  # fmt: skip
    return [nodule for nodule in found if nodule.mask.any()]  # of a few, the consensus is empty


def largest_part(mask: Bools) -> Bools:
    """The largest connected part: of 16 nodules the consensus has others, which move its centre by up to 10 mm."""
    labels, parts = ndimage.label(mask, np.ones((3, 3, 3)))
    largest: Bools = labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:])) if parts > 1 else mask
    return largest


def fold_of(patient: str) -> int:
    """The fold of a patient whose nodules are pasted: by a checksum of the name."""
    return zlib.crc32(patient.encode()) % FOLDS
