"""Writes made-up chest volumes and nodules in the layout of the data folder's ``ct-volumes`` and ``ct-nodule-crops``."""

import csv
import json
import zlib
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np

SPACING_MM = (3.0, 2.0, 2.0)
VOLUMES = ("LIDC-IDRI-9001", "QIN-LSC-9002")
TUMOUR = (17.0, 40.0, 36.0)  # native (z, y, x) of a ball of 16 mm in the second volume
EDGE = 64


def small_chest() -> np.ndarray:
    """(Z, Y, X) HU at 3 x 2 x 2 mm: two lungs of 0.25 l each with a vessel, and noise. Small, because every test runs at 1 mm."""
    rng = np.random.default_rng(1)
    z, y, x = np.ogrid[-51:51:3, -80:80:2, -115:115:2]
    hu = np.full((34, 80, 115), -1000.0)
    hu[np.broadcast_to((y / 76) ** 2 + (x / 110) ** 2 < 1, hu.shape)] = 40
    for side in (-42, 42):
        hu[(z / 45) ** 2 + (y / 40) ** 2 + ((x - side) / 36) ** 2 < 1] = -850
        hu[np.broadcast_to(((x - side) / 5) ** 2 + ((y - 12) / 5) ** 2 < 1, hu.shape)] = 40  # a vessel along z
    return (hu + rng.normal(0, 15, hu.shape)).astype(np.int16)


def write_lung_folder(data: Path, nodules: int = 8) -> Path:
    """Two volumes, one with a marked tumour, and ``nodules`` balls of 5 to 12 mm of as many patients."""
    chest = small_chest()
    z, y, x = np.ogrid[: chest.shape[0], : chest.shape[1], : chest.shape[2]]
    tumour = chest.copy()
    tumour[((z - TUMOUR[0]) * 3) ** 2 + ((y - TUMOUR[1]) * 2) ** 2 + ((x - TUMOUR[2]) * 2) ** 2 < 8**2] = 40
    volumes = data / "ct-volumes"
    volumes.mkdir(parents=True)
    for name, hu in zip(VOLUMES, (chest, tumour), strict=True):
        slices = [bytes(imagecodecs.jpegls_encode((one + 1024).astype(np.uint16))) for one in hu]
        meta = json.dumps({"spacing_zyx": SPACING_MM})
        np.savez(volumes / f"{name}.npz", codestream=_bytes(b"".join(slices)), offsets=_offsets(slices), meta=meta)
    mark = {"patient": VOLUMES[1], "diameter_mm": 16.0, "crop_k": TUMOUR[0], "crop_j": TUMOUR[1], "crop_i": TUMOUR[2]}
    _write_csv(volumes / "annotations.csv", [mark])
    _write_crops(data / "ct-nodule-crops", nodules)
    return data


def _write_crops(folder: Path, count: int) -> None:
    folder.mkdir()
    stacks: list[bytes] = []
    packed: list[bytes] = []
    rows: list[dict[str, Any]] = []
    for number in range(count):
        diameter = 5.0 + number
        z, y, x = np.ogrid[-6:7, :EDGE, :EDGE]
        inside = (z * 1.5) ** 2 + ((y - 32) * 0.7) ** 2 + ((x - 32) * 0.7) ** 2 <= (diameter / 2) ** 2
        inside = inside[inside.any(axis=(1, 2))]
        hu = np.where(inside, 30 if number % 4 else -600, -860)
        stacks.append(bytes(imagecodecs.jpegls_encode(((hu + 1024) // 6).astype(np.uint8).reshape(-1, EDGE))))
        packed.append(np.packbits(inside).tobytes())
        rows.append(
            {
                "patient": f"LIDC-IDRI-8{number:03d}", "n_slices": len(inside), "pixel_mm": 0.7, "slice_spacing_mm": 1.5,
                "diameter_mm": diameter, "malignancy_median": 3.0, "texture_median": 5.0 if number % 4 else 1.0,
            }
        )  # fmt: skip
    np.savez(
        folder / "lidc_nodule_stacks.npz", codestream=_bytes(b"".join(stacks)), offsets=_offsets(stacks),
        masks_zlib=_bytes(zlib.compress(b"".join(packed))), mask_offsets=_offsets(packed),
    )  # fmt: skip
    _write_csv(folder / "lidc_nodule_stacks_index.csv", rows)


def _bytes(data: bytes) -> np.ndarray:
    return np.frombuffer(data, np.uint8)


def _offsets(parts: list[bytes]) -> np.ndarray:
    return np.cumsum([0, *map(len, parts)])


def _write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
