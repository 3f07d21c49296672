"""Routes by the lungs in the image: received over the network, looked for beside the conductor's loop."""

from typing import Any

from pydicom.dataset import Dataset

from deploy.demo.synthetic.chest import chest_datasets, make_chest
from dicom_node.conduct.image_search.lung_evidence import look_for_lungs
from tests.dicom_node.conduct.test_conductor import CHEST, complete_units
from tests.support.records import rows
from tests.support.series import series
from tests.support.storage_scu import send

BY_IMAGE = {**CHEST, "when": {"Modality": "CT", "body_part": "chest"}}


def silent_chest() -> list[Dataset]:
    """A small synthetic chest whose header names no part of the body."""
    found = []
    for dataset in chest_datasets(make_chest(7, slices=24, size=96, slice_mm=5.0, pixel_mm=2.2, diameters_mm=(12.0,))):
        dataset.BodyPartExamined = dataset.StudyDescription = dataset.SeriesDescription = ""
        found.append(dataset)
    return found


def test_a_silent_header_is_routed_by_the_lungs_in_its_images(conduct: Any) -> None:
    with conduct(BY_IMAGE) as node:
        send(node.port, *silent_chest())
        ((_, reason, claimed, *_),) = complete_units(node, 1)
        assert (reason, claimed) == ("", ["chest"])
        assert rows(node.database, "SELECT state FROM jobs") == [("queued",)]


def test_the_best_series_is_chosen_among_those_that_show_lungs(conduct: Any) -> None:
    """Two silent series of one study: the one of noise is not waited for once its images have been looked at."""
    with conduct({**BY_IMAGE, "per_study": "best"}) as node:
        chest = silent_chest()
        noise = list(series(6, BodyPartExamined=""))
        for dataset in noise:
            dataset.StudyInstanceUID = chest[0].StudyInstanceUID
            dataset.PatientID = chest[0].PatientID
        send(node.port, *chest, *noise)
        found = complete_units(node, 2)
        assert sorted(claimed for _, _, claimed, *_ in found) == [[], ["chest"]]
        (reason,) = [reason for _, reason, claimed, *_ in found if not claimed]
        assert "the header names no part of the body; by the image: no lungs in 6 images looked at" in reason
        assert rows(node.database, "SELECT count(*) FROM jobs") == [(1,)]


def test_files_that_cannot_be_read_within_the_limits_show_no_lungs(tmp_path: Any) -> None:
    (tmp_path / "noise").write_bytes(b"noise")
    assert look_for_lungs([tmp_path / "noise"])[0] == "not seen"
    assert look_for_lungs([tmp_path / "noise"], timeout_s=0.001) == ("not seen", "the images cannot be read within the limits")
