"""Reads HAM10000: the index, the archives of images and masks, and all of it as arrays that are decoded once."""

import csv
import io
import json
import tarfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from core.errors import ModelError
from models.dermoscopy.patient import Patient
from models.dermoscopy.preprocess import COMMON_PX, centre_square, common_square

CLASSES = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
FINE_ARCHIVE = "ham10000-224.tar"
COARSE_ARCHIVE = "ham10000-rest-200x150.tar"
MASKS_ARCHIVE = "ham10000-masks-200x150.tar"
JPEG_QUALITY = (45, 96)  # of the second copy, drawn for every image; the coarse archive has 75


@dataclass(frozen=True, slots=True)
class HamImage:
    """One line of index.csv."""

    image_id: str
    archive: str
    lesion_id: str
    dx: str
    patient: Patient = field(default_factory=Patient)


@dataclass(frozen=True, slots=True)
class LesionImages:
    """N images as arrays.

    ``pixels`` (N, 2, 150, 150, 3) uint8, second axis: as served, and compressed once more; ``masks`` (N, 150, 150) bool, the lesion on
    the same grid; ``patients`` (N, FACTS) float32; ``labels`` (N,) index into CLASSES; (N,) bool: ``coarse`` archive, ``validation``,
    ``aside`` (neither for training nor for validation).
    """

    rows: tuple[HamImage, ...]
    pixels: np.ndarray
    masks: np.ndarray
    patients: np.ndarray
    labels: np.ndarray
    coarse: np.ndarray
    validation: np.ndarray
    aside: np.ndarray

    @property
    def training(self) -> np.ndarray:
        """Indices of the training images."""
        return np.flatnonzero(~self.validation & ~self.aside)


def read_index(data: Path) -> tuple[HamImage, ...]:
    """Rows of ``data``/dermoscopy/index.csv. Raises ModelError where the file is absent."""
    path = data / "dermoscopy" / "index.csv"
    if not path.is_file():
        raise ModelError(f"no {path}", hint="give the data folder with --data or DICOM_NODE_DATA")
    with path.open(newline="") as lines:
        return tuple(HamImage(r["image_id"], r["archive"], r["lesion_id"], r["dx"], patient_of(r)) for r in csv.DictReader(lines))


def patient_of(line: Mapping[str, str]) -> Patient:
    """Age, sex and site of one line of the index; empty fields are unknown."""
    age = float(line["age"]) if line.get("age") else None
    sex = {"male": "M", "female": "F"}.get(line.get("sex", ""), "")
    return Patient(age, sex, line.get("localization", ""))


def read_files(data: Path, names: Iterable[str], wanted: Set[str]) -> dict[str, bytes]:
    """The files called ``wanted`` (without suffix) from the archives ``names``, each read once from front to back.

    Raises ModelError where a file is missing.
    """
    found: dict[str, bytes] = {}
    for name in names:
        if not (data / "dermoscopy" / name).is_file():
            raise ModelError(f"no {data / 'dermoscopy' / name}", hint="give the data folder with --data or DICOM_NODE_DATA")
        with tarfile.open(data / "dermoscopy" / name) as archive:
            for member in archive:
                key = Path(member.name).stem
                stream = archive.extractfile(member) if key in wanted else None
                if stream is not None:
                    found[key] = stream.read()
    missing = wanted - found.keys()
    if missing:
        raise ModelError(f"{len(missing)} of {len(wanted)} images of index.csv are not in the archives")
    return found


def read_jpegs(data: Path, rows: Sequence[HamImage]) -> dict[str, bytes]:
    """JPEG bytes by image id."""
    return read_files(data, sorted({row.archive for row in rows}), {row.image_id for row in rows})


def decode_image(jpeg: bytes, image_id: str) -> np.ndarray:
    """(2, 150, 150, 3) uint8: as served, and compressed once more."""
    return with_recompressed_copy(common_square(np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB"))), image_id)


def with_recompressed_copy(square: np.ndarray, name: str) -> np.ndarray:
    """(2, Y, X, 3) uint8: the square, and the square compressed as JPEG with a quality drawn from the image's name.

    Images of all sources get the second copy, so that neither the quality nor a second compression reveals the source.
    """
    quality = np.random.default_rng(zlib.crc32(name.encode())).integers(*JPEG_QUALITY)
    buffer = io.BytesIO()
    Image.fromarray(square).save(buffer, "JPEG", quality=int(quality))
    return np.stack([square, np.asarray(Image.open(buffer).convert("RGB"))])


def decode_mask(png: bytes) -> np.ndarray:
    """(150, 150) bool: the lesion in the centre square of the frame."""
    return centre_square(np.asarray(Image.open(io.BytesIO(png)).convert("L"))[..., None])[..., 0] > 127


def first_of_each(rows: Sequence[HamImage], count: int) -> tuple[HamImage, ...]:
    """The first ``count`` rows of every class."""
    counts: dict[str, int] = defaultdict(int)
    chosen = []
    for row in rows:
        counts[row.dx] += 1
        if counts[row.dx] <= count:
            chosen.append(row)
    return tuple(chosen)


def load_images(
    data: Path,
    cache: Path,
    rows: Sequence[HamImage],
    held: frozenset[str],
    aside: frozenset[str] = frozenset(),
    *,
    report: Callable[[str], None],
) -> LesionImages:
    """The images of ``rows`` as arrays, decoded into ``cache`` and memory-mapped from there on later runs.

    ``held``: lesions for validation only; ``aside``: lesions for neither training nor validation.
    """
    path, masks, index = cache / "pixels-150.npy", cache / "masks-150.npy", cache / "pixels-150.json"
    ids = [row.image_id for row in rows]
    made = {"quality": list(JPEG_QUALITY), "images": ids}
    if not (index.is_file() and json.loads(index.read_text()) == made):
        report(f"decoding {len(rows)} images into {path}")
        jpegs, pngs = read_jpegs(data, rows), read_files(data, (MASKS_ARCHIVE,), set(ids))
        shape = (len(rows), COMMON_PX, COMMON_PX)
        pixels = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(shape[0], 2, *shape[1:], 3))
        outlines = np.lib.format.open_memmap(masks, mode="w+", dtype=np.bool_, shape=shape)
        for i, row in enumerate(rows):
            pixels[i] = decode_image(jpegs[row.image_id], row.image_id)
            outlines[i] = decode_mask(pngs[row.image_id])
        pixels.flush()
        outlines.flush()
        index.write_text(json.dumps(made))
    return LesionImages(
        rows=tuple(rows),
        pixels=np.load(path, mmap_mode="r"),
        masks=np.load(masks, mmap_mode="r"),
        patients=np.stack([row.patient.facts() for row in rows]),
        labels=np.array([CLASSES.index(row.dx) for row in rows]),
        coarse=np.array([row.archive == COARSE_ARCHIVE for row in rows]),
        validation=np.array([row.lesion_id in held for row in rows]),
        aside=np.array([row.lesion_id in aside for row in rows]),
    )
