"""Generates the studies to send: photographs and short CT series, from real images where the data folder exists."""

import csv
import hashlib
import io
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pydicom
from pydicom.dataset import FileDataset

from deploy.demo.synthetic.chest import make_chest, write_chest
from deploy.demo.synthetic.lesion import lesion_identity, make_lesion
from deploy.demo.synthetic.uids import synthetic_uid
from imaging.photograph.encapsulate import jpeg_to_dicom
from tests.support.real_data import data_folder

PHOTOGRAPHS, SLICES = 40, 6
EVERY_NTH_IS_CT = 10
CT_SERIES = "cptac-C3N-00247-lung3.0-B70f"


@dataclass(frozen=True, slots=True)
class SentInstance:
    """A file to send, and the SHA-256 of its data set."""

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Study:
    """One unit: a photograph or one series."""

    uid: str
    instances: tuple[SentInstance, ...]


class StudyGenerator:
    """Generates studies. The same seed and number give the same study."""

    def __init__(self, folder: Path, seed: int, *, every_nth_is_ct: int = EVERY_NTH_IS_CT) -> None:
        self._folder, self._seed, self._every = folder, seed, every_nth_is_ct
        folder.mkdir(parents=True)
        data = data_folder()
        self.real = data is not None
        self._jpegs = (
            _photographs(data) if data is not None else [make_lesion(number, size=(150, 200)).jpeg for number in range(PHOTOGRAPHS)]
        )
        self._slices: Sequence[Path] = _adjacent_slices(data) if data is not None else _synthetic_slices(folder / "chest")

    def study(self, number: int) -> Study:
        """Return the study of that number; every tenth, or as given, is a CT series."""
        return self.series_study(number) if number % self._every == self._every - 1 else self._study(number, [self._photograph(number)])

    def series_study(self, number: int) -> Study:
        """Return a study of that number that is a CT series."""
        return self._study(number, self._series(number))

    def _study(self, number: int, made: Sequence[FileDataset]) -> Study:
        uid = synthetic_uid("chaos", self._seed, number, "study")
        instances = []
        for index, dataset in enumerate(made):
            dataset.StudyInstanceUID = uid
            instances.append(_write(dataset, self._folder / f"{number:06d}-{index}.dcm"))
        return Study(uid, tuple(instances))

    def _photograph(self, number: int) -> FileDataset:
        uids = [synthetic_uid("chaos", self._seed, number, level) for level in ("series", "instance")]
        return jpeg_to_dicom(
            self._jpegs[number % len(self._jpegs)],
            identity=lesion_identity(self._seed * 100_000 + number),
            series_instance_uid=uids[0],
            sop_instance_uid=uids[1],
        )

    def _series(self, number: int) -> list[FileDataset]:
        made = []
        for index, path in enumerate(self._slices):
            dataset = pydicom.dcmread(path)
            dataset.PatientID, dataset.AccessionNumber = f"CHEST-{number}", f"CT{number:08d}"
            dataset.SeriesInstanceUID = synthetic_uid("chaos", self._seed, number, "series")
            dataset.SOPInstanceUID = synthetic_uid("chaos", self._seed, number, "instance", index)
            dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
            made.append(dataset)
        return made


def _photographs(data: Path) -> list[bytes]:
    """Return JPEGs of HAM10000."""
    with (data / "dermoscopy" / "index.csv").open(newline="") as lines:
        names = [
            f"{row['image_id']}.jpg"
            for row in islice((r for r in csv.DictReader(lines) if r["archive"] == "ham10000-224.tar"), PHOTOGRAPHS)
        ]
    with tarfile.open(data / "dermoscopy" / "ham10000-224.tar") as tar:
        files = [tar.extractfile(name) for name in names]
        return [file.read() for file in files if file is not None]


def _adjacent_slices(data: Path) -> list[Path]:
    """Return adjacent slices from the middle of a chest."""
    heights = {}
    for path in (data / "ct" / CT_SERIES).glob("*.dcm"):
        heights[path] = float(pydicom.dcmread(path, specific_tags=["ImagePositionPatient"]).ImagePositionPatient[2])
    middle = len(heights) // 2
    return sorted(heights, key=heights.__getitem__)[middle : middle + SLICES]


def _synthetic_slices(folder: Path) -> list[Path]:
    return write_chest(folder, make_chest(1, slices=SLICES * 2, size=64, slice_mm=5.0, diameters_mm=(14.0,)))[:SLICES]


def _write(dataset: FileDataset, path: Path) -> SentInstance:
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    path.write_bytes(buffer.getvalue())
    syntax = str(dataset.file_meta.TransferSyntaxUID)
    return SentInstance(path, str(dataset.SOPClassUID), str(dataset.SOPInstanceUID), syntax, data_set_hash(buffer.getvalue()))


def data_set_hash(content: bytes) -> str:
    """Return the SHA-256 of the data set of a Part 10 file, without preamble and file meta information."""
    stream = io.BytesIO(content)
    pydicom.filereader.read_preamble(stream, False)
    pydicom.filereader._read_file_meta_info(stream)
    return hashlib.sha256(content[stream.tell() :]).hexdigest()
