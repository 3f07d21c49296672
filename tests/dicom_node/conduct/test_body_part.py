"""Routes by the lungs in the image: received over the network, looked for beside the conductor's loop."""

from typing import Any

from pydicom.dataset import Dataset

from core.settings.settings import Settings
from db.complete.unrouted import reopen_unrouted
from deploy.demo.synthetic.chest import chest_datasets, make_chest
from dicom_node.conduct.image_search.lung_evidence import look_for_lungs
from tests.dicom_node.conduct.test_conductor import CHEST, SKIN, complete_units
from tests.dicom_node.conftest import Running, conducting
from tests.support.records import rows, run
from tests.support.series import series
from tests.support.storage_scu import send

BY_IMAGE = {**CHEST, "when": {"Modality": "CT", "body_part": "chest"}}


def silent_chest(*, seed: int = 7, slices: int = 24, slice_mm: float = 5.0) -> list[Dataset]:
    """A small synthetic chest whose header names no part of the body."""
    found = []
    for dataset in chest_datasets(make_chest(seed, slices=slices, size=96, slice_mm=slice_mm, pixel_mm=2.2, diameters_mm=(12.0,))):
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


def test_series_that_are_routed_again_are_compared_after_the_lungs_were_looked_for(conduct: Any) -> None:
    """They were complete long before: each was chosen while the images of the other one were still searched."""
    node: Running
    thick = silent_chest()
    thin = silent_chest(seed=8, slices=48, slice_mm=2.5)
    for dataset in thin:
        dataset.StudyInstanceUID, dataset.PatientID = thick[0].StudyInstanceUID, thick[0].PatientID
    with conduct(SKIN) as node:
        send(node.port, *thick)
        send(node.port, *thin)
        complete_units(node, 2)
    run(
        node.database,
        "UPDATE units SET opened_at = opened_at - interval '10 days', last_received_at = last_received_at - interval '10 days'",
    )
    assert reopen_unrouted(node.database, [1, 2], "cli:test") == [1, 2]
    settings = Settings.model_validate({**node.settings.model_dump(), "routes": [{**BY_IMAGE, "per_study": "best"}]})
    with conducting(settings, node.database, node.blobs):
        complete_units(node, 2)
    assert rows(node.database, "SELECT u.held, u.selected, j.state FROM units u LEFT JOIN jobs j ON j.unit_id = u.id ORDER BY u.held") == [
        (24, False, None),
        (48, True, "queued"),
    ]


def test_files_that_cannot_be_read_within_the_limits_show_no_lungs(tmp_path: Any) -> None:
    (tmp_path / "noise").write_bytes(b"noise")
    assert look_for_lungs([tmp_path / "noise"])[0] == "not seen"
    assert look_for_lungs([tmp_path / "noise"], timeout_s=0.001) == ("not seen", "the images cannot be read within the limits")
