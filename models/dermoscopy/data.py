"""HAM10000 as arrays: decoded once, split by lesion."""

import csv
import hashlib
import io
import json
import tarfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from core.errors import ModelError
from models.dermoscopy.preprocess import INPUT_PX, prepare, to_common_grid, to_input

CLASSES = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
FINE_ARCHIVE = "ham10000-224.tar"
COARSE_ARCHIVE = "ham10000-rest-200x150.tar"
VALIDATION_SHARE = 0.18
JPEG_QUALITY = 75  # of the coarse archive, from its quantisation tables


@dataclass(frozen=True, slots=True)
class Row:
    """One line of index.csv."""

    image_id: str
    archive: str
    lesion_id: str
    dx: str


@dataclass(frozen=True, slots=True)
class LesionImages:
    """``pixels`` (N, 2, 128, 128, 3) uint8; second axis: as served, and recompressed like the coarse archive.

    ``labels`` (N,) index into CLASSES; ``coarse`` (N,) bool; ``validation`` (N,) bool.
    """

    rows: tuple[Row, ...]
    pixels: np.ndarray
    labels: np.ndarray
    coarse: np.ndarray
    validation: np.ndarray


def read_index(data: Path) -> tuple[Row, ...]:
    """Rows of ``data``/dermoscopy/index.csv. Raises ModelError where the file is absent."""
    path = data / "dermoscopy" / "index.csv"
    if not path.is_file():
        raise ModelError(f"no {path}", hint="name the data folder with --data or DICOM_NODE_DATA")
    with path.open(newline="") as lines:
        return tuple(Row(r["image_id"], r["archive"], r["lesion_id"], r["dx"]) for r in csv.DictReader(lines))


def validation_lesions(rows: Sequence[Row], seed: int) -> frozenset[str]:
    """Lesions held out: the same share of every class, chosen by hash, so that the split does not depend on row order."""
    by_class: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        by_class[row.dx].add(row.lesion_id)
    held: set[str] = set()
    for lesions in by_class.values():
        ordered = sorted(lesions, key=lambda lesion: hashlib.sha256(f"{seed}:{lesion}".encode()).digest())
        held.update(ordered[: round(len(ordered) * VALIDATION_SHARE)])
    return frozenset(held)


def read_jpegs(data: Path, rows: Sequence[Row]) -> dict[str, bytes]:
    """JPEG bytes by image id, each archive read once from front to back."""
    wanted = {row.image_id for row in rows}
    found: dict[str, bytes] = {}
    for name in sorted({row.archive for row in rows}):
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


def decode(jpeg: bytes, *, coarse: bool) -> np.ndarray:
    """(2, 128, 128, 3) uint8: as served, and through the coarse archive's compression."""
    rgb = np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB"))
    served = prepare(rgb)
    if coarse:
        return np.stack([served, served])
    buffer = io.BytesIO()
    to_common_grid(rgb).save(buffer, "JPEG", quality=JPEG_QUALITY)
    return np.stack([served, to_input(Image.open(buffer).convert("RGB"))])


def first_of_each(rows: Sequence[Row], count: int) -> tuple[Row, ...]:
    """The first ``count`` rows of every class."""
    counts: dict[str, int] = defaultdict(int)
    chosen = []
    for row in rows:
        counts[row.dx] += 1
        if counts[row.dx] <= count:
            chosen.append(row)
    return tuple(chosen)


def load(data: Path, cache: Path, rows: Sequence[Row], held: frozenset[str], *, report: Callable[[str], None]) -> LesionImages:
    """The images of ``rows`` as one array, kept as ``cache``/pixels.npy and mapped from there on later runs.

    ``held``: the lesions whose images are for validation only.
    """
    path, index = cache / "pixels.npy", cache / "pixels.json"
    ids = [row.image_id for row in rows]
    if not (index.is_file() and json.loads(index.read_text()) == ids):
        report(f"decoding {len(rows)} images into {path}")
        jpegs = read_jpegs(data, rows)
        array = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(len(rows), 2, INPUT_PX, INPUT_PX, 3))
        for i, row in enumerate(rows):
            array[i] = decode(jpegs[row.image_id], coarse=row.archive == COARSE_ARCHIVE)
        array.flush()
        index.write_text(json.dumps(ids))
    return LesionImages(
        rows=tuple(rows),
        pixels=np.load(path, mmap_mode="r"),
        labels=np.array([CLASSES.index(row.dx) for row in rows]),
        coarse=np.array([row.archive == COARSE_ARCHIVE for row in rows]),
        validation=np.array([row.lesion_id in held for row in rows]),
    )
