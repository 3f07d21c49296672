"""The data sets that are damaged: small real files of every transfer syntax and character set, and synthetic objects."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pydicom

from deploy.demo.synthetic.chest import make_chest, write_chest
from deploy.demo.synthetic.lesion import lesion_dataset
from tests.support.enhanced_ct import enhanced_ct
from tests.support.series import encoded, image
from tests.support.transcode import LOSSLESS, transcode

LARGEST_BYTES = 600_000
LITTLE = "1.2.840.10008.1.2"


@dataclass(frozen=True, slots=True)
class Seed:
    """A data set as it is sent over an association. ``data_set`` starts after the file meta information."""

    name: str
    sop_class: str
    sop_instance: str
    syntax: str
    data_set: bytes


def own_seeds() -> Iterator[Seed]:
    """Yield synthetic data sets, which need no data folder."""
    grey = image(side=32)
    for name in LOSSLESS:
        yield read_seed(f"ct-{name}", encoded(transcode(grey, name)))
    photograph = io.BytesIO()
    lesion_dataset(7, size=(96, 128)).save_as(photograph, enforce_file_format=True)
    yield read_seed("photograph", photograph.getvalue())
    yield read_seed("enhanced", encoded(enhanced_ct(make_chest(5, slices=6, size=32, pixel_mm=8.0, diameters_mm=()))))


def conformance_seeds(data: Path | None) -> Iterator[Seed]:
    """Yield the conformance files of the data folder."""
    for path in sorted((data / "conformance").rglob("*")) if data is not None else ():
        if path.is_file() and path.stat().st_size <= LARGEST_BYTES:
            try:
                yield read_seed(path.name, path.read_bytes())
            except ValueError:
                yield Seed(path.name, "1.2.840.10008.5.1.4.1.1.2", "1.2.3", LITTLE, path.read_bytes())


def read_seed(name: str, content: bytes) -> Seed:
    """Return the data set of a Part 10 file. Raises ValueError where it is not one."""
    stream = io.BytesIO(content)
    stream.seek(132)
    if content[128:132] != b"DICM":
        raise ValueError(f"{name} is not a Part 10 file")
    meta = pydicom.filereader._read_file_meta_info(stream)
    uids = [str(meta.get(keyword, "")) for keyword in ("MediaStorageSOPClassUID", "MediaStorageSOPInstanceUID", "TransferSyntaxUID")]
    return Seed(name, uids[0] or "1.2.840.10008.5.1.4.1.1.2", uids[1] or "1.2.3", uids[2] or LITTLE, content[stream.tell() :])


def chest_series(folder: Path, slices: int = 12) -> list[Path]:
    """Write a small CT series; return its files."""
    return write_chest(folder, make_chest(3, slices=slices, size=32, pixel_mm=8.0, diameters_mm=()))
