"""Provides what the demo sends: a chest CT series and dermoscopy images, real ones where they are found, else synthetic ones."""

import csv
import io
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pydicom
from PIL import Image
from pydicom.dataset import Dataset

from core.errors import ConfigurationError, NodeError, PixelError
from core.states import UnitKind
from deploy.demo.synthetic.chest import make_chest, write_chest
from deploy.demo.synthetic.lesion import lesion_dataset
from deploy.demo.synthetic.uids import synthetic_uid
from deploy.offline.units import gather_units
from imaging.headers.identity import Identity
from imaging.photograph.encapsulate import jpeg_to_dicom
from models import registry

CT_SERIES = "cptac-C3N-00247-lung3.0-B70f"
HAM10000_ARCHIVE = "ham10000-224.tar"
MAXIMUM_IMAGES = 24
SYNTHETIC_SEED = 20
SYNTHETIC_LESIONS = 6


@dataclass(frozen=True, slots=True)
class DemoInput:
    """Files to send.

    Attributes
    ----------
    name, source
        What they are and where they are from, in words.
    real
        False for synthetic images.
    units
        UIDs of the units of analysis: of series, or of single images.
    truth
        UID of a unit -> what is known of it, in words.
    """

    name: str
    real: bool
    source: str
    files: tuple[Path, ...]
    units: frozenset[str]
    truth: Mapping[str, str]


def data_folder() -> Path | None:
    """Return ``$DICOM_NODE_DATA``, else ``../shared/data`` beside the working folder or the checkout; None where there is none."""
    configured = os.environ.get("DICOM_NODE_DATA")
    checkout = Path(__file__).resolve().parents[2]
    folders = [Path(configured)] if configured else [Path.cwd().parent / "shared" / "data", checkout.parent / "shared" / "data"]
    return next((folder for folder in folders if folder.is_dir()), None)


def chest_ct(folder: Path | None, scratch: Path, *, synthetic: bool, small: bool = False) -> DemoInput:
    """Return the CT of ``folder``, else the real series of the data folder, else a synthetic chest, written to ``scratch``."""
    data = data_folder()
    if folder is None and not synthetic and data is not None and (data / "ct" / CT_SERIES).is_dir():
        folder = data / "ct" / CT_SERIES
    if folder is not None:
        units = [unit for unit in gather_units([folder]).units if unit.instances]
        if not units:
            raise ConfigurationError(f"{folder} contains no DICOM file", hint="give the folder of a chest CT series (--ct FOLDER)")
        uids = frozenset(unit.sop_instance_uid or unit.series_instance_uid for unit in units)
        return DemoInput("chest CT", True, str(folder), tuple(path for unit in units for path in unit.paths), uids, {})
    if small:  # a small volume takes the network less time
        chest = make_chest(SYNTHETIC_SEED, slices=18, size=64, slice_mm=5.0, pixel_mm=3.2, diameters_mm=(12.0, 20.0))
    else:
        chest = make_chest(SYNTHETIC_SEED)
    files = write_chest(scratch / "ct", chest)
    known = ", ".join(f"{nodule.diameter_mm:g} mm at {nodule.position_mm}" for nodule in chest.nodules)
    series = str(pydicom.dcmread(files[0], stop_before_pixels=True).SeriesInstanceUID)
    return DemoInput(
        "chest CT", False, f"synthetic chest, nodules of {known}", tuple(files), frozenset({series}), {series: f"nodules: {known}"}
    )


def dermoscopy(folder: Path | None, scratch: Path, *, synthetic: bool, small: bool = False) -> DemoInput:
    """Return the images of ``folder``, else a held-out HAM10000 image of each class, else synthetic lesions.

    All are written to ``scratch`` as DICOM files.
    """
    target = scratch / "skin"
    target.mkdir(parents=True, exist_ok=True)
    truth: dict[str, str] = {}
    if folder is not None:
        datasets, source, real = list(_from_folder(folder)), str(folder), True
    elif not synthetic and (data := data_folder()) is not None and (data / "dermoscopy" / HAM10000_ARCHIVE).is_file():
        datasets, truth = _ham10000(data)
        source, real = f"HAM10000, {data / 'dermoscopy' / HAM10000_ARCHIVE}", True
    else:
        datasets = [lesion_dataset(SYNTHETIC_SEED + number) for number in range(2 if small else SYNTHETIC_LESIONS)]
        source, real = "synthetic lesions", False
    files = []
    for number, dataset in enumerate(datasets):
        path = target / f"{number:03d}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        files.append(path)
    return DemoInput("dermoscopy", real, source, tuple(files), frozenset(str(ds.SOPInstanceUID) for ds in datasets), truth)


def _ham10000(data: Path) -> tuple[list[Dataset], dict[str, str]]:
    """Return the first image of each class whose lesion was not used in training, and what is known of each."""
    # Imported here because installations without the data set, such as the container images, have no training code.
    from training.dermoscopy.ham10000.data import CLASSES, HamImage, read_jpegs
    from training.dermoscopy.ham10000.split import unseen

    with (data / "dermoscopy" / "index.csv").open(newline="") as lines:
        entries = list(csv.DictReader(lines))
    rows = [HamImage(e["image_id"], e["archive"], e["lesion_id"], e["dx"]) for e in entries]
    unused = unseen(rows, registry.card("dermoscopy_7class").training)
    chosen: dict[str, dict[str, str]] = {}
    for entry in entries:
        if entry["archive"] == HAM10000_ARCHIVE and entry["lesion_id"] in unused:
            chosen.setdefault(entry["dx"], entry)
    picked = [chosen[label] for label in CLASSES if label in chosen]
    jpegs = read_jpegs(data, [row for row in rows if row.image_id in {entry["image_id"] for entry in picked}])
    datasets = [_encode_photograph(jpegs[entry["image_id"]], entry["image_id"], entry) for entry in picked]
    return datasets, {str(ds.SOPInstanceUID): f"{entry['dx']} ({entry['image_id']})" for ds, entry in zip(datasets, picked, strict=True)}


def _encode_photograph(jpeg: bytes, name: str, known: Mapping[str, str]) -> Dataset:
    """Encode a camera's image as a study of its own. ``known``: age, sex and localization as in HAM10000's index."""
    age = known.get("age", "")
    identity = Identity(
        patient_id=f"DEMO-{name}"[:64],
        study_instance_uid=synthetic_uid("demo", name, "study"),
        patient_name="Demo^Dermoscopy",
        issuer_of_patient_id="dicom-node demo",
        patient_sex={"male": "M", "female": "F"}.get(known.get("sex", ""), ""),
        patient_age=f"{float(age):03.0f}Y" if age else "",
        accession_number=synthetic_uid("demo", name)[-12:],
        study_date="20260102",
        study_time="111500",
        study_description=f"Dermoscopy {name}"[:64],
        timezone_offset="+0000",
    )
    return jpeg_to_dicom(
        jpeg,
        identity=identity,
        series_instance_uid=synthetic_uid("demo", name, "series"),
        sop_instance_uid=synthetic_uid("demo", name, "instance"),
        site=known.get("localization", ""),
    )


def _from_folder(folder: Path) -> Iterator[Dataset]:
    """Yield the first `MAXIMUM_IMAGES` images of a folder, encoded as DICOM where they are not."""
    units = gather_units([folder], kind=UnitKind.IMAGE).units[:MAXIMUM_IMAGES]
    if not units:
        raise ConfigurationError(f"{folder} contains no image", hint="give a folder of .jpg, .png or .dcm files (--skin FOLDER)")
    for unit in units:
        if unit.instances:
            yield pydicom.dcmread(unit.path)
        else:
            yield _encode_photograph(_baseline_jpeg(unit.path), unit.path.stem, {})


def _baseline_jpeg(path: Path) -> bytes:
    """Return the file unchanged if it is a baseline JPEG, else encoded again with quality 95."""
    content = path.read_bytes()
    try:
        _encode_photograph(content, "probe", {})
    except NodeError:
        out = io.BytesIO()
        try:
            Image.open(path).convert("RGB").save(out, "JPEG", quality=95)
        except OSError as error:
            raise PixelError(f"{path.name} cannot be read as an image", hint="give JPEG or PNG files") from error
        return out.getvalue()
    return content
