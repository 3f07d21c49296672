"""Series that no model may analyse are reported with the reason: one series for each reason, from blobs to the validated report."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from core.settings.settings import Settings
from core.states import UnitKind
from db.jobs.job_admin import show_job
from deploy.demo.synthetic.chest import chest_datasets, make_chest
from imaging.pixels.decode import decode_frames
from models import installed
from tests.support.model_packages import other_version
from tests.support.queued_jobs import JobFactory
from tests.support.real_data import shared_data
from tests.workers.conftest import report_of, texts_of
from workers.attempt import wake_up
from workers.child.runtime import ChildRuntime

MODEL = "lung_nodule_ct"
Change = Callable[[list[Dataset]], list[Dataset]]


def chest(slices: int = 20) -> list[Dataset]:
    return list(chest_datasets(make_chest(3, slices=slices, size=64, slice_mm=5.0, diameters_mm=())))


def moved(offsets_mm: Callable[[int], tuple[float, float, float]]) -> Change:
    def change(datasets: list[Dataset]) -> list[Dataset]:
        for number, dataset in enumerate(datasets):
            place = zip(dataset.ImagePositionPatient, offsets_mm(number), strict=True)
            dataset.ImagePositionPatient = [round(float(at) + offset, 4) for at, offset in place]
        return datasets

    return change


def put(keyword: str, value: object, first: int = 0) -> Change:
    def change(datasets: list[Dataset]) -> list[Dataset]:
        for dataset in datasets[first:]:
            setattr(dataset, keyword, value)
        return datasets

    return change


def second_phase(datasets: list[Dataset]) -> list[Dataset]:
    """Add an image at the position of another one, with other pixels."""
    again = chest()[7]
    again.SOPInstanceUID = "2.25.4711"
    again.file_meta.MediaStorageSOPInstanceUID = again.SOPInstanceUID
    again.PixelData = bytes(len(again.PixelData))
    return [*datasets, again]


def without_lungs(datasets: list[Dataset]) -> list[Dataset]:
    """The header says CHEST and the image is soft tissue, as when the wrong body part was entered."""
    for dataset in datasets:
        stored = np.frombuffer(dataset.PixelData, "<u2")
        dataset.PixelData = np.where(stored < 800, 1064, stored).astype("<u2").tobytes()
    return datasets


GATES: dict[str, tuple[Change, str]] = {
    "gap": (lambda datasets: datasets[:8] + datasets[10:], "a gap: 2 slices are missing"),
    "tilt": (moved(lambda number: (0.0, 1.2 * number, 0.0)), "tilt"),
    "uneven": (moved(lambda number: (0.0, 0.0, 2.0 if number > 9 else 0.0)), "uneven spacing"),
    "duplicate position": (second_phase, "duplicate position"),
    "too few": (lambda datasets: datasets[:12], "at least 16 slices are needed, the series has 12"),
    "one slice": (lambda datasets: datasets[:1], "too few slices"),
    "projection": (put("ImageType", ["DERIVED", "SECONDARY", "AXIAL", "MIP"]), "projections or renderings (Image Type MIP)"),
    "other patient": (put("PatientID", "OTHER", 15), "disagree in Patient ID"),
    "other accession": (put("AccessionNumber", "OTHER", 15), "disagree in Accession Number"),
    "no Hounsfield units": (put("RescaleType", "Z_EFF"), "Hounsfield units expected"),
    "no lungs in the image": (without_lungs, "no lung field was found"),
}


def not_analysed(runtime: ChildRuntime, datasets: list[Dataset]) -> str:
    """Run the job and return the reason, which is also in its report."""
    job_id, _ = JobFactory(runtime.database, runtime.blobs).queue(datasets, UnitKind.SERIES, MODEL)
    wake_up.handle_wake_up(runtime)
    shown = show_job(runtime.database, job_id)
    assert (shown["job_state"], shown["outcome"]) == ("reported", "not_analysed")
    texts = texts_of(report_of(runtime, job_id))
    assert shown["reason"] in texts
    assert [row["state"] for row in shown["deliveries"]] == ["pending"]
    assert "OTHER" not in shown["reason"]
    return str(shown["reason"])


@pytest.mark.parametrize("gate", GATES)
def test_each_refusal_has_its_reason_in_the_report(runtime: ChildRuntime, gate: str) -> None:
    change, words = GATES[gate]
    assert words in not_analysed(runtime, change(chest()))


def test_a_tilted_series_is_analysed_upright_where_the_card_allows_it(runtime: ChildRuntime, settings: Settings, tmp_path: Path) -> None:
    """The shipped cards do not: nothing was measured on tilted series."""
    allows = other_version(MODEL, tmp_path / "allows", tilt="resample")
    place = installed.install_version(allows, settings.node.data_dir / installed.FOLDER)
    change, _ = GATES["tilt"]
    job_id, _ = JobFactory(runtime.database, runtime.blobs).queue(change(chest()), UnitKind.SERIES, MODEL, digest=place.digest)
    wake_up.handle_wake_up(runtime)
    shown = show_job(runtime.database, job_id)
    assert shown["job_state"] == "reported"
    assert shown["outcome"] in ("findings", "no_finding"), shown["reason"]
    texts = texts_of(report_of(runtime, job_id))
    assert any(text.startswith("The gantry was tilted by 13.5 degrees") for text in texts)


def test_a_derived_series_is_refused_where_the_card_says_so(runtime: ChildRuntime, settings: Settings, tmp_path: Path) -> None:
    strict = other_version(MODEL, tmp_path / "strict", derived="refuse")
    place = installed.install_version(strict, settings.node.data_dir / installed.FOLDER)
    series = put("ImageType", ["DERIVED", "SECONDARY", "AXIAL", "MPR"])(chest())
    job_id, _ = JobFactory(runtime.database, runtime.blobs).queue(series, UnitKind.SERIES, MODEL, digest=place.digest)
    wake_up.handle_wake_up(runtime)
    shown = show_job(runtime.database, job_id)
    assert (shown["job_state"], shown["outcome"]) == ("reported", "not_analysed")
    texts = texts_of(report_of(runtime, job_id))
    assert any("images are derived (Image Type)" in text for text in texts)


def extruded(name: str, slices: int = 20) -> list[Dataset]:
    """A series of copies of one real slice of a head, a neck or an abdomen."""
    real = dcmread(shared_data() / "conformance" / name)
    pixels = np.asarray(decode_frames(real)[0])
    slope, intercept = float(real.RescaleSlope), float(real.RescaleIntercept)
    stored = np.clip(np.rint(pixels * slope + intercept + 1024), 0, 4095).astype("<u2")
    made = []
    for number, dataset in enumerate(chest(slices)):
        dataset.Rows, dataset.Columns = stored.shape
        dataset.PixelSpacing = real.PixelSpacing
        dataset.PixelData = stored.tobytes()
        dataset.ImagePositionPatient = [0, 0, 5.0 * number]
        dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1024
        made.append(dataset)
    return made


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("pydicom-data/693_UNCI.dcm", "no lung field was found"),
        ("pydicom-data/bad_sequence.dcm", "field of view"),
        ("pydicom-data/explicit_VR-UN.dcm", "lung"),
    ],
    ids=["head", "neck", "abdomen"],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_real_anatomy_of_other_body_parts_is_refused_by_the_image(runtime: ChildRuntime, name: str, words: str) -> None:
    """Every header says CHEST."""
    assert words in not_analysed(runtime, extruded(name))
